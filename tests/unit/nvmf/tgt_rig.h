/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_rig - a target in a simulated process, and a host made of bytes beside it.
 *
 * A test's body runs as a fiber of the process that serves: what takes minutes takes none. The
 * host speaks one command at a time unless told otherwise, in the capsule what fits.
 */
#ifndef TESTS_UNIT_NVMF_TGT_RIG_H
#define TESTS_UNIT_NVMF_TGT_RIG_H

#include "nvmf/tgt.h"
#include "reactor/fiber.h"
#include "sim/sim.h"
#include "wire/nvme.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_status.h"
#include "wire/nvmetcp.h"

#define RIG_NQN "nqn.2019-05.io.openebs:rig"

struct rig {
	/* set by the test before rig_run() */
	const char *uri;			 /* of namespace 1; NULL: malloc, 16 MiB */
	unsigned reactors, ports; /* 0: 1 */
	bool multipath;
	struct tgt_opts opts;
	void (*body)(struct fiber *f, struct rig *rig);

	struct sim *sim;
	struct sim_proc *proc;
	struct tgt *tgt;
	struct tgt_subsys *subsys;
	struct tgt_ns *ns;
	struct tgt_port *port[64];
	bool is_done;
};

/* Plays it; everything must end, and all memory be given back. */
void rig_run(struct rig *rig);

/* ---- a host ----------------------------------------------------------------------- */

struct host {
	struct rig *rig;
	struct io_sock *sock;
	struct nvmetcp_rules rules;
	uint16_t cid, cntlid;
	uint8_t number; /* its identity */
};

/* The bytes of a PDU that came. */
struct reply {
	struct nvmetcp_pdu pdu;
	struct nvme_cqe cqe; /* RESP */
	uint8_t head[NVMETCP_HEAD_MAX];
	uint8_t *data; /* room of the caller's, or NULL: dropped */
};

/* TCP only; 0 or an error. */
int host_dial(struct fiber *f, struct rig *rig, unsigned port, struct host *host);
/* And ICReq, ICResp. */
void host_open(struct fiber *f, struct rig *rig, unsigned port, struct host *host);
void host_close(struct host *host);
void host_send(struct fiber *f, struct host *host, const void *bytes, size_t len);
/* False: the stream has ended. */
bool host_recv(struct fiber *f, struct host *host, struct reply *reply);
/* When (ns from now) the target closes it; nothing else may come. */
uint64_t host_wait_end(struct fiber *f, struct host *host);

/* A capsule, with data in it (or none: NULL, 0). Sets the SGL and the CID. */
void host_command(struct fiber *f, struct host *host, struct nvme_sqe *sqe, const void *data,
		  uint32_t bytes);
/* One that says its data comes, or goes, in PDUs of its own. */
void host_command_far(struct fiber *f, struct host *host, struct nvme_sqe *sqe, uint32_t bytes);
/* The completion that comes next; C2HData before it is dropped. Status. */
uint16_t host_answer(struct fiber *f, struct host *host, struct nvme_cqe *ret);

/* Connect; status. Admin queue: qid 0; sets cntlid. */
uint16_t host_connect(struct fiber *f, struct host *host, uint16_t qid, uint16_t entries,
		      uint32_t kato_ms);
/* Without waiting for the answer. */
void host_start_connect(struct fiber *f, struct host *host, uint16_t qid, uint16_t entries,
			uint32_t kato_ms);
void host_start_cc(struct fiber *f, struct host *host, bool enable, unsigned shn);
/* open, connect, enable. */
void host_admin(struct fiber *f, struct rig *rig, unsigned port, struct host *host, uint8_t number,
		uint32_t kato_ms);
/* An I/O queue of the association of `admin`. */
void host_io(struct fiber *f, const struct host *admin, unsigned port, struct host *host,
	     uint16_t qid, uint16_t entries);
uint16_t host_set_cc(struct fiber *f, struct host *host, bool enable, unsigned shn);
uint32_t host_csts(struct fiber *f, struct host *host);
uint16_t host_keep_alive(struct fiber *f, struct host *host);

/* A read or write of blocks of 512 of namespace 1; not answered yet. */
struct nvme_sqe rw_sqe(uint8_t opcode, uint64_t lba, uint32_t blocks);

#define S_NS  (1000ull * 1000 * 1000)
#define MS_NS (1000ull * 1000)

#endif
