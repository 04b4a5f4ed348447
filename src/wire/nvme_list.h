/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_list - lists that Identify and log pages give: of namespaces, controllers, names of a
 * namespace, command sets (Base 2.0, sections 4.4, 5.17.2.2 to 5.17.2.4).
 */
#ifndef WIRE_NVME_LIST_H
#define WIRE_NVME_LIST_H

#include "base/cursor.h"
#include "wire/nvme.h"

#define NVME_LIST_BYTES	 4096u
#define NVME_NSIDS_MAX	 1024u
#define NVME_CNTLIDS_MAX 2047u

/*
 * Namespaces: up to 1024 of 4 bytes, ascending, ended by 0 or the end. The list of changed
 * namespaces has FFFFFFFFh first, and nothing else, if there were more.
 */
void nvme_nsids_encode(const uint32_t *nsids, size_t count, uint8_t ret[NVME_LIST_BYTES]);
/* Number i; 0: there are no more. */
uint32_t nvme_nsids_get(const uint8_t *data, size_t size, size_t i);

/* Controllers: count (2 bytes), then 2 bytes each, ascending. */
void nvme_cntlids_encode(const uint16_t *cntlids, size_t count, uint8_t ret[NVME_LIST_BYTES]);
/* -EBADMSG: shorter than it says, or more than there can be. */
MUST_USE int nvme_cntlids_count(const uint8_t *data, size_t size, size_t *ret_count);
/* i below the count. */
uint16_t nvme_cntlids_get(const uint8_t *data, size_t i);

/*
 * Names of a namespace (CNS 03h), one after the other, ended by length 0 or the end:
 *	OFFSET SIZE FIELD
 *	0      1    type (NIDT)
 *	1      1    length (NIDL)
 *	2      2    reserved
 *	4      NIDL name
 */
enum nvme_nidt {
	NVME_NIDT_EUI64 = 1, /* 8 bytes */
	NVME_NIDT_NGUID = 2, /* 16 */
	NVME_NIDT_UUID = 3,  /* 16 */
	NVME_NIDT_CSI = 4,   /* 1: the command set */
};

struct nvme_ns_name {
	uint8_t type;
	uint8_t length;
	const uint8_t *bytes; /* borrowed from the data */
};

/* 1: *ret is the next; 0: there are no more; -EBADMSG: cut, or a known type of wrong length. */
MUST_USE int nvme_ns_name_next(struct cursor *cursor, struct nvme_ns_name *ret);
/* -ENOBUFS: no room. */
MUST_USE int nvme_ns_name_put(struct builder *builder, enum nvme_nidt type, const uint8_t *bytes);

/* Combinations of command sets (CNS 1Ch): 512 of 8 bytes, a bit per command set; 0: unused. */
void nvme_command_sets_encode(const uint64_t *sets, size_t count, uint8_t ret[NVME_LIST_BYTES]);

#endif
