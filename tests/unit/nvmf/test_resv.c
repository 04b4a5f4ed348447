// SPDX-License-Identifier: Apache-2.0
/*
 * Reservation commands of two hosts: what they answer, what other hosts are told, what is kept
 * by a pool's replica over a restart, and fences (X1 to X3, V3, V4).
 */
#include "unit/nvmf/admin_rig.h"

#include "base/le.h"
#include "bdev/replica.h"
#include "pool/pool_priv.h"
#include "unit/pool/pool_rig.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_log.h"
#include "wire/nvme_resv.h"

#define CONFLICT (NVME_RESERVATION_CONFLICT | NVME_DNR)
#define WE	 NVME_RESV_WRITE_EXCLUSIVE
#define EA	 NVME_RESV_EXCLUSIVE_ACCESS

static uint16_t resv(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint8_t opcode,
		     struct nvme_resv_cmd args)
{
	struct admin_cmd cmd = { 0 };

	cmd.cmd.sqe.opcode = opcode;
	cmd.cmd.sqe.flags = NVME_PSDT_SGL;
	cmd.cmd.sqe.nsid = 1;
	nvme_resv_encode(&args, &cmd.cmd.sqe, cmd.data);
	return admin_run(ar, ctrl, &cmd, (uint32_t)nvme_resv_data_bytes(opcode));
}

static uint16_t reg(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint64_t key)
{
	return resv(ar, ctrl, NVME_IO_RESV_REGISTER, (struct nvme_resv_cmd){ .new_key = key });
}

/* As a nexus does: whatever was there, kept over restarts. */
static uint16_t reg_persist(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint64_t key)
{
	return resv(ar, ctrl, NVME_IO_RESV_REGISTER,
		    (struct nvme_resv_cmd){ .action = NVME_RESV_REPLACE,
					    .iekey = true,
					    .new_key = key,
					    .cptpl = NVME_RESV_PTPL_ON });
}

static uint16_t acquire(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint64_t key, uint8_t type)
{
	return resv(ar, ctrl, NVME_IO_RESV_ACQUIRE,
		    (struct nvme_resv_cmd){ .key = key, .type = type });
}

static uint16_t preempt_abort(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint64_t key,
			      uint64_t victim, uint8_t type)
{
	return resv(ar, ctrl, NVME_IO_RESV_ACQUIRE,
		    (struct nvme_resv_cmd){ .action = NVME_RESV_PREEMPT_ABORT,
					    .key = key,
					    .new_key = victim,
					    .type = type });
}

static uint16_t report(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		       uint32_t bytes, bool extended)
{
	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	cmd->cmd.sqe.opcode = NVME_IO_RESV_REPORT;
	cmd->cmd.sqe.flags = NVME_PSDT_SGL;
	cmd->cmd.sqe.nsid = 1;
	cmd->cmd.sqe.cdw10 = bytes / 4 - 1;
	cmd->cmd.sqe.cdw11 = extended;
	return admin_run(ar, ctrl, cmd, bytes);
}

static void report_host(struct admin_rig *ar, struct admin_cmd *cmd, unsigned i,
			struct nvme_resv_host *ret)
{
	assert_int_equal(nvme_resv_host_decode(cmd->data, sizeof(cmd->data), true, i, ret), 0);
}

