/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - a well-behaved host on top of raw: an admin queue, an enabled controller, I/O queues.
 *
 * Steps return 0 or what raw_*() said; a refused command is -EIO. host->why has the words.
 */
#ifndef TESTS_NVMF_HOST_H
#define TESTS_NVMF_HOST_H

#include "nvmf/raw.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_io.h"
#include "wire/nvme_log.h"

#define HOST_QUEUES_MAX	   128u
#define HOST_QUEUE_ENTRIES 128u

struct host_opts {
	uint16_t port;
	const char *subnqn;
	const char *hostnqn; /* NULL: one made from `number` */
	unsigned number;     /* which host; its identifier follows from it */
	const char *source;
	uint8_t digests;
	uint8_t align; /* 0: 4 */
	uint32_t maxr2t;
	uint32_t kato_ms;
	unsigned queues; /* I/O queues to open */
};

struct host {
	struct raw_join join; /* of the admin queue */
	char hostnqn[96];
	struct host_opts opts;
	struct raw admin;
	struct raw *io; /* owned; opts.queues of them */
	struct nvme_cap cap;
	struct nvme_id_ctrl ctrl;
	uint32_t capsule_max; /* of in-capsule data, by IOCCSZ */
	uint32_t data_max;    /* of a command, by MDTS */
	const char *why;
};

MUST_USE int host_open(struct host *host, const struct host_opts *opts);
void host_close(struct host *host);

/* The steps of host_open(), for those who want to stop between them. */
void host_init(struct host *host, const struct host_opts *opts);
MUST_USE int host_open_admin(struct host *host); /* up to the answer of Connect */
MUST_USE int host_enable(struct host *host);
MUST_USE int host_open_io(struct host *host, unsigned i);

MUST_USE int host_property_get(struct host *host, uint32_t offset, unsigned bytes,
			       uint64_t *ret_value);
MUST_USE int host_property_set(struct host *host, uint32_t offset, unsigned bytes, uint64_t value);
/* The status is the caller's to look at: 0 if the command had an answer. */
MUST_USE int host_admin(struct host *host, struct raw_command *command);
MUST_USE int host_identify(struct host *host, uint8_t cns, uint32_t nsid, uint8_t csi,
			   uint8_t ret[NVME_IDENTIFY_BYTES], uint16_t *ret_status);
MUST_USE int host_log(struct host *host, const struct nvme_get_log *log, uint32_t nsid,
		      uint8_t *ret, uint16_t *ret_status);

/* Reads and writes blocks of namespace nsid on queue i. */
MUST_USE int host_read(struct host *host, unsigned i, uint32_t nsid, uint64_t lba, uint32_t blocks,
		       unsigned block, uint8_t *ret);
MUST_USE int host_write(struct host *host, unsigned i, uint32_t nsid, uint64_t lba, uint32_t blocks,
			unsigned block, const uint8_t *bytes);

#endif
