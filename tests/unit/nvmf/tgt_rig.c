// SPDX-License-Identifier: Apache-2.0
/* tgt_rig - see tgt_rig.h. */
#include "unit/unit.h"

#include <string.h>

#include "base/must.h"
#include "engine/drivers.h"
#include "reactor/fiber_io.h"
#include "reactor/reactor.h"
#include "unit/nvmf/tgt_rig.h"
#include "wire/nvme_io.h"
#include "wire/nvme_sgl.h"

/* ---- the world ------------------------------------------------------------------------- */

static void rig_open(struct fiber *f, struct rig *rig)
{
	const struct tgt_subsys_args subsys_args = {
		.nqn = RIG_NQN,
		.allow_any_host = true,
		.multipath = rig->multipath,
	};
	const struct tgt_ns_args ns_args = {
		.uri = rig->uri ? rig->uri : "malloc:///rig?size_mb=16",
	};

	rig->opts.reactors = rig->reactors;
	assert_int_equal(tgt_open(f, &rig->opts, &rig->tgt), 0);
	assert_int_equal(tgt_subsys_add(f, rig->tgt, &subsys_args, &rig->subsys), 0);
	assert_int_equal(tgt_ns_add(f, rig->subsys, &ns_args, &rig->ns), 0);
	for (unsigned i = 0; i < rig->ports; i++) {
		struct tgt_port_args port_args = { 0 };

		sim_host_addr(sim_proc_host(rig->proc), (uint16_t)(4420 + i), &port_args.addr);
		assert_int_equal(tgt_port_add(f, rig->tgt, &port_args, &rig->port[i]), 0);
	}
}

static int rig_main(struct fiber *f, void *arg)
{
	struct rig *rig = arg;

	rig->proc = sim_proc_of(fiber_io(f));
	rig_open(f, rig);
	rig->body(f, rig);
	tgt_close(f, rig->tgt);
	rig->is_done = true;
	return 0;
}

static bool rig_is_done(void *ctx)
{
	struct rig *rig = ctx;

	return rig->is_done;
}

void rig_run(struct rig *rig)
{
	struct mem_heap heap;

	rig->reactors = rig->reactors ? rig->reactors : 1;
	rig->ports = rig->ports ? rig->ports : 1;
	mem_heap_init(&heap);
	rig->sim = sim_new(&(struct sim_opts){ .seed = 1, .mem = &heap.mem });
	rig->proc = sim_proc_add(sim_host_add(rig->sim, "target"),
				 &(struct sim_proc_opts){ .name = "target",
							  .main = rig_main,
							  .arg = rig,
							  .reactors = rig->reactors,
							  .drivers = engine_drivers });
	if (!sim_run_until(rig->sim, rig_is_done, rig, 3600 * SIM_S))
		fail_msg("the test does not end: %s", sim_words(rig->sim));
	assert_true(sim_run_quiet(rig->sim, 60 * SIM_S)); /* closed connections are closed */
	sim_free(rig->sim);
	mem_heap_fini(&heap);
}

/* ---- streams ---------------------------------------------------------------------------- */

int host_dial(struct fiber *f, struct rig *rig, unsigned port, struct host *host)
{
	struct io_addr addr;

	*host = (struct host){ .rig = rig, .number = 1 };
	tgt_port_addr(rig->port[port], &addr);
	return fiber_connect(f, &addr, NULL, &host->sock);
}

void host_send(struct fiber *f, struct host *host, const void *bytes, size_t len)
{
	int r = fiber_send(f, host->sock, bytes, len);

	if (r < 0)
		fiber_clear(f); /* the test will see the end of the stream */
}

void host_close(struct host *host)
{
	if (host->sock)
		io_sock_close(host->sock);
	host->sock = NULL;
}

static bool recv_all(struct fiber *f, struct host *host, void *to, size_t len)
{
	int64_t r = len ? fiber_recv(f, host->sock, to, len) : 0;

	if (r < 0)
		fiber_clear(f);
	return r == (int64_t)len;
}

bool host_recv(struct fiber *f, struct host *host, struct reply *reply)
{
	struct nvmetcp_fault fault;
	uint8_t drop[512];
	int have = 0, need;

	while ((need = nvmetcp_decode(&host->rules, reply->head, (size_t)have, &reply->pdu,
				      &fault)) > 0) {
		if (!recv_all(f, host, reply->head + have, (size_t)(need - have)))
			return false;
		have = need;
	}
	assert_int_equal(need, 0);
	for (uint32_t left = reply->pdu.data_bytes; left > 0;) {
		uint32_t n = reply->data ? left : min_u32(left, sizeof(drop));

		if (!recv_all(f, host, reply->data ? reply->data : drop, n))
			return false;
		left -= n;
	}
	if (reply->pdu.type == NVMETCP_RESP)
		nvme_cqe_decode(reply->pdu.cqe, &reply->cqe);
	return true;
}

uint64_t host_wait_end(struct fiber *f, struct host *host)
{
	uint64_t start = io_now(fiber_io(f));
	uint8_t byte;

	assert_int_equal(fiber_recv(f, host->sock, &byte, 1), 0);
	return io_now(fiber_io(f)) - start;
}

/* ---- PDUs ----------------------------------------------------------------------------------- */