RIG_TEST(two_hosts_take_turns)
{
	struct nvme_resv_report head;
	struct nvme_resv_host host;
	struct admin_cmd cmd, part;
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(reg(&ar, ar.a, 1), 0);
	assert_int_equal(reg(&ar, ar.b, 2), 0);
	assert_int_equal(acquire(&ar, ar.a, 1, WE), 0);
	assert_int_equal(ar.counts.rules.resv_type, WE);
	assert_true(uuid_equal(&ar.counts.rules.resv_holder, &ar.a->host_id));
	assert_int_equal(acquire(&ar, ar.b, 2, WE), CONFLICT);
	assert_int_equal(report(&ar, ar.b, &cmd, 4096, true), 0);
	assert_int_equal(nvme_resv_report_decode(cmd.data, 4096, true, &head), 0);
	assert_true(head.generation == 2 && head.type == WE && head.registrants == 2 && !head.ptpl);
	report_host(&ar, &cmd, 0, &host);
	assert_true(host.cntlid == 1 && host.holder && host.key == 1);
	assert_memory_equal(host.host_id, ar.a->host_id.bytes, 16);
	report_host(&ar, &cmd, 1, &host);
	assert_true(host.cntlid == 2 && !host.holder && host.key == 2);
	assert_int_equal(report(&ar, ar.b, &part, 64, true), 0); /* cut, the count is whole */
	assert_memory_equal(part.data, cmd.data, 64);
	assert_int_equal(part.data[64], 0);
	assert_int_equal(report(&ar, ar.b, &cmd, 4096, false),
			 NVME_HOST_ID_INCONSISTENT | NVME_DNR);
	ar.b->state = TGT_CTRL_CLOSING;
	assert_int_equal(report(&ar, ar.a, &cmd, 4096, true), 0);
	report_host(&ar, &cmd, 1, &host);
	assert_int_equal(host.cntlid, 0xffff);
	ar.b->state = TGT_CTRL_LIVE;
	assert_int_equal(ar.counts.drained, 0);
	assert_int_equal(preempt_abort(&ar, ar.b, 2, 1, EA), 0);
	assert_int_equal(ar.counts.drained, 1); /* X1 */
	assert_int_equal(ar.counts.rules.resv_type, EA);
	assert_int_equal(ar.counts.token, 0); /* no fence here */
	admin_rig_stop(&ar);
}

RIG_TEST(commands_that_cannot_be_are_refused)
{
	struct tgt_subsys_args args = { .nqn = ADMIN_SUBNQN, .no_reservations = true };
	struct admin_cmd cmd = { 0 };
	struct nvme_id_ns id;
	struct admin_rig ar;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(reg(&ar, ar.a, 1), ADMIN_NO_NS);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(reg_persist(&ar, ar.a, 1), ADMIN_BAD); /* this disk keeps nothing */
	assert_int_equal(reg(&ar, ar.a, 1), 0);
	assert_int_equal(acquire(&ar, ar.a, 1, NVME_RESV_WRITE_EXCLUSIVE_REG), ADMIN_BAD);
	cmd.cmd.sqe.opcode = NVME_IO_RESV_REGISTER;
	cmd.cmd.sqe.flags = NVME_PSDT_SGL;
	cmd.cmd.sqe.nsid = 1;
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 8), NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, TGT_ANA_INACCESSIBLE), 0);
	assert_int_equal(reg(&ar, ar.b, 1), NVME_ANA_INACCESSIBLE);
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, TGT_ANA_CHANGE), 0);
	assert_int_equal(reg(&ar, ar.b, 1), NVME_ANA_TRANSITION);
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, TGT_ANA_OPTIMIZED), 0);
	ar.b->host_id = (struct uuid){ { 0 } };
	assert_int_equal(reg(&ar, ar.b, 1), NVME_HOST_ID_INCONSISTENT | NVME_DNR);
	admin_rig_stop(&ar);

	admin_rig_start(f, rig, &ar, &args);
	ns = admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(reg(&ar, ar.a, 1), NVME_INVALID_OPCODE | NVME_DNR);
	tgt_id_ns(ns, &id);
	assert_int_equal(id.rescap, 0);
	admin_rig_stop(&ar);
}

static uint32_t next_notice(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct nvme_resv_log *ret)
{
	struct admin_cmd cmd = { 0 };

	nvme_get_log_encode(&(struct nvme_get_log){ .lid = NVME_LID_RESERVATION, .length = 64 },
			    &cmd.cmd.sqe);
	assert_int_equal(admin_run(ar, ctrl, &cmd, 64), 0);
	assert_int_equal(nvme_resv_log_decode(cmd.data, 64, ret), 0);
	return ret->event;
}

