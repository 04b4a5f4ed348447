// SPDX-License-Identifier: Apache-2.0
/*
 * Features (Base 2.0, sections 5.15, 5.27).
 */
#include "unit/nvmf/admin_rig.h"

#include "base/le.h"
#include "wire/nvme_feature.h"

static uint16_t get_select(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
			   uint8_t fid, uint8_t select)
{
	struct nvme_feature feature = { .fid = fid, .select = select, .value = fid == 0x81 };

	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	cmd->cmd.sqe.opcode = NVME_ADMIN_GET_FEATURES;
	cmd->cmd.sqe.nsid = 1;
	nvme_feature_encode(&feature, &cmd->cmd.sqe);
	return admin_run(ar, ctrl, cmd, 512);
}

static uint32_t get(struct admin_rig *ar, struct admin_cmd *cmd, uint8_t fid)
{
	assert_int_equal(get_select(ar, ar->a, cmd, fid, NVME_SELECT_CURRENT), 0);
	return (uint32_t)cmd->cmd.result;
}

/* Data, if it has any, is in cmd->data. */
static uint16_t set(struct admin_rig *ar, struct admin_cmd *cmd, uint8_t fid, uint32_t value,
		    uint32_t nsid)
{
	struct nvme_feature feature = { .fid = fid, .value = value };

	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	cmd->cmd.sqe.opcode = NVME_ADMIN_SET_FEATURES;
	cmd->cmd.sqe.nsid = nsid;
	nvme_feature_encode(&feature, &cmd->cmd.sqe);
	return admin_run(ar, ar->a, cmd, 512);
}

static void set_ok(struct admin_rig *ar, uint8_t fid, uint32_t value)
{
	struct admin_cmd cmd = { 0 };

	assert_int_equal(set(ar, &cmd, fid, value, 0), 0);
}

static void set_bad(struct admin_rig *ar, uint8_t fid, uint32_t value, uint32_t nsid,
		    uint16_t status)
{
	struct admin_cmd cmd = { 0 };

	assert_int_equal(set(ar, &cmd, fid, value, nsid), status);
}

RIG_TEST(the_page_of_features_says_which_there_are)
{
	struct admin_rig ar;
	struct admin_cmd page, cmd;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	for (unsigned pass = 0; pass < 2; pass++) {
		struct tgt_ctrl *ctrl = pass ? ar.disc : ar.a;
		unsigned count = 0;

		memset(&page.cmd, 0, sizeof(page.cmd));
		nvme_get_log_encode(&(struct nvme_get_log){ .lid = NVME_LID_FEATURES,
							    .length = 1024 },
				    &page.cmd.sqe);
		assert_int_equal(admin_run(&ar, ctrl, &page, 1024), 0);
		for (unsigned fid = 0; fid < 256; fid++) {
			bool told = nvme_supported_get(page.data, 1024, (uint8_t)fid) & 1;

			for (uint8_t select = 0; select < 4; select++)
				assert_int_equal(get_select(&ar, ctrl, &cmd, (uint8_t)fid, select),
						 told ? 0 : ADMIN_BAD);
			count += told;
		}
		assert_int_equal(count, pass ? 3 : 14);
	}
	assert_int_equal(get_select(&ar, ar.a, &cmd, 1, 4), ADMIN_BAD);
	admin_rig_stop(&ar);
}

RIG_TEST(values_are_kept_until_a_reset_and_defaults_stay)
{
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	set_ok(&ar, NVME_FID_ARBITRATION, 0x07070705);
	assert_int_equal(get(&ar, &cmd, NVME_FID_ARBITRATION), 0x07070705);
	assert_int_equal(get_select(&ar, ar.a, &cmd, NVME_FID_ARBITRATION, NVME_SELECT_DEFAULT), 0);
	assert_int_equal(cmd.cmd.result, 0);
	assert_int_equal(get_select(&ar, ar.a, &cmd, NVME_FID_ARBITRATION, NVME_SELECT_SAVED), 0);
	assert_int_equal(cmd.cmd.result, 0);
	assert_int_equal(
		get_select(&ar, ar.a, &cmd, NVME_FID_ARBITRATION, NVME_SELECT_CAPABILITIES), 0);
	assert_int_equal(cmd.cmd.result, NVME_FEATURE_CHANGEABLE);
	set_ok(&ar, NVME_FID_WRITE_ATOMICITY, 1);
	assert_int_equal(get(&ar, &cmd, NVME_FID_WRITE_ATOMICITY), 1);
	set_ok(&ar, NVME_FID_TEMPERATURE, 300);
	assert_int_equal(get(&ar, &cmd, NVME_FID_TEMPERATURE), 300);
	tgt_ctrl_admin_reset(ar.a);
	assert_int_equal(get(&ar, &cmd, NVME_FID_ARBITRATION), 0);
	assert_int_equal(get(&ar, &cmd, NVME_FID_TEMPERATURE), TGT_KELVIN_WARN);
	set_ok(&ar, NVME_FID_KEEP_ALIVE, 7000);
	assert_int_equal(ar.counts.kato_ms, 7000);
	assert_int_equal(get(&ar, &cmd, NVME_FID_KEEP_ALIVE), 7000);
	admin_rig_stop(&ar);
}

