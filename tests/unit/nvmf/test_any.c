// SPDX-License-Identifier: Apache-2.0
/*
 * Any admin and reservation command, from two hosts and a discovery controller, while
 * namespaces come and go: each is answered once, within its data, or waits as an event request;
 * the state of the reservations stays one that can be.
 */
#include <stdlib.h>

#include "unit/nvmf/admin_rig.h"

#include "unit/pool/pool_rig.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_vendor.h"

#define COMMANDS 60000u
#define PARKED	 (3 * TGT_AERS_MAX + 1) /* and the one that is run */

struct any {
	struct admin_rig ar;
	struct pool_rig pr;
	struct prng prng;
	struct admin_cmd *parked[PARKED];
	bool fence;
	unsigned answered, refused, waited;
};

static uint32_t pick(struct any *any, const uint32_t *of, unsigned count)
{
	return of[prng_below(&any->prng, count)];
}

static uint32_t any_nsid(struct any *any)
{
	static const uint32_t nsids[] = { 0, 2, 3, 1024, 1025, NVME_NSID_MAX, NVME_NSID_ALL };

	return prng_below(&any->prng, 3) ? 1 : pick(any, nsids, ARRAY_LEN(nsids));
}

static uint32_t any_bytes(struct any *any)
{
	static const uint32_t sizes[] = { 0,   4,    8,	   16,	 32,   64,  256,
					  512, 1024, 4092, 4096, 4096, 8192 };

	return pick(any, sizes, ARRAY_LEN(sizes));
}

static uint32_t any_dword(struct any *any)
{
	switch (prng_below(&any->prng, 5)) {
	case 0:
		return 0;
	case 1:
		return (uint32_t)prng_u64(&any->prng);
	case 2:
		return UINT32_C(1) << prng_below(&any->prng, 32);
	default:
		return (uint32_t)prng_below(&any->prng, 300);
	}
}

static const uint32_t opcodes[] = { NVME_ADMIN_IDENTIFY,     NVME_ADMIN_GET_LOG_PAGE,
				    NVME_ADMIN_GET_FEATURES, NVME_ADMIN_SET_FEATURES,
				    NVME_ADMIN_ASYNC_EVENT,  NVME_VENDOR_CALL,
				    NVME_VENDOR_SEND,	     NVME_VENDOR_RECV };
static const uint32_t resv_opcodes[] = { NVME_IO_RESV_REGISTER, NVME_IO_RESV_REGISTER,
					 NVME_IO_RESV_ACQUIRE, NVME_IO_RESV_RELEASE,
					 NVME_IO_RESV_REPORT };
static const uint32_t lids[] = { 0, 1, 2, 3, 4, 5, 0xc, 0x12, 0x70, 0x80, 0xff };
static const uint32_t fids[] = { 1,   2,   4,	 5,    6,    7,	   0xa,	 0xb,
				 0xe, 0xf, 0x16, 0x81, 0x82, 0x83, 0xc0, 0xc0 };
static const uint32_t functions[] = { 1,    2,	  3,	0x10, 0x11, 0x12, 0x20,
				      0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27 };

/* Fields of a reservation command that may well be in order. */
static void resv_sqe(struct any *any, struct nvme_sqe *sqe)
{
	sqe->opcode = (uint8_t)pick(any, resv_opcodes, ARRAY_LEN(resv_opcodes));
	sqe->flags = NVME_PSDT_SGL;
	sqe->cdw10 = (uint32_t)prng_below(&any->prng, 3);
	sqe->cdw11 = 1;
	if (sqe->opcode == NVME_IO_RESV_REGISTER && prng_below(&any->prng, 2))
		sqe->cdw10 |= UINT32_C(2) << 30;
	else if (sqe->opcode == NVME_IO_RESV_REGISTER)
		sqe->cdw10 |= 1u << 3;
	else if (sqe->opcode == NVME_IO_RESV_REPORT)
		sqe->cdw10 = (uint32_t)prng_below(&any->prng, 1024);
	else
		sqe->cdw10 |= (1 + (uint32_t)prng_below(&any->prng, 2)) << 8;
}

/* The same of an admin command. */
static void admin_sqe(struct any *any, struct nvme_sqe *sqe)
{
	switch (sqe->opcode) {
	case NVME_ADMIN_IDENTIFY:
		sqe->cdw10 = (uint32_t)prng_below(&any->prng, 0x20);
		sqe->cdw11 = 0;
		break;
	case NVME_ADMIN_GET_LOG_PAGE:
		sqe->cdw10 = pick(any, lids, ARRAY_LEN(lids));
		sqe->cdw10 |= (uint32_t)prng_below(&any->prng, 512) << 16;
		sqe->cdw11 = 0;
		sqe->cdw12 &= 0x3fc;
		break;
	case NVME_ADMIN_GET_FEATURES:
	case NVME_ADMIN_SET_FEATURES:
		sqe->cdw10 = pick(any, fids, ARRAY_LEN(fids));
		sqe->cdw11 = (uint32_t)prng_below(&any->prng, 3);
		break;
	case NVME_VENDOR_CALL:
	case NVME_VENDOR_SEND:
	case NVME_VENDOR_RECV:
		sqe->cdw10 = pick(any, functions, ARRAY_LEN(functions));
		sqe->cdw11 = (uint32_t)prng_below(&any->prng, 3);
		break;
	default:
		break;
	}
	sqe->cdw13 = sqe->cdw14 = 0;
}