RIG_TEST(hosts_that_lost_are_told)
{
	uint32_t told = nvme_event_encode(NVME_EVENT_RESERVATION, NVME_LID_RESERVATION);
	struct admin_cmd aer, aer2;
	struct nvme_resv_log log;
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_NONE);
	assert_true(log.count == 0);
	assert_int_equal(reg(&ar, ar.a, 1), 0);
	assert_int_equal(reg(&ar, ar.b, 2), 0);
	assert_int_equal(admin_aer(&ar, ar.a, &aer), 0);
	assert_int_equal(preempt_abort(&ar, ar.b, 2, 1, EA), 0);
	assert_true(aer.is_done);
	assert_int_equal(aer.cmd.result, told);
	assert_int_equal(reg(&ar, ar.a, 1), 0);
	assert_int_equal(resv(&ar, ar.b, NVME_IO_RESV_RELEASE,
			      (struct nvme_resv_cmd){ .action = NVME_RESV_CLEAR, .key = 2 }),
			 0);
	assert_int_equal(admin_aer(&ar, ar.a, &aer2), 0); /* masked: the page was not read */
	assert_false(aer2.is_done);
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_PREEMPTED);
	assert_true(log.count == 1 && log.more == 1 && log.nsid == 1);
	assert_true(aer2.is_done); /* one is left */
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_RESV_PREEMPTED);
	assert_true(log.count == 2 && log.more == 0);
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_NONE);
	assert_int_equal(next_notice(&ar, ar.b, &log), NVME_RESV_EVENT_NONE); /* its own doing */
	admin_rig_stop(&ar);
}

RIG_TEST(notices_are_masked_and_limited)
{
	struct nvme_resv_log log;
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(reg(&ar, ar.b, 2), 0);
	for (unsigned i = 0; i < TGT_RESV_LOGS_MAX + 3; i++) {
		assert_int_equal(reg(&ar, ar.a, 1), 0);
		assert_int_equal(preempt_abort(&ar, ar.b, 2, 1, EA), 0);
	}
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_PREEMPTED);
	assert_true(log.count == 4 && log.more == TGT_RESV_LOGS_MAX - 1); /* A2: a gap */
	tgt_ctrl_admin_reset(ar.a);
	ar.a->admin.resv_mask[0] = NVME_RESV_MASK_PREEMPTED;
	assert_int_equal(reg(&ar, ar.a, 1), 0);
	assert_int_equal(preempt_abort(&ar, ar.b, 2, 1, EA), 0);
	assert_int_equal(next_notice(&ar, ar.a, &log), NVME_RESV_EVENT_NONE);
	admin_rig_stop(&ar);
}

/* ---- a pool's replica ----------------------------------------------------------------------- */

static void pool_start(struct fiber *f, struct rig *rig, struct pool_rig *pr)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=64" };
	const struct replica_create_args args = { .name = "r", .size_bytes = 32 << 20 };

	pool_rig_start(f, rig, pr, disks, 1, 0);
	pool_ok(f, replica_create(f, pr->pool, &args));
}

RIG_TEST(what_persists_is_there_after_a_restart)
{
	struct nvme_resv_report head;
	struct admin_cmd cmd;
	struct admin_rig ar;
	struct nvme_id_ns id;
	struct pool_rig pr;

	pool_start(f, rig, &pr);
	admin_rig_start(f, rig, &ar, NULL);
	tgt_id_ns(admin_ns(&ar, 1, "pool:///p/r"), &id);
	assert_true(id.rescap & NVME_RESCAP_PTPL);
	assert_int_equal(reg_persist(&ar, ar.a, 1), 0);
	assert_int_equal(acquire(&ar, ar.a, 1, EA), 0);
	admin_rig_stop(&ar);
	pool_rig_crash(f, &pr);

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "pool:///p/r");
	assert_int_equal(ar.counts.rules.resv_type, EA);
	assert_true(uuid_equal(&ar.counts.rules.resv_holder, &ar.a->host_id));
	assert_int_equal(report(&ar, ar.b, &cmd, 4096, true), 0);
	assert_int_equal(nvme_resv_report_decode(cmd.data, 4096, true, &head), 0);
	assert_true(head.ptpl && head.registrants == 1 && head.generation == 1);
	/* switched off: gone with the next restart */
	assert_int_equal(resv(&ar, ar.a, NVME_IO_RESV_REGISTER,
			      (struct nvme_resv_cmd){ .new_key = 1, .cptpl = NVME_RESV_PTPL_OFF }),
			 0);
	admin_rig_stop(&ar);
	pool_rig_crash(f, &pr);
	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "pool:///p/r");
	assert_int_equal(ar.counts.rules.resv_type, 0);
	admin_rig_stop(&ar);
	pool_rig_stop(f, &pr);
}