RIG_TEST(what_cannot_be_is_refused_with_its_status)
{
	struct nvme_feature saved = { .fid = NVME_FID_ARBITRATION, .save = true };
	struct admin_cmd cmd = { 0 };
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	set_bad(&ar, NVME_FID_POWER, 1, 0, ADMIN_BAD);
	set_bad(&ar, NVME_FID_TEMPERATURE, 5 << 16 | 300, 0, ADMIN_BAD);
	set_bad(&ar, NVME_FID_ERROR_RECOVERY, 1 << 16, 0, ADMIN_BAD);
	set_bad(&ar, NVME_FID_VOLATILE_CACHE, 0, 0, NVME_FEATURE_NOT_CHANGEABLE | NVME_DNR);
	set_ok(&ar, NVME_FID_VOLATILE_CACHE, 1);
	set_bad(&ar, NVME_FID_COALESCING, 0, 0, ADMIN_BAD); /* no interrupts over fabrics */
	set_bad(&ar, NVME_FID_ASYNC_EVENT, (uint32_t)NVME_AEC_DISCOVERY, 0, ADMIN_BAD);
	set_bad(&ar, NVME_FID_ARBITRATION, 0, 1, NVME_FEATURE_NOT_PER_NAMESPACE | NVME_DNR);
	set_bad(&ar, NVME_FID_HOST_ID, 1, 0, NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR);
	set_bad(&ar, NVME_FID_QUEUES, 0xffff, 0, ADMIN_BAD);
	cmd.cmd.sqe.opcode = NVME_ADMIN_SET_FEATURES;
	nvme_feature_encode(&saved, &cmd.cmd.sqe);
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 0), NVME_FEATURE_NOT_SAVEABLE | NVME_DNR);
	admin_rig_stop(&ar);
}

RIG_TEST(queues_are_granted_before_there_are_any)
{
	struct admin_cmd cmd = { 0 };
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(get(&ar, &cmd, NVME_FID_QUEUES), 127 << 16 | 127);
	assert_int_equal(set(&ar, &cmd, NVME_FID_QUEUES, 3 << 16 | 5, 0), 0);
	assert_int_equal(cmd.cmd.result, 3 << 16 | 3);
	assert_int_equal(get(&ar, &cmd, NVME_FID_QUEUES), 3 << 16 | 3);
	assert_int_equal(ar.a->admin.queues_granted, 4);
	assert_int_equal(set(&ar, &cmd, NVME_FID_QUEUES, 999 << 16 | 999, 0), 0);
	assert_int_equal(cmd.cmd.result, 127 << 16 | 127);
	ar.a->io_conn_count = 1;
	set_bad(&ar, NVME_FID_QUEUES, 0, 0, NVME_COMMAND_SEQUENCE_ERROR | NVME_DNR);
	ar.a->io_conn_count = 0;
	admin_rig_stop(&ar);
}

RIG_TEST(features_with_data_carry_it)
{
	struct nvme_timestamp stamp = { .ms = 1234567 }, back;
	struct admin_cmd cmd = { 0 };
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	get(&ar, &cmd, NVME_FID_HOST_ID);
	assert_int_equal(cmd.cmd.ret_bytes, 16);
	assert_memory_equal(cmd.data, ar.a->host_id.bytes, 16);
	cmd.cmd.sqe.cdw11 = 0; /* 8 bytes: not over fabrics */
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 8), ADMIN_BAD);

	nvme_timestamp_encode(&stamp, cmd.data);
	assert_int_equal(set(&ar, &cmd, NVME_FID_TIMESTAMP, 0, 0), 0);
	get(&ar, &cmd, NVME_FID_TIMESTAMP);
	assert_int_equal(cmd.cmd.ret_bytes, 8);
	assert_int_equal(nvme_timestamp_decode(cmd.data, 8, &back), 0);
	assert_true(back.set_by_host && back.ms >= 1234567 && back.ms < 1234567 + 60000);

	memset(cmd.data, 0, sizeof(cmd.data));
	cmd.data[0] = 1;
	assert_int_equal(set(&ar, &cmd, NVME_FID_HOST_BEHAVIOR, 0, 0), 0);
	get(&ar, &cmd, NVME_FID_HOST_BEHAVIOR);
	assert_int_equal(cmd.cmd.ret_bytes, 512);
	assert_int_equal(cmd.data[0], 1);
	cmd.cmd.sqe.cdw11 = 0;
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 100), NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	admin_rig_stop(&ar);
}

RIG_TEST(reservation_features_are_of_a_namespace)
{
	struct admin_cmd cmd = { 0 };
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(set(&ar, &cmd, NVME_FID_RESV_MASK, 0xff, 1), 0);
	assert_int_equal(get(&ar, &cmd, NVME_FID_RESV_MASK), 0xe);
	assert_int_equal(set(&ar, &cmd, NVME_FID_RESV_MASK, 0, NVME_NSID_ALL), 0);
	assert_int_equal(get(&ar, &cmd, NVME_FID_RESV_MASK), 0);
	set_bad(&ar, NVME_FID_RESV_MASK, 0, 2, ADMIN_NO_NS);
	set_bad(&ar, NVME_FID_RESV_PERSIST, 1, 1, ADMIN_BAD); /* this disk keeps nothing */
	assert_int_equal(set(&ar, &cmd, NVME_FID_RESV_PERSIST, 0, 1), 0);
	assert_int_equal(get(&ar, &cmd, NVME_FID_RESV_PERSIST), 0);
	assert_int_equal(get_select(&ar, ar.a, &cmd, NVME_FID_RESV_MASK, NVME_SELECT_CAPABILITIES),
			 0);
	assert_int_equal(cmd.cmd.result, NVME_FEATURE_PER_NS | NVME_FEATURE_CHANGEABLE);
	admin_rig_stop(&ar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_of_features_says_which_there_are),
		cmocka_unit_test(values_are_kept_until_a_reset_and_defaults_stay),
		cmocka_unit_test(what_cannot_be_is_refused_with_its_status),
		cmocka_unit_test(queues_are_granted_before_there_are_any),
		cmocka_unit_test(features_with_data_carry_it),
		cmocka_unit_test(reservation_features_are_of_a_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
