/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_option - the handshake of NBD, fixed newstyle (NBD protocol, "Newstyle negotiation").
 *
 *	server: greeting      client: flags
 *	client: option        server: replies, the last an ACK or an error
 *	...                   until GO is acknowledged, EXPORT_NAME answered, or ABORT
 *
 * All numbers are big-endian. W1..W3 of nvme.h hold here, too: a decoder of what a client
 * sends refuses with the type of the reply to send (NBD_REP_ERR_x), one of what a server sends
 * with -EBADMSG.
 */
#ifndef WIRE_NBD_OPTION_H
#define WIRE_NBD_OPTION_H

#include "base/cursor.h"

#define NBD_GREETING_MAGIC UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC   UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_REPLY_MAGIC	   UINT64_C(0x0003e889045565a9)

#define NBD_GREETING_BYTES     18u
#define NBD_CLIENT_FLAGS_BYTES 4u
#define NBD_OPTION_BYTES       16u
#define NBD_REPLY_BYTES	       20u
#define NBD_EXPORT_BYTES       10u  /* answer to EXPORT_NAME, without its zeroes */
#define NBD_EXPORT_ZEROES      124u /* which both sides may agree to leave out */

#define NBD_NAME_MAX	    4096u      /* bytes of any string, by the protocol */
#define NBD_OPTION_DATA_MAX 16384u     /* of one option; more is answered TOO_BIG, */
#define NBD_OPTION_SKIP_MAX (1u << 20) /* far more is not even read */
#define NBD_INFO_WANTS_MAX  64u
#define NBD_QUERIES_MAX	    64u
#define NBD_OPTIONS_MAX	    256u   /* of one handshake */
#define NBD_REPLY_DATA_MAX  16384u /* of one reply, as a client */

/* Handshake flags, of server and client. */
enum nbd_handshake_flag {
	NBD_FIXED_NEWSTYLE = 1 << 0,
	NBD_NO_ZEROES = 1 << 1,
};

/*
 * Greeting:
 *	OFFSET SIZE FIELD
 *	0      8    "NBDMAGIC"
 *	8      8    "IHAVEOPT"
 *	16     2    handshake flags
 */
void nbd_greeting_encode(uint16_t flags, uint8_t ret[NBD_GREETING_BYTES]);
/* -EBADMSG: not NBD; -EPROTONOSUPPORT: not of the fixed newstyle. */
MUST_USE int nbd_greeting_decode(const uint8_t *bytes, size_t size, uint16_t *ret_flags);

/* 4 bytes. -EPROTO: a flag that was not offered; the connection must be dropped. */
MUST_USE int nbd_client_flags_decode(const uint8_t *bytes, size_t size, uint16_t offered,
				     uint16_t *ret_flags);

enum nbd_option_type {
	NBD_OPT_EXPORT_NAME = 1,
	NBD_OPT_ABORT = 2,
	NBD_OPT_LIST = 3,
	NBD_OPT_STARTTLS = 5,
	NBD_OPT_INFO = 6,
	NBD_OPT_GO = 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
	NBD_OPT_LIST_META_CONTEXT = 9,
	NBD_OPT_SET_META_CONTEXT = 10,
	NBD_OPT_EXTENDED_HEADERS = 11,
};

/*
 * Head of an option:
 *	OFFSET SIZE FIELD
 *	0      8    "IHAVEOPT"
 *	8      4    option
 *	12     4    bytes of data that follow
 */
struct nbd_option {
	uint32_t type;
	uint32_t length;
};

void nbd_option_encode(const struct nbd_option *option, uint8_t ret[NBD_OPTION_BYTES]);
/* -EBADMSG: cut, or no option; the connection must be dropped. */
MUST_USE int nbd_option_decode(const uint8_t *bytes, size_t size, struct nbd_option *ret);

enum nbd_reply_type {
	NBD_REP_NONE = 0, /* our decoders': nothing to refuse */
	NBD_REP_ACK = 1,
	NBD_REP_SERVER = 2,
	NBD_REP_INFO = 3,
	NBD_REP_META_CONTEXT = 4,
};

#define NBD_REP_ERROR		    UINT32_C(0x80000000) /* set in all errors */
#define NBD_REP_ERR_UNSUP	    (NBD_REP_ERROR + 1)
#define NBD_REP_ERR_POLICY	    (NBD_REP_ERROR + 2)
#define NBD_REP_ERR_INVALID	    (NBD_REP_ERROR + 3)
#define NBD_REP_ERR_PLATFORM	    (NBD_REP_ERROR + 4)
#define NBD_REP_ERR_TLS_REQD	    (NBD_REP_ERROR + 5)
#define NBD_REP_ERR_UNKNOWN	    (NBD_REP_ERROR + 6)
#define NBD_REP_ERR_SHUTDOWN	    (NBD_REP_ERROR + 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERROR + 8)
#define NBD_REP_ERR_TOO_BIG	    (NBD_REP_ERROR + 9)
#define NBD_REP_ERR_EXT_HEADER_REQD (NBD_REP_ERROR + 10)

/*
 * Head of a reply:
 *	OFFSET SIZE FIELD
 *	0      8    magic
 *	8      4    option it answers
 *	12     4    type
 *	16     4    bytes of data that follow; of an error: a text
 */
struct nbd_reply {
	uint32_t option;
	uint32_t type;
	uint32_t length;
};

