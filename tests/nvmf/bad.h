/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bad - what a host must not send, as tables: a row is a proper PDU, what is spoilt in it, and
 * the answer that the specification asks for.
 *
 *	{ "capsule_of_unknown_type", IO, 0, B_READ, { P8(0, 0x0a) }, TERM(FIELD, 0) },
 *	  name                       ^   ^  ^       ^ patches        ^ answer
 *	              how far the connection is |  the proper PDU
 *	                                digests agreed on
 *
 * K1. A terminate request repeats the header of the PDU it refuses, and the connection ends.
 * K2. After a status the connection is as good as before.
 * K3. After each row another host's connection, open all the time, writes and reads.
 */
#ifndef TESTS_NVMF_BAD_H
#define TESTS_NVMF_BAD_H

#include "nvmf/host.h"
#include "nvmf/target.h"

/* How far the connection is. */
enum bad_at {
	FRESH, /* TCP only */
	HELLO, /* ICReq, ICResp */
	ADMIN, /* Connect, enabled */
	IO,    /* an I/O queue */
	R2T,   /* a write of 8 KiB is sent, its R2T was received */
};

/* The proper PDU. Blocks are those of namespace 1. */
enum bad_base {
	B_NOTHING, /* zeros: only the patches */
	B_ICREQ,
	B_TERM,	   /* H2CTermReq */
	B_READ,	   /* 8 blocks */
	B_WRITE,   /* 8 blocks by R2T */
	B_CAPSULE, /* 8 blocks in the capsule */
	B_FLUSH,
	B_H2C,	    /* all 8 KiB of the R2T; .off and .len tell of a part */
	B_CONNECT,  /* the admin queue */
	B_QUEUE,    /* I/O queue 2 */
	B_GET,	    /* property CAP */
	B_SET,	    /* property CC, its value now */
	B_IDENTIFY, /* the controller */
	B_LOG,	    /* SMART, 512 bytes */
	B_FEATURE,  /* get: number of queues */
	B_ADMIN,    /* Keep Alive: no data */
};

/* From here on a patch is of the data, and of the submission entry. */
#define BAD_DATA    0x1000
#define BAD_PATCHES 4

struct bad_patch {
	uint16_t at;
	uint8_t size; /* 1, 2, 4, 8; 0: no patch */
	uint64_t value;
};

#define P8(at, value)            \
	{                        \
		(at), 1, (value) \
	}
#define P16(at, value)           \
	{                        \
		(at), 2, (value) \
	}
#define P32(at, value)           \
	{                        \
		(at), 4, (value) \
	}
#define P64(at, value)           \
	{                        \
		(at), 8, (value) \
	}
#define SQ(at)	((at) + NVMETCP_AT_SQE)
#define DAT(at) ((at) + BAD_DATA)

enum bad_trick {
	T_HDGST = 1 << 0,   /* spoil the header digest */
	T_DDGST = 1 << 1,   /* spoil the data digest */
	T_TWICE = 1 << 2,   /* send it twice; the second is the bad one */
	T_CUT = 1 << 3,	    /* send .len bytes, then close our side */
	T_SLOW = 1 << 4,    /* byte by byte */
	T_NO_LAST = 1 << 5, /* H2CData: LAST_PDU is not set, or set where it must not be */
	T_NUL = 1 << 6,	    /* the NQNs of Connect do not end */
};

enum bad_kind {
	W_TERM,	   /* C2HTermReq with (fes, fei), then the end */
	W_STATUS,  /* a completion with one of two statuses */
	W_REFUSED, /* a completion with any status but success */
	W_CLOSED,  /* the end, without a C2HTermReq */
	W_FINE,	   /* as if it were proper */
	W_ANY,	   /* whatever; only K3 */
};

struct bad_want {
	enum bad_kind kind;
	uint16_t a, b; /* FES and another that will do, or two statuses */
	uint32_t fei;
};

#define ANY_FEI UINT32_MAX
#define TERM(fes, fei)                                              \
	{                                                           \
		W_TERM, NVMETCP_FES_##fes, NVMETCP_FES_##fes, (fei) \
	}
#define TERM2(a, b)                                               \
	{                                                         \
		W_TERM, NVMETCP_FES_##a, NVMETCP_FES_##b, ANY_FEI \
	}
#define STATUS(status)                                    \
	{                                                 \
		W_STATUS, NVME_##status, NVME_##status, 0 \
	}
#define STATUS2(a, b)                           \
	{                                       \
		W_STATUS, NVME_##a, NVME_##b, 0 \
	}
#define REFUSED                    \
	{                          \
		W_REFUSED, 0, 0, 0 \
	}
#define CLOSED                    \
	{                         \
		W_CLOSED, 0, 0, 0 \
	}
#define FINE                    \
	{                       \
		W_FINE, 0, 0, 0 \
	}
#define WHATEVER               \
	{                      \
		W_ANY, 0, 0, 0 \
	}

struct bad_row {
	const char *name;
	enum bad_at at;
	uint8_t digests;
	enum bad_base base;
	struct bad_patch patch[BAD_PATCHES];
	struct bad_want want;
	unsigned tricks;
	uint32_t off, len;
};

struct bad_table {
	const char *name;
	const struct bad_row *rows;
	unsigned count;
};

extern const struct bad_table bad_handshake, bad_header, bad_data, bad_sgl, bad_io, bad_connect,
	bad_admin;

/* Sends it and looks at the answer. False: *ret_why says what was wrong. */
bool bad_run(const struct target *target, const struct bad_row *row, char ret_why[256]);

#endif