void host_open(struct fiber *f, struct rig *rig, unsigned port, struct host *host)
{
	const struct nvmetcp_ic icreq = { .align = 4 };
	uint8_t bytes[NVMETCP_IC_BYTES];
	struct reply reply = { 0 };

	assert_int_equal(host_dial(f, rig, port, host), 0);
	nvmetcp_rules_init(&host->rules, false);
	host_send(f, host, bytes, nvmetcp_icreq_encode(&icreq, bytes));
	assert_true(host_recv(f, host, &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_ICRESP);
	nvmetcp_rules_agree(&host->rules, &icreq, &reply.pdu.ic);
}

static void host_capsule(struct fiber *f, struct host *host, struct nvme_sqe *sqe,
			 const struct nvme_sgl *sgl, const void *data)
{
	uint32_t bytes = data ? sgl->length : 0;
	uint8_t head[NVMETCP_HEAD_MAX];
	unsigned head_bytes;

	sqe->cid = host->cid++;
	nvme_sgl_encode(sgl, sqe);
	head_bytes = nvmetcp_cmd_encode(&host->rules, sqe, bytes, head);
	host_send(f, host, head, head_bytes);
	if (bytes)
		host_send(f, host, data, bytes);
}

void host_command(struct fiber *f, struct host *host, struct nvme_sqe *sqe, const void *data,
		  uint32_t bytes)
{
	const struct nvme_sgl sgl = { .in_capsule = data, .length = bytes };

	host_capsule(f, host, sqe, &sgl, data);
}

void host_command_far(struct fiber *f, struct host *host, struct nvme_sqe *sqe, uint32_t bytes)
{
	const struct nvme_sgl sgl = { .length = bytes };

	host_capsule(f, host, sqe, &sgl, NULL);
}

uint16_t host_answer(struct fiber *f, struct host *host, struct nvme_cqe *ret)
{
	struct reply reply = { 0 };

	do {
		if (!host_recv(f, host, &reply))
			fail_msg("the stream ended before the answer");
		if (reply.pdu.type == NVMETCP_C2H_DATA && reply.pdu.flags & NVMETCP_SUCCESS)
			return 0;
	} while (reply.pdu.type == NVMETCP_C2H_DATA);
	assert_int_equal(reply.pdu.type, NVMETCP_RESP);
	if (ret)
		*ret = reply.cqe;
	return reply.cqe.status & NVME_SC_MASK;
}

/* ---- commands --------------------------------------------------------------------------------- */

void host_start_connect(struct fiber *f, struct host *host, uint16_t qid, uint16_t entries,
			uint32_t kato_ms)
{
	struct nvme_connect connect = {
		.qid = qid,
		.sqsize = (uint16_t)(entries - 1),
		.cattr = NVME_CATTR_NO_FLOW_CONTROL,
		.kato_ms = kato_ms,
		.host_id = { 1, host->number },
		.cntlid = qid ? host->cntlid : NVME_CNTLID_ANY,
		.subnqn = RIG_NQN,
		.hostnqn = "nqn.2014-08.org.nvmexpress:host",
	};
	uint8_t data[NVME_CONNECT_DATA_BYTES];
	struct nvme_sqe sqe = { 0 };

	nvme_connect_encode(&connect, &sqe, data);
	host_command(f, host, &sqe, data, sizeof(data));
}

uint16_t host_connect(struct fiber *f, struct host *host, uint16_t qid, uint16_t entries,
		      uint32_t kato_ms)
{
	struct nvme_cqe cqe;
	uint16_t status;

	host_start_connect(f, host, qid, entries, kato_ms);
	status = host_answer(f, host, &cqe);
	if (!status && !qid)
		host->cntlid = nvme_connect_result_cntlid(cqe.result);
	return status;
}

void host_start_cc(struct fiber *f, struct host *host, bool enable, unsigned shn)
{
	const struct nvme_cc cc = {
		.enable = enable, .shn = (uint8_t)shn, .iosqes = 6, .iocqes = 4
	};
	const struct nvme_property property = {
		.offset = NVME_PROP_CC,
		.bytes = 4,
		.value = nvme_cc_encode(&cc),
	};
	struct nvme_sqe sqe = { 0 };

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &sqe);
	host_command(f, host, &sqe, NULL, 0);
}

uint16_t host_set_cc(struct fiber *f, struct host *host, bool enable, unsigned shn)
{
	host_start_cc(f, host, enable, shn);
	return host_answer(f, host, NULL);
}

uint32_t host_csts(struct fiber *f, struct host *host)
{
	const struct nvme_property property = { .offset = NVME_PROP_CSTS, .bytes = 4 };
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &sqe);
	host_command(f, host, &sqe, NULL, 0);
	assert_int_equal(host_answer(f, host, &cqe), 0);
	return (uint32_t)cqe.result;
}

uint16_t host_keep_alive(struct fiber *f, struct host *host)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_KEEP_ALIVE };

	host_command(f, host, &sqe, NULL, 0);
	return host_answer(f, host, NULL);
}

void host_admin(struct fiber *f, struct rig *rig, unsigned port, struct host *host, uint8_t number,
		uint32_t kato_ms)
{
	host_open(f, rig, port, host);
	host->number = number;
	assert_int_equal(host_connect(f, host, 0, 32, kato_ms), 0);
	assert_int_equal(host_set_cc(f, host, true, 0), 0);
	assert_int_equal(host_csts(f, host), NVME_CSTS_READY);
}

void host_io(struct fiber *f, const struct host *admin, unsigned port, struct host *host,
	     uint16_t qid, uint16_t entries)
{
	host_open(f, admin->rig, port, host);
	host->number = admin->number;
	host->cntlid = admin->cntlid;
	assert_int_equal(host_connect(f, host, qid, entries, 0), 0);
}

struct nvme_sqe rw_sqe(uint8_t opcode, uint64_t lba, uint32_t blocks)
{
	const struct nvme_rw rw = { .lba = lba, .blocks = blocks };
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = 1 };

	nvme_rw_encode(&rw, &sqe);
	return sqe;
}
