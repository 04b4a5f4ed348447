/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_io - the transmission phase of NBD: requests, simple and structured replies (NBD
 * protocol, "Transmission"). All numbers are big-endian.
 *
 * Q1. A request whose head does not decode ends the connection; one that decodes is answered,
 *     if only with an error (nbd_request_check()), after its payload was read.
 * Q2. As a client: no byte of a reply is read before its length was held against the request.
 */
#ifndef WIRE_NBD_IO_H
#define WIRE_NBD_IO_H

#include "base/lang.h"

#define NBD_REQUEST_MAGIC    UINT32_C(0x25609513)
#define NBD_SIMPLE_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_MAGIC UINT32_C(0x668e33ef)

#define NBD_REQUEST_BYTES 28u
#define NBD_SIMPLE_BYTES  16u
#define NBD_CHUNK_BYTES	  20u

#define NBD_PAYLOAD_MAX	   (32u << 20) /* of a read or write */
#define NBD_EXTENTS_MAX	   65536u      /* of one block status chunk, as a client */
#define NBD_ERROR_TEXT_MAX 4096u

enum nbd_cmd {
	NBD_CMD_READ = 0,
	NBD_CMD_WRITE = 1,
	NBD_CMD_DISC = 2,
	NBD_CMD_FLUSH = 3,
	NBD_CMD_TRIM = 4,
	NBD_CMD_CACHE = 5,
	NBD_CMD_WRITE_ZEROES = 6,
	NBD_CMD_BLOCK_STATUS = 7,
	NBD_CMD_RESIZE = 8,
};

enum nbd_cmd_flag {
	NBD_CMD_FUA = 1 << 0,
	NBD_CMD_NO_HOLE = 1 << 1,   /* WRITE_ZEROES: keep the space */
	NBD_CMD_DF = 1 << 2,	    /* READ: one chunk */
	NBD_CMD_REQ_ONE = 1 << 3,   /* BLOCK_STATUS: one extent */
	NBD_CMD_FAST_ZERO = 1 << 4, /* WRITE_ZEROES: fast or not at all */
	NBD_CMD_PAYLOAD_LEN = 1 << 5,
};

/* Errors on the wire. */
enum nbd_error {
	NBD_OK = 0,
	NBD_EPERM = 1,
	NBD_EIO = 5,
	NBD_ENOMEM = 12,
	NBD_EINVAL = 22,
	NBD_ENOSPC = 28,
	NBD_EOVERFLOW = 75,
	NBD_ENOTSUP = 95,
	NBD_ESHUTDOWN = 108,
};

/*
 * Both directions between the errors of bdev/bdev.h and those of the wire: the one place.
 * `error` is negative or 0; a number we do not know is -EINVAL.
 */
uint32_t nbd_error_of(int error);
int nbd_error_to(uint32_t error);

/*
 * Request:
 *	OFFSET SIZE FIELD
 *	0      4    magic
 *	4      2    flags
 *	6      2    command
 *	8      8    cookie, as it pleases the client
 *	16     8    offset
 *	24     4    length; a write's payload follows
 */
struct nbd_request {
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint64_t offset;
	uint32_t length;
};

void nbd_request_encode(const struct nbd_request *request, uint8_t ret[NBD_REQUEST_BYTES]);
/* -EBADMSG: cut or no request (Q1). */
MUST_USE int nbd_request_decode(const uint8_t *bytes, size_t size, struct nbd_request *ret);

/* Bytes of payload behind it. */
static inline uint32_t nbd_request_payload(const struct nbd_request *request)
{
	return request->type == NBD_CMD_WRITE ? request->length : 0;
}

/* What a server told of an export, and what was agreed on. */
struct nbd_rules {
	uint64_t size_bytes;
	uint16_t flags;	    /* enum nbd_transmission_flag */
	uint32_t block_min; /* a power of two */
	uint32_t payload_max;
	bool structured;
	bool meta; /* a meta context was set */
};

/*
 * NBD_OK, or the error to answer with; the rules in this order:
 *	EINVAL     unknown or not offered command, or a flag that does not go with it
 *	EPERM      would write to what is read-only
 *	EINVAL     no length (or of a flush: any), more payload than payload_max
 *	EINVAL, ENOSPC (write, write zeroes)  beyond the end
 *	EINVAL     not of whole blocks
 * DISC has no answer: the caller has seen to it before.
 */
MUST_USE uint32_t nbd_request_check(const struct nbd_request *request,
				    const struct nbd_rules *rules);

/*
 * Simple reply, then the data of a read that succeeded:
 *	OFFSET SIZE FIELD
 *	0      4    magic
 *	4      4    error
 *	8      8    cookie
 */
struct nbd_simple {
	uint32_t error;
	uint64_t cookie;
};