/* True: the fields make sense, and so should the data's size. */
static bool any_sqe(struct any *any, struct nvme_sqe *sqe)
{
	bool sane = prng_below(&any->prng, 4) != 0;

	*sqe = (struct nvme_sqe){ .nsid = any_nsid(any) };
	sqe->opcode = (uint8_t)pick(any, opcodes, ARRAY_LEN(opcodes));
	if (prng_below(&any->prng, 20) == 0)
		sqe->opcode = (uint8_t)prng_u64(&any->prng);
	sqe->cdw10 = any_dword(any);
	sqe->cdw11 = any_dword(any);
	sqe->cdw12 = any_dword(any);
	sqe->cdw13 = any_dword(any);
	sqe->cdw14 = any_dword(any);
	if (prng_below(&any->prng, 3) == 0)
		resv_sqe(any, sqe);
	else if (sane)
		admin_sqe(any, sqe);
	return sane;
}

static struct admin_cmd **parking(struct any *any)
{
	for (unsigned i = 0; i < PARKED; i++) {
		if (any->parked[i] && any->parked[i]->is_done) {
			mem_free(any->parked[i]);
			any->parked[i] = NULL;
		}
	}
	for (unsigned i = 0; i < PARKED; i++)
		if (!any->parked[i])
			return &any->parked[i];
	return NULL;
}

static void state_check(const struct any *any)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct tgt_ns *ns = any->ar.subsys->ns[i];

		if (!ns)
			continue;
		assert_true(ns->resv.count <= RESV_REGISTRANTS_MAX);
		assert_true((ns->resv.holder >= 0) == (ns->resv.type != 0)); /* V2 */
		assert_true(ns->resv.holder < (int32_t)ns->resv.count);
		assert_int_equal(ns->rules.resv_type, ns->resv.type);
		assert_int_equal(ns->users, 0);
	}
}

static void any_command(struct any *any)
{
	struct tgt_ctrl *ctrls[] = { any->ar.a, any->ar.a, any->ar.b, any->ar.b, any->ar.disc };
	struct tgt_ctrl *ctrl = ctrls[prng_below(&any->prng, ARRAY_LEN(ctrls))];
	struct admin_cmd **at = parking(any), *cmd;
	uint32_t bytes;
	uint16_t status;

	assert_non_null(at); /* A2: each controller parks no more than it may */
	cmd = *at = mem_new(any->ar.tgt.io, sizeof(*cmd));
	assert_non_null(cmd);
	bytes = any_sqe(any, &cmd->cmd.sqe) ? 4096 : any_bytes(any);
	for (unsigned i = 0; i < 64; i += 8) /* keys that grow, small regions */
		cmd->data[i] = (uint8_t)((any->answered + any->refused) / 1000 +
					 prng_below(&any->prng, 3));
	if (ctrl == any->ar.disc && cmd->cmd.sqe.flags)
		cmd->cmd.sqe.flags = 0; /* it has no I/O queues */
	status = admin_run(&any->ar, ctrl, cmd, bytes);
	assert_true(cmd->cmd.ret_bytes <= bytes);
	if (!cmd->is_done) {
		assert_int_equal(cmd->cmd.sqe.opcode, NVME_ADMIN_ASYNC_EVENT);
		any->waited++;
		return;
	}
	any->answered += status == 0;
	any->refused += status != 0;
}

static void any_change(struct fiber *f, struct any *any)
{
	static const char *const uris[] = { "pool:///p/r", "malloc:///a?size_mb=8",
					    "null:///b?size_mb=8" };
	uint32_t nsid = any->fence ? 1 : 1 + (uint32_t)prng_below(&any->prng, 3);
	struct tgt_ns *ns = tgt_ns_find(any->ar.subsys, nsid);

	if (ns)
		tgt_ns_remove(f, ns);
	else
		admin_ns(&any->ar, nsid, uris[nsid - 1]);
}

static void any_body(struct fiber *f, struct rig *rig)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=256" };
	const struct replica_create_args replica = { .name = "r", .size_bytes = 32 << 20 };
	uint64_t seed = *(uint64_t *)rig->arg;
	struct any any = { .fence = seed % 2 };
	struct tgt_subsys_args args = {
		.nqn = ADMIN_SUBNQN, .allow_any_host = true, .vendor = true, .fence = any.fence
	};

	prng_init(&any.prng, seed, 0);
	pool_rig_start(f, rig, &any.pr, disks, 1, 0);
	pool_ok(f, replica_create(f, any.pr.pool, &replica));
	admin_rig_start(f, rig, &any.ar, &args);
	for (unsigned i = 0; i < COMMANDS; i++) {
		any_command(&any);
		fiber_clear(f);
		if (i % 64 == 0)
			any_change(f, &any);
		if (i % 1024 == 0)
			tgt_ctrl_admin_reset(any.ar.a);
		state_check(&any);
	}
	print_message("# %u answered, %u refused, %u waited\n", any.answered, any.refused,
		      any.waited);
	assert_true(any.answered > COMMANDS / 10 && any.refused > COMMANDS / 20 && any.waited > 0);
	admin_rig_stop(&any.ar);
	for (unsigned i = 0; i < PARKED; i++)
		mem_free(any.parked[i]);
	pool_rig_stop(f, &any.pr);
}

static void any_command_is_answered_once(void **state)
{
	const char *given = getenv("ADMIN_ANY_SEED");
	uint64_t first = given ? strtoull(given, NULL, 0) : 1;

	for (uint64_t seed = first; seed <= (given ? first : 4); seed++) {
		print_message("# ADMIN_ANY_SEED=%llu\n", (unsigned long long)seed);
		rig_run(1, any_body, &seed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_command_is_answered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