RIG_TEST(a_fence_is_durable_and_never_goes_down)
{
	struct tgt_subsys_args args = { .nqn = ADMIN_SUBNQN,
					.allow_any_host = true,
					.fence = true };
	uint64_t old = replica_token(5, 0), new = replica_token(6, 0);
	struct replica_info info;
	struct admin_rig ar;
	struct pool_rig pr;
	struct tgt_ns *ns;

	pool_start(f, rig, &pr);
	admin_rig_start(f, rig, &ar, &args);
	ns = admin_ns(&ar, 1, "pool:///p/r");
	assert_true(ar.a->token == 0); /* X3 */
	assert_int_equal(reg_persist(&ar, ar.a, old), 0);
	assert_true(ar.a->token == old);
	assert_int_equal(acquire(&ar, ar.a, old, EA), 0);
	assert_int_equal(bdev_replica_ops(ns->chan)->info(f, ns->chan, &info), 0);
	assert_true(info.fence == old);
	assert_int_equal(ar.counts.drained, 1);
	assert_int_equal(reg_persist(&ar, ar.b, old - 1), CONFLICT);
	assert_int_equal(reg_persist(&ar, ar.b, new), 0);
	assert_int_equal(acquire(&ar, ar.a, old, EA),
			 CONFLICT); /* a newer one is about to take it */
	assert_int_equal(preempt_abort(&ar, ar.b, new, old, EA), 0);
	assert_true(ar.b->token == new &&ar.a->token == old);
	assert_int_equal(bdev_replica_ops(ns->chan)->info(f, ns->chan, &info), 0);
	assert_true(info.fence == new);
	admin_rig_stop(&ar);
	pool_rig_crash(f, &pr);

	admin_rig_start(f, rig, &ar, &args);
	admin_ns(&ar, 1, "pool:///p/r");
	assert_true(uuid_equal(&ar.counts.rules.resv_holder, &ar.b->host_id));
	assert_int_equal(reg_persist(&ar, ar.a, old), CONFLICT);
	assert_int_equal(resv(&ar, ar.b, NVME_IO_RESV_RELEASE,
			      (struct nvme_resv_cmd){ .action = NVME_RESV_CLEAR, .key = new }),
			 0);
	assert_int_equal(reg_persist(&ar, ar.a, old), CONFLICT); /* V3: free, and fenced still */
	assert_int_equal(reg_persist(&ar, ar.a, new + 1), 0);
	admin_rig_stop(&ar);
	pool_rig_stop(f, &pr);
}

/* X2: the pool cannot keep it: nothing changed. */
RIG_TEST(what_was_not_kept_did_not_happen)
{
	struct nvme_resv_report head;
	struct admin_cmd cmd;
	struct admin_rig ar;
	struct pool_rig pr;

	pool_start(f, rig, &pr);
	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "pool:///p/r");
	assert_int_equal(reg_persist(&ar, ar.a, 1), 0);
	pool_fault(pr.pool, "test");
	assert_int_not_equal(acquire(&ar, ar.a, 1, EA), 0);
	fiber_clear(f);
	assert_int_equal(report(&ar, ar.b, &cmd, 4096, true), 0);
	assert_int_equal(nvme_resv_report_decode(cmd.data, 4096, true, &head), 0);
	assert_true(head.type == 0 && head.generation == 1 && head.registrants == 1);
	admin_rig_stop(&ar);
	pool_rig_crash(f, &pr);
	pool_rig_stop(f, &pr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_hosts_take_turns),
		cmocka_unit_test(commands_that_cannot_be_are_refused),
		cmocka_unit_test(hosts_that_lost_are_told),
		cmocka_unit_test(notices_are_masked_and_limited),
		cmocka_unit_test(what_persists_is_there_after_a_restart),
		cmocka_unit_test(a_fence_is_durable_and_never_goes_down),
		cmocka_unit_test(what_was_not_kept_did_not_happen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
