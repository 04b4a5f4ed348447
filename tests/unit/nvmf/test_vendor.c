// SPDX-License-Identifier: Apache-2.0
/*
 * Replica control over the wire (docs/nvme-vendor.md): refused unless negotiated, borne by the
 * association's token, carried to the replica and back whole.
 */
#include "unit/nvmf/admin_rig.h"

#include "base/le.h"
#include "bdev/replica.h"
#include "unit/pool/pool_rig.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_vendor.h"

#define CONFLICT  (NVME_RESERVATION_CONFLICT | NVME_DNR)
#define NO_OPCODE (NVME_INVALID_OPCODE | NVME_DNR)
#define TOKEN(e)  replica_token(e, 0)

static const struct tgt_subsys_args replica_args = {
	.nqn = ADMIN_SUBNQN, .allow_any_host = true, .fence = true, .vendor = true
};

struct vendor_rig {
	struct admin_rig ar;
	struct pool_rig pr;
};

static void vendor_start(struct fiber *f, struct rig *rig, struct vendor_rig *v)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=64" };
	const struct replica_create_args args = { .name = "r", .size_bytes = 1ull << 30 };

	pool_rig_start(f, rig, &v->pr, disks, 1, 0);
	pool_ok(f, replica_create(f, v->pr.pool, &args));
	admin_rig_start(f, rig, &v->ar, &replica_args);
	admin_ns(&v->ar, 1, "pool:///p/r");
}

static void vendor_stop(struct fiber *f, struct vendor_rig *v)
{
	admin_rig_stop(&v->ar);
	pool_rig_stop(f, &v->pr);
}

static uint16_t negotiate(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint32_t version)
{
	struct nvme_feature feature = { .fid = NVME_VENDOR_FID, .value = version };
	struct admin_cmd cmd = { 0 };

	cmd.cmd.sqe.opcode = NVME_ADMIN_SET_FEATURES;
	nvme_feature_encode(&feature, &cmd.cmd.sqe);
	return admin_run(ar, ctrl, &cmd, 0);
}

static uint16_t reg(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint64_t token)
{
	struct nvme_resv_cmd args = { .action = NVME_RESV_REPLACE,
				      .iekey = true,
				      .new_key = token };
	struct admin_cmd cmd = { 0 };

	cmd.cmd.sqe.opcode = NVME_IO_RESV_REGISTER;
	cmd.cmd.sqe.flags = NVME_PSDT_SGL;
	cmd.cmd.sqe.nsid = 1;
	nvme_resv_encode(&args, &cmd.cmd.sqe, cmd.data);
	return admin_run(ar, ctrl, &cmd, 16);
}

/* Data to send are in cmd->data. */
static uint16_t vendor(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		       struct nvme_vendor_cmd args, uint32_t bytes)
{
	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	nvme_vendor_encode(&args, &cmd->cmd.sqe);
	cmd->cmd.sqe.nsid = 1;
	return admin_run(ar, ctrl, cmd, bytes);
}

static uint16_t call(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint8_t function, uint32_t arg,
		     uint64_t value)
{
	struct admin_cmd cmd = { 0 };

	return vendor(ar, ctrl, &cmd,
		      (struct nvme_vendor_cmd){ NVME_VENDOR_CALL, function, arg, value }, 0);
}

static uint16_t send(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		     uint8_t function, uint32_t arg, uint32_t bytes)
{
	return vendor(ar, ctrl, cmd, (struct nvme_vendor_cmd){ NVME_VENDOR_SEND, function, arg, 0 },
		      bytes);
}

static uint16_t recv(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
		     uint8_t function, uint32_t arg, uint64_t value, uint32_t bytes)
{
	return vendor(ar, ctrl, cmd,
		      (struct nvme_vendor_cmd){ NVME_VENDOR_RECV, function, arg, value }, bytes);
}

static void info(struct admin_rig *ar, struct nvme_replica *ret)
{
	struct admin_cmd cmd;

	assert_int_equal(recv(ar, ar->a, &cmd, NVME_VENDOR_INFO, 0, 0, NVME_REPLICA_BYTES), 0);
	assert_int_equal(nvme_replica_decode(cmd.data, NVME_REPLICA_BYTES, ret), 0);
}