void nbd_reply_encode(const struct nbd_reply *reply, uint8_t ret[NBD_REPLY_BYTES]);
/* -EBADMSG: cut, no reply, or more data than NBD_REPLY_DATA_MAX. */
MUST_USE int nbd_reply_decode(const uint8_t *bytes, size_t size, struct nbd_reply *ret);

/* A text that lies in the bytes it was decoded from; no NUL within, none at its end. */
struct nbd_text {
	const char *text;
	uint32_t length; /* <= NBD_NAME_MAX */
};

/*
 * What a type of option may have for data at all: NBD_REP_NONE, or NBD_REP_ERR_x to answer
 * once the data are skipped: UNSUP for a type unknown, INVALID for data where none belong or too
 * little, TOO_BIG.
 */
MUST_USE uint32_t nbd_option_check(const struct nbd_option *option);

/* Data of EXPORT_NAME: the name. */
MUST_USE uint32_t nbd_export_name_decode(const uint8_t *data, size_t size, struct nbd_text *ret);

enum nbd_info_type {
	NBD_INFO_EXPORT = 0, /* always told */
	NBD_INFO_NAME = 1,
	NBD_INFO_DESCRIPTION = 2,
	NBD_INFO_BLOCK_SIZE = 3,
};

/*
 * Data of INFO and GO:
 *	OFFSET SIZE FIELD
 *	0      4    bytes of the name
 *	4      n    name
 *	4+n    2    how many infos are wanted
 *	6+n    2 m  each
 */
struct nbd_info_request {
	struct nbd_text name;
	uint32_t wanted; /* 1 << NBD_INFO_x; unknown ones are left out */
};

MUST_USE uint32_t nbd_info_request_decode(const uint8_t *data, size_t size,
					  struct nbd_info_request *ret);
MUST_USE int nbd_info_request_put(struct builder *builder, const struct nbd_info_request *request);

/*
 * Data of LIST_META_CONTEXT and SET_META_CONTEXT:
 *	OFFSET SIZE FIELD
 *	0      4    bytes of the name
 *	4      n    name
 *	4+n    4    queries
 *	8+n    ...  each 4 bytes of length and the query
 */
struct nbd_meta_request {
	struct nbd_text name;
	uint32_t query_count;
	struct cursor queries; /* known to be good: see nbd_meta_query_next() */
};

MUST_USE uint32_t nbd_meta_request_decode(const uint8_t *data, size_t size,
					  struct nbd_meta_request *ret);
/* False: there are no more. */
bool nbd_meta_query_next(struct nbd_meta_request *request, struct nbd_text *ret);
MUST_USE int nbd_meta_request_put(struct builder *builder, const struct nbd_text *name,
				  const struct nbd_text *queries, uint32_t count);

/* Transmission flags of an export. */
enum nbd_transmission_flag {
	NBD_FLAG_HAS_FLAGS = 1 << 0, /* always */
	NBD_FLAG_READ_ONLY = 1 << 1,
	NBD_FLAG_SEND_FLUSH = 1 << 2,
	NBD_FLAG_SEND_FUA = 1 << 3,
	NBD_FLAG_ROTATIONAL = 1 << 4,
	NBD_FLAG_SEND_TRIM = 1 << 5,
	NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
	NBD_FLAG_SEND_DF = 1 << 7,
	NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
	NBD_FLAG_SEND_RESIZE = 1 << 9,
	NBD_FLAG_SEND_CACHE = 1 << 10,
	NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
	NBD_FLAG_BLOCK_STATUS_PAYLOAD = 1 << 12,
};

struct nbd_export {
	uint64_t size_bytes;
	uint16_t flags; /* enum nbd_transmission_flag */
};

/* The answer to EXPORT_NAME: size 8, flags 2, maybe 124 zeroes. -EBADMSG: cut, HAS_FLAGS clear. */
void nbd_export_encode(const struct nbd_export *export, uint8_t ret[NBD_EXPORT_BYTES]);
MUST_USE int nbd_export_decode(const uint8_t *bytes, size_t size, struct nbd_export *ret);

struct nbd_block_size {
	uint32_t min;
	uint32_t preferred;
	uint32_t max; /* of a payload; UINT32_MAX: no limit is told */
};

/*
 * Data of an INFO reply, by its type in the first 2 bytes:
 *	EXPORT       size 8, flags 2
 *	NAME         text
 *	DESCRIPTION  text
 *	BLOCK_SIZE   min 4, preferred 4, max 4
 */
struct nbd_info {
	uint16_t type;
	union {
		struct nbd_export export;
		struct nbd_text text;
		struct nbd_block_size block_size;
	};
};

MUST_USE int nbd_info_put(struct builder *builder, const struct nbd_info *info);
/* -EBADMSG: of wrong length, or block sizes that cannot be. An unknown type is just its type. */
MUST_USE int nbd_info_decode(const uint8_t *data, size_t size, struct nbd_info *ret);

/* Data of a SERVER reply (to LIST): bytes of the name 4, name, text for a human. */
MUST_USE int nbd_server_put(struct builder *builder, const struct nbd_text *name,
			    const struct nbd_text *description);
MUST_USE int nbd_server_decode(const uint8_t *data, size_t size, struct nbd_text *ret_name,
			       struct nbd_text *ret_description);

/* Data of a META_CONTEXT reply: id 4, name. */
MUST_USE int nbd_meta_context_put(struct builder *builder, uint32_t id,
				  const struct nbd_text *name);
MUST_USE int nbd_meta_context_decode(const uint8_t *data, size_t size, uint32_t *ret_id,
				     struct nbd_text *ret_name);

#endif
