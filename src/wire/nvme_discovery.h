/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_discovery - the discovery log page (Base 2.0, section 5.16.1.23): a header of 1024
 * bytes, then 1024 bytes an entry. The tables of fields are in nvme_discovery.c.
 */
#ifndef WIRE_NVME_DISCOVERY_H
#define WIRE_NVME_DISCOVERY_H

#include "wire/nvme.h"

#define NVME_DISCOVERY_BYTES	   1024u /* of the header, and of an entry */
#define NVME_DISCOVERY_RECORDS_MAX 4096u /* more we do not believe */

enum nvme_trtype {
	NVME_TRTYPE_RDMA = 1,
	NVME_TRTYPE_FC = 2,
	NVME_TRTYPE_TCP = 3,
	NVME_TRTYPE_LOOP = 254,
};

enum nvme_adrfam {
	NVME_ADRFAM_IPV4 = 1,
	NVME_ADRFAM_IPV6 = 2,
};

enum nvme_subtype {
	NVME_SUBTYPE_REFERRAL = 1, /* another discovery subsystem */
	NVME_SUBTYPE_NVM = 2,
	NVME_SUBTYPE_CURRENT = 3, /* the discovery subsystem asked */
};

enum nvme_treq {
	NVME_TREQ_SECURE_MASK = 3, /* 0: not told, 1: required, 2: not required */
	NVME_TREQ_SECURE_NOT_REQUIRED = 2,
	NVME_TREQ_NO_FLOW_CONTROL = 1 << 2,
};

enum nvme_eflags {
	NVME_EFLAGS_DUPLICATE = 1 << 0,	 /* one of several entries of the same */
	NVME_EFLAGS_PERSISTENT = 1 << 1, /* connections to it may stay */
};

enum nvme_sectype {
	NVME_SECTYPE_NONE = 0,
	NVME_SECTYPE_TLS12 = 1,
	NVME_SECTYPE_TLS13 = 2,
};

struct nvme_discovery_head {
	uint64_t generation;
	uint64_t records;
	uint16_t format; /* 0 */
};

struct nvme_discovery_entry {
	uint8_t trtype;
	uint8_t adrfam;
	uint8_t subtype;
	uint8_t treq;
	uint16_t portid;
	uint16_t cntlid; /* FFFFh: any; FFFEh: any, static */
	uint16_t asqsz;	 /* greatest admin queue */
	uint16_t eflags;
	char trsvcid[33]; /* port, decimal */
	char subnqn[NVME_NQN_MAX + 1];
	char traddr[257];
	uint8_t sectype; /* first byte of TSAS, of TCP */
};

void nvme_discovery_head_encode(const struct nvme_discovery_head *head,
				uint8_t ret[NVME_DISCOVERY_BYTES]);
/* -EBADMSG: cut, another format, or more than NVME_DISCOVERY_RECORDS_MAX records. */
MUST_USE int nvme_discovery_head_decode(const uint8_t *data, size_t size,
					struct nvme_discovery_head *ret);

void nvme_discovery_entry_encode(const struct nvme_discovery_entry *entry,
				 uint8_t ret[NVME_DISCOVERY_BYTES]);
/* Entry i of a whole log page. -EBADMSG: cut, or a name without end. */
MUST_USE int nvme_discovery_entry_decode(const uint8_t *data, size_t size, size_t i,
					 struct nvme_discovery_entry *ret);

#endif