RIG_TEST(nothing_is_done_before_it_is_negotiated)
{
	struct admin_cmd cmd = { 0 };
	struct admin_rig plain;
	struct vendor_rig v;

	vendor_start(f, rig, &v);
	cmd.cmd.sqe.opcode = NVME_ADMIN_IDENTIFY;
	cmd.cmd.sqe.cdw10 = 1;
	assert_int_equal(admin_run(&v.ar, v.ar.a, &cmd, 4096), 0);
	assert_int_equal(nvme_vendor_offered(cmd.data, 4096), NVME_VENDOR_VERSION);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_INFO, 0, 0, 1024), NO_OPCODE);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 2), ADMIN_BAD);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 1), 0);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_INFO, 0, 0, 1024), 0);
	assert_int_equal(cmd.cmd.ret_bytes, 1024);
	assert_int_equal(recv(&v.ar, v.ar.b, &cmd, NVME_VENDOR_INFO, 0, 0, 1024), NO_OPCODE);
	tgt_ctrl_admin_reset(v.ar.a); /* as everything a host had set */
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_INFO, 0, 0, 1024), NO_OPCODE);
	vendor_stop(f, &v);

	admin_rig_start(f, rig, &plain, NULL); /* others do not offer it */
	admin_ns(&plain, 1, "malloc:///m?size_mb=8");
	memset(&cmd.cmd, 0, sizeof(cmd.cmd));
	cmd.cmd.sqe.opcode = NVME_ADMIN_IDENTIFY;
	cmd.cmd.sqe.cdw10 = 1;
	assert_int_equal(admin_run(&plain, plain.a, &cmd, 4096), 0);
	assert_int_equal(nvme_vendor_offered(cmd.data, 4096), 0);
	assert_int_equal(negotiate(&plain, plain.a, 1), ADMIN_BAD);
	assert_int_equal(recv(&plain, plain.a, &cmd, NVME_VENDOR_INFO, 0, 0, 1024), NO_OPCODE);
	admin_rig_stop(&plain);
}

RIG_TEST(changes_want_a_token_that_is_not_stale)
{
	struct nvme_replica replica;
	struct vendor_rig v;

	vendor_start(f, rig, &v);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 1), 0);
	assert_int_equal(negotiate(&v.ar, v.ar.b, 1), 0);
	assert_int_equal(call(&v.ar, v.ar.a, NVME_VENDOR_FENCE, 0, 0), CONFLICT); /* Y2 */
	assert_int_equal(reg(&v.ar, v.ar.a, TOKEN(5)), 0);
	assert_int_equal(call(&v.ar, v.ar.a, NVME_VENDOR_FENCE, 0, 0), 0);
	info(&v.ar, &replica);
	assert_true(replica.fence == TOKEN(5));
	assert_int_equal(reg(&v.ar, v.ar.b, TOKEN(6)), 0);
	assert_int_equal(call(&v.ar, v.ar.b, NVME_VENDOR_FENCE, 0, 0), 0);
	assert_int_equal(call(&v.ar, v.ar.a, NVME_VENDOR_FENCE, 0, 0), CONFLICT);
	assert_int_equal(call(&v.ar, v.ar.a, NVME_VENDOR_RESIZE, 0, 1 << 22), CONFLICT);
	assert_int_equal(call(&v.ar, v.ar.b, NVME_VENDOR_RESIZE, 0, 1 << 22), 0);
	assert_int_equal(call(&v.ar, v.ar.b, NVME_VENDOR_RESIZE, 0, 1), ADMIN_BAD);
	assert_int_equal(call(&v.ar, v.ar.b, NVME_VENDOR_MISS_DROP, 2, 0), ADMIN_BAD);
	assert_int_equal(call(&v.ar, v.ar.b, 0x7f, 0, 0), ADMIN_BAD);
	assert_int_equal(call(&v.ar, v.ar.b, NVME_VENDOR_SET, 0, 0), ADMIN_BAD);
	vendor_stop(f, &v);
}