void nbd_simple_encode(const struct nbd_simple *reply, uint8_t ret[NBD_SIMPLE_BYTES]);

enum nbd_chunk_type {
	NBD_CHUNK_NONE = 0,
	NBD_CHUNK_DATA = 1,		 /* offset 8, data */
	NBD_CHUNK_HOLE = 2,		 /* offset 8, length 4: reads as zeroes */
	NBD_CHUNK_BLOCK_STATUS = 5,	 /* context 4, then for each extent length 4, flags 4 */
	NBD_CHUNK_ERROR = 0x8001,	 /* error 4, bytes of text 2, text */
	NBD_CHUNK_ERROR_OFFSET = 0x8002, /* the same, then offset 8 */
};

#define NBD_CHUNK_IS_ERROR 0x8000u /* also where the type is unknown */
#define NBD_CHUNK_DONE	   1u	   /* flag: the last of its reply */

/*
 * Head of a chunk of a structured reply:
 *	OFFSET SIZE FIELD
 *	0      4    magic
 *	4      2    flags
 *	6      2    type
 *	8      8    cookie
 *	16     4    bytes that follow
 */
struct nbd_chunk {
	uint16_t flags;
	uint16_t type;
	uint64_t cookie;
	uint32_t length;
};

void nbd_chunk_encode(const struct nbd_chunk *chunk, uint8_t ret[NBD_CHUNK_BYTES]);

/*
 * As a client: the head of a reply, simple or a chunk, from the first bytes received.
 *	> 0	 so many are needed, more than size
 *	0	 *ret says what it is
 *	-EBADMSG neither, or a chunk though structured replies were not agreed on
 */
struct nbd_answer {
	bool simple;
	uint32_t error;		/* simple */
	struct nbd_chunk chunk; /* the cookie also of a simple one */
};

MUST_USE int nbd_answer_decode(const uint8_t *bytes, size_t size, bool structured,
			       struct nbd_answer *ret);

/*
 * Q2: may this be an answer to that request? Bounds the bytes that follow the head:
 * chunk.length, or request->length for a simple answer to a read. -EBADMSG: no. (Once
 * structured replies are agreed on, a read has no other.)
 */
MUST_USE int nbd_answer_check(const struct nbd_answer *answer, const struct nbd_request *request,
			      bool structured);

/* Bodies of chunks, without the head. Data: offset 8; the data follow. */
#define NBD_DATA_BYTES 8u
#define NBD_HOLE_BYTES 12u

struct nbd_range {
	uint64_t offset;
	uint32_t length;
};

void nbd_data_encode(uint64_t offset, uint8_t ret[NBD_DATA_BYTES]);
void nbd_hole_encode(const struct nbd_range *hole, uint8_t ret[NBD_HOLE_BYTES]);
/* Of a chunk of DATA or HOLE: where in the disk. -EBADMSG: cut, or outside the request. */
MUST_USE int nbd_range_decode(const struct nbd_chunk *chunk, const uint8_t *body, size_t size,
			      const struct nbd_request *request, struct nbd_range *ret);

/* Flags of an extent of "base:allocation". */
#define NBD_CONTEXT_ALLOCATION "base:allocation"

enum nbd_state {
	NBD_STATE_HOLE = 1 << 0,
	NBD_STATE_ZERO = 1 << 1,
};

#define NBD_STATUS_BYTES 4u /* before the extents */
#define NBD_EXTENT_BYTES 8u

struct nbd_extent {
	uint32_t length;
	uint32_t flags;
};

void nbd_status_encode(uint32_t context, uint8_t ret[NBD_STATUS_BYTES]);
void nbd_extent_encode(const struct nbd_extent *extent, uint8_t ret[NBD_EXTENT_BYTES]);
/* -EBADMSG: cut, or no whole number of extents, but at least one. */
MUST_USE int nbd_status_decode(const uint8_t *body, size_t size, uint32_t *ret_context,
			       size_t *ret_extents);
/* Extent i, below that count. -EBADMSG: it has no length. */
MUST_USE int nbd_extent_decode(const uint8_t *body, size_t i, struct nbd_extent *ret);

/* Bytes of an error's body; text may be "". `ret` has room for NBD_ERROR_MAX. */
#define NBD_ERROR_MAX (6u + NBD_ERROR_TEXT_MAX + 8u)

struct nbd_failure {
	uint32_t error;
	const char *text; /* decoded: into the body, without a NUL */
	uint16_t text_length;
	bool has_offset;
	uint64_t offset;
};

size_t nbd_failure_encode(const struct nbd_failure *failure, uint8_t *ret);
/* -EBADMSG: cut, lengths do not agree, a text too long, or the error is 0. */
MUST_USE int nbd_failure_decode(const struct nbd_chunk *chunk, const uint8_t *body, size_t size,
				struct nbd_failure *ret);

#endif