RIG_TEST(what_is_set_is_told)
{
	struct nvme_replica replica = { .gen_epoch = 5,
					.gen_n = 3,
					.state = REPLICA_IN_SYNC,
					.unclean = 1,
					.member_count = 2 };
	struct admin_cmd cmd = { 0 };
	struct vendor_rig v;
	struct nvme_replica back;

	vendor_start(f, rig, &v);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 1), 0);
	assert_int_equal(reg(&v.ar, v.ar.a, TOKEN(5)), 0);
	memset(replica.volume, 7, 16);
	memset(replica.members[0], 8, 16);
	memset(replica.members[1], 9, 16);
	nvme_replica_encode(&replica, cmd.data);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SET,
			      REPLICA_SET_VOLUME | REPLICA_SET_GEN | REPLICA_SET_STATE |
				      REPLICA_SET_UNCLEAN,
			      NVME_REPLICA_BYTES),
			 0);
	info(&v.ar, &back);
	assert_memory_equal(back.volume, replica.volume, 16);
	assert_true(back.gen_epoch == 5 && back.gen_n == 3);
	assert_true(back.state == REPLICA_IN_SYNC && back.unclean == 1 && back.member_count == 2);
	assert_memory_equal(back.members, replica.members, 32);
	assert_int_equal(back.region_bytes, REPLICA_REGION_BYTES_DEFAULT);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SET, 1, 512),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	cmd.data[64] = 4; /* no such state */
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SET, 1, NVME_REPLICA_BYTES),
			 ADMIN_BAD);
	vendor_stop(f, &v);
}

RIG_TEST(regions_are_marked_and_read_back_in_windows)
{
	struct nvme_miss_open open = { .gen_epoch = 4, .gen_n = 1 };
	struct admin_cmd cmd = { 0 };
	struct nvme_replica replica;
	struct vendor_rig v;

	vendor_start(f, rig, &v);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 1), 0);
	assert_int_equal(reg(&v.ar, v.ar.a, TOKEN(5)), 0);
	le64_put(cmd.data, 1);
	le64_put(cmd.data + 8, 130);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_SET, 0, 16), 0);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_GET, 0, 0, 32), 0);
	assert_true(le64_get(cmd.data) == 2 && le64_get(cmd.data + 8) == 0);
	assert_true(le64_get(cmd.data + 16) == 4);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_GET, 0, 2, 8), 0);
	assert_true(le64_get(cmd.data) == 4);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_GET, 0, 99, 8), ADMIN_BAD);
	le64_put(cmd.data, 130);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_CLEAR, 0, 8), 0);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_GET, 0, 2, 8), 0);
	assert_true(le64_get(cmd.data) == 0);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_AL_SET, 0, 12),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);

	memset(open.peer, 3, 16);
	nvme_miss_open_encode(&open, cmd.data);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_MISS_OPEN, 0, 32), 0);
	assert_int_equal(cmd.cmd.result, 0);
	le64_put(cmd.data, 64);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_MISS_ADD, 0, 8), 0);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_MISS_GET, 0, 0, 32), 0);
	assert_true(le64_get(cmd.data + 8) == 1);
	assert_int_equal(recv(&v.ar, v.ar.a, &cmd, NVME_VENDOR_MISS_GET, 2, 0, 32), ADMIN_BAD);
	info(&v.ar, &replica);
	assert_memory_equal(replica.miss_peer[0], open.peer, 16);
	assert_true(replica.miss_epoch[0] == 4 && replica.miss_dirty[0] == 1);
	assert_int_equal(call(&v.ar, v.ar.a, NVME_VENDOR_MISS_DROP, 0, 0), 0);
	vendor_stop(f, &v);
}

RIG_TEST(snapshots_go_in_two_steps)
{
	struct nvme_snap snap = { .name = "s1" };
	struct admin_cmd cmd = { 0 };
	struct vendor_rig v;

	vendor_start(f, rig, &v);
	assert_int_equal(negotiate(&v.ar, v.ar.a, 1), 0);
	assert_int_equal(reg(&v.ar, v.ar.a, TOKEN(5)), 0);
	memset(snap.uuid, 0x11, 16);
	nvme_snap_encode(&snap, cmd.data);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_PREPARE, 0, 256), 0);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_COMMIT, 0, 256), 0);
	memset(snap.uuid, 0x22, 16);
	strcpy(snap.name, "s2");
	nvme_snap_encode(&snap, cmd.data);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_PREPARE, 0, 256), 0);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_ABORT, 0, 256), 0);
	assert_int_not_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_COMMIT, 0, 256), 0);
	assert_int_equal(send(&v.ar, v.ar.a, &cmd, NVME_VENDOR_SNAP_PREPARE, 0, 255),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	vendor_stop(f, &v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_done_before_it_is_negotiated),
		cmocka_unit_test(changes_want_a_token_that_is_not_stale),
		cmocka_unit_test(what_is_set_is_told),
		cmocka_unit_test(regions_are_marked_and_read_back_in_windows),
		cmocka_unit_test(snapshots_go_in_two_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
