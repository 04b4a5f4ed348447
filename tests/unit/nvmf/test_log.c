// SPDX-License-Identifier: Apache-2.0
/*
 * Log pages and the events that tell of them (Base 2.0, sections 5.2, 5.16).
 */
#include "unit/nvmf/admin_rig.h"

#include <sys/socket.h>

#include "base/le.h"
#include "nvmf/tgt_conn_priv.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"

static uint16_t get_log(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
			struct nvme_get_log log)
{
	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	nvme_get_log_encode(&log, &cmd->cmd.sqe);
	cmd->cmd.sqe.nsid = NVME_NSID_ALL;
	return admin_run(ar, ctrl, cmd, (uint32_t)log.length);
}

static uint16_t read_page(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
			  uint8_t lid, uint32_t length)
{
	return get_log(ar, ctrl, cmd, (struct nvme_get_log){ .lid = lid, .length = length });
}

static void want_events(struct admin_rig *ar, struct tgt_ctrl *ctrl, uint32_t config)
{
	struct nvme_feature feature = { .fid = NVME_FID_ASYNC_EVENT, .value = config };
	struct admin_cmd cmd = { 0 };

	cmd.cmd.sqe.opcode = NVME_ADMIN_SET_FEATURES;
	nvme_feature_encode(&feature, &cmd.cmd.sqe);
	assert_int_equal(admin_run(ar, ctrl, &cmd, 0), 0);
}

RIG_TEST(the_list_of_pages_says_which_are_answered)
{
	struct admin_rig ar;
	struct admin_cmd cmd, page;

	admin_rig_start(f, rig, &ar, NULL);
	for (unsigned pass = 0; pass < 2; pass++) {
		struct tgt_ctrl *ctrl = pass ? ar.disc : ar.a;
		unsigned count = 0;

		assert_int_equal(read_page(&ar, ctrl, &page, NVME_LID_SUPPORTED, 1024), 0);
		for (unsigned lid = 0; lid < 256; lid++) {
			bool told = nvme_supported_get(page.data, 1024, (uint8_t)lid) & 1;
			uint16_t status = read_page(&ar, ctrl, &cmd, (uint8_t)lid, 512);

			assert_int_equal(status, told ? 0 : NVME_INVALID_LOG_PAGE | NVME_DNR);
			count += told;
		}
		assert_int_equal(count, pass ? 5 : 9);
	}
	admin_rig_stop(&ar);
}

RIG_TEST(a_page_in_parts_is_the_page)
{
	static const uint8_t lids[] = { NVME_LID_SUPPORTED, NVME_LID_ERROR,   NVME_LID_SMART,
					NVME_LID_FIRMWARE,  NVME_LID_EFFECTS, NVME_LID_ANA,
					NVME_LID_FEATURES };
	struct admin_rig ar;
	struct admin_cmd whole, part;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	admin_ns(&ar, 7, "malloc:///b?size_mb=8");
	for (unsigned i = 0; i < ARRAY_LEN(lids); i++) {
		assert_int_equal(read_page(&ar, ar.a, &whole, lids[i], 4096), 0);
		for (uint64_t at = 0; at < 48; at += 12) {
			assert_int_equal(get_log(&ar, ar.a, &part,
						 (struct nvme_get_log){ .lid = lids[i],
									.length = 12,
									.offset = at }),
					 0);
			assert_int_equal(part.cmd.ret_bytes, 12);
			assert_memory_equal(part.data, whole.data + at, 12);
		}
		assert_int_equal(get_log(&ar, ar.a, &part,
					 (struct nvme_get_log){
						 .lid = lids[i], .length = 12, .offset = 1 << 20 }),
				 ADMIN_BAD);
	}
	admin_rig_stop(&ar);
}

RIG_TEST(a_command_that_asks_wrongly_is_refused)
{
	struct nvme_get_log log = { .lid = NVME_LID_SMART, .length = 512 };
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	log.offset_is_index = true;
	assert_int_equal(get_log(&ar, ar.a, &cmd, log), ADMIN_BAD);
	log = (struct nvme_get_log){ .lid = NVME_LID_SMART, .offset = 2, .length = 512 };
	assert_int_equal(get_log(&ar, ar.a, &cmd, log), ADMIN_BAD);
	memset(&cmd.cmd, 0, sizeof(cmd.cmd));
	nvme_get_log_encode(&(struct nvme_get_log){ .lid = NVME_LID_SMART, .length = 512 },
			    &cmd.cmd.sqe);
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 256), NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	cmd.cmd.sqe.nsid = 5;
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 512), ADMIN_NO_NS);
	cmd.cmd.sqe.flags = NVME_FUSE_FIRST;
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 512), ADMIN_BAD);
	admin_rig_stop(&ar);
}

RIG_TEST(health_sums_what_the_namespaces_did)
{
	struct nvme_smart smart;
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	admin_ns(&ar, 2, "malloc:///b?size_mb=8");
	assert_int_equal(read_page(&ar, ar.a, &cmd, NVME_LID_SMART, 512), 0);
	assert_int_equal(nvme_smart_decode(cmd.data, 512, &smart), 0);
	assert_true(smart.host_reads == 6 && smart.host_writes == 4 && smart.media_errors == 2);
	assert_true(smart.data_read == 4 && smart.data_written == 2); /* rounded up, each */
	assert_int_equal(smart.critical_warning, 0);
	assert_int_equal(smart.spare_percent, 100);
	cmd.cmd.sqe.nsid = 2;
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 512), 0);
	assert_int_equal(nvme_smart_decode(cmd.data, 512, &smart), 0);
	assert_true(smart.host_reads == 3);
	admin_rig_stop(&ar);
}

RIG_TEST(failures_are_in_the_error_log_newest_first)
{
	struct nvme_error_entry entry;
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	for (unsigned i = 0; i < TGT_ERRORS_MAX + 6; i++) {
		memset(&cmd.cmd, 0, sizeof(cmd.cmd));
		cmd.cmd.sqe.opcode = NVME_ADMIN_FORMAT;
		cmd.cmd.sqe.cid = (uint16_t)i;
		assert_int_equal(admin_run(&ar, ar.a, &cmd, 0), NVME_INVALID_OPCODE | NVME_DNR);
	}
	assert_int_equal(read_page(&ar, ar.a, &cmd, NVME_LID_ERROR, 64 * TGT_ERRORS_MAX), 0);
	for (unsigned i = 0; i < TGT_ERRORS_MAX; i++) {
		assert_int_equal(nvme_error_entry_decode(cmd.data, sizeof(cmd.data), i, &entry), 0);
		assert_int_equal(entry.count, TGT_ERRORS_MAX + 6 - i);
		assert_int_equal(entry.cid, TGT_ERRORS_MAX + 5 - i);
		assert_int_equal(entry.status, NVME_INVALID_OPCODE | NVME_DNR);
	}
	admin_rig_stop(&ar);
}

RIG_TEST(commands_told_are_those_that_are_there)
{
	struct admin_rig ar;
	struct admin_cmd page, cmd;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(read_page(&ar, ar.a, &page, NVME_LID_EFFECTS, 4096), 0);
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		uint32_t effects = nvme_effects_get(page.data, 4096, true, (uint8_t)opcode);
		uint16_t status;

		if (opcode == NVME_ADMIN_ASYNC_EVENT)
			continue;
		memset(&cmd.cmd, 0, sizeof(cmd.cmd));
		cmd.cmd.sqe.opcode = (uint8_t)opcode;
		status = admin_run(&ar, ar.a, &cmd, 4096);
		assert_int_equal(status == (NVME_INVALID_OPCODE | NVME_DNR), !(effects & 1));
	}
	assert_int_equal(nvme_effects_get(page.data, 4096, false, NVME_IO_WRITE),
			 NVME_EFFECT_SUPPORTED | NVME_EFFECT_DATA);
	assert_int_equal(nvme_effects_get(page.data, 4096, false, NVME_IO_WRITE_UNCORRECTABLE), 0);
	assert_true(ar.counts.keep_alives == 1 && ar.counts.aborts == 1);
	admin_rig_stop(&ar);
}

/* ---- events --------------------------------------------------------------------------------- */

RIG_TEST(a_change_is_told_once_until_its_page_is_read)
{
	uint32_t event = nvme_event_encode(NVME_EVENT_NS_ATTRIBUTE, NVME_LID_CHANGED_NS);
	struct admin_cmd first, second, log;
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 5, "malloc:///a?size_mb=8"); /* not wanted: only in the page */
	want_events(&ar, ar.a, NVME_AEC_NS_ATTRIBUTE);
	assert_int_equal(admin_aer(&ar, ar.a, &first), 0);
	assert_int_equal(admin_aer(&ar, ar.a, &second), 0);
	admin_ns(&ar, 2, "malloc:///b?size_mb=8");
	assert_true(first.is_done && !second.is_done);
	assert_int_equal(first.cmd.result, event);
	admin_ns(&ar, 3, "malloc:///c?size_mb=8"); /* masked */
	assert_false(second.is_done);
	assert_int_equal(get_log(&ar, ar.a, &log,
				 (struct nvme_get_log){ .lid = NVME_LID_CHANGED_NS,
							.length = 4096,
							.retain = true }),
			 0);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 2), 5);
	assert_false(second.is_done);
	assert_int_equal(read_page(&ar, ar.a, &log, NVME_LID_CHANGED_NS, 4096), 0);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 0), 2);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 1), 3);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 2), 5);
	assert_false(second.is_done); /* A1: 3 was in the page */
	tgt_ns_remove(f, tgt_ns_find(ar.subsys, 2));
	assert_true(second.is_done);
	assert_int_equal(read_page(&ar, ar.a, &log, NVME_LID_CHANGED_NS, 4096), 0);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 0), 2);
	assert_int_equal(nvme_nsids_get(log.data, 4096, 1), 0);
	admin_rig_stop(&ar);
}

RIG_TEST(what_nobody_waits_for_is_told_when_somebody_does)
{
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	want_events(&ar, ar.a, NVME_AEC_ANA);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, TGT_ANA_INACCESSIBLE), 0);
	assert_int_equal(ar.counts.rules.ana, TGT_ANA_INACCESSIBLE);
	assert_int_equal(admin_aer(&ar, ar.a, &cmd),
			 nvme_event_encode(NVME_EVENT_ANA, NVME_LID_ANA));
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, TGT_ANA_INACCESSIBLE), 0); /* no change */
	assert_int_equal(read_page(&ar, ar.a, &cmd, NVME_LID_ANA, 4096), 0);
	assert_int_equal(le64_get(cmd.data), 1);
	assert_int_equal(le16_get(cmd.data + 8), 1);
	assert_int_equal(cmd.data[16 + 16], TGT_ANA_INACCESSIBLE);
	assert_int_equal(le32_get(cmd.data + 16 + 32), 1);
	assert_int_equal(tgt_ana_set(f, ar.subsys, 17, TGT_ANA_OPTIMIZED), -EINVAL);
	fiber_clear(f);
	assert_int_equal(tgt_ana_set(f, ar.subsys, 1, (enum tgt_ana_state)7), -EINVAL);
	fiber_clear(f);
	admin_rig_stop(&ar);
}

/* nvme-cli reads room for all groups and namespaces there might be, in parts. */
RIG_TEST(the_ana_page_is_as_long_as_it_might_get)
{
	struct nvme_get_log log = { .lid = NVME_LID_ANA, .length = 528, .offset = 4096 };
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(get_log(&ar, ar.a, &cmd, log), 0);
	log = (struct nvme_get_log){ .lid = NVME_LID_ANA, .length = 48, .lsp = 1 };
	assert_int_equal(get_log(&ar, ar.a, &cmd, log), 0);
	assert_int_equal(le32_get(cmd.data + 16 + 4), 0); /* groups only */
	admin_rig_stop(&ar);
}

RIG_TEST(event_requests_are_limited_and_end_with_a_reset)
{
	struct admin_cmd cmds[TGT_AERS_MAX + 1];
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	for (unsigned i = 0; i < TGT_AERS_MAX; i++)
		assert_int_equal(admin_aer(&ar, ar.a, &cmds[i]), 0);
	admin_aer(&ar, ar.a, &cmds[TGT_AERS_MAX]);
	assert_true(cmds[TGT_AERS_MAX].is_done);
	assert_int_equal(cmds[TGT_AERS_MAX].cmd.status, NVME_ASYNC_EVENT_LIMIT_EXCEEDED | NVME_DNR);
	tgt_ctrl_admin_reset(ar.a);
	for (unsigned i = 0; i < TGT_AERS_MAX; i++) {
		assert_true(cmds[i].is_done);
		assert_int_equal(cmds[i].cmd.status, NVME_ABORTED_SQ_DELETION);
	}
	assert_int_equal(admin_aer(&ar, ar.a, &cmds[0]), 0);
	assert_false(cmds[0].is_done);
	admin_rig_stop(&ar);
}

/* ---- discovery ------------------------------------------------------------------------------ */

static unsigned entries(struct admin_rig *ar, struct admin_cmd *cmd, uint64_t *ret_generation)
{
	struct nvme_discovery_head head;

	assert_int_equal(read_page(ar, ar->disc, cmd, NVME_LID_DISCOVERY, 8192), 0);
	assert_int_equal(nvme_discovery_head_decode(cmd->data, 8192, &head), 0);
	*ret_generation = head.generation;
	return (unsigned)head.records;
}

RIG_TEST(a_host_discovers_what_it_may_connect_to)
{
	struct nvme_discovery_entry entry;
	uint64_t first, second;
	struct tgt_subsys *other;
	struct admin_cmd cmd, part, aer;
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(entries(&ar, &cmd, &first), 3); /* itself, the subsystem on two ports */
	assert_int_equal(nvme_discovery_entry_decode(cmd.data, 8192, 0, &entry), 0);
	assert_int_equal(entry.subtype, NVME_SUBTYPE_CURRENT);
	assert_string_equal(entry.subnqn, NVME_DISCOVERY_NQN);
	assert_int_equal(nvme_discovery_entry_decode(cmd.data, 8192, 1, &entry), 0);
	assert_int_equal(entry.trtype, NVME_TRTYPE_TCP);
	assert_int_equal(entry.subtype, NVME_SUBTYPE_NVM);
	assert_string_equal(entry.traddr, "127.0.0.1");
	assert_string_equal(entry.trsvcid, "4420");
	assert_string_equal(entry.subnqn, ADMIN_SUBNQN);
	assert_int_equal(entry.cntlid, 0xffff);
	assert_true(entry.asqsz >= 32);
	assert_int_equal(nvme_discovery_entry_decode(cmd.data, 8192, 2, &entry), 0);
	assert_string_equal(entry.traddr, "::1");
	assert_int_equal(entry.adrfam, NVME_ADRFAM_IPV6);
	for (uint64_t at = 0; at < 4096; at += 512) { /* in parts */
		assert_int_equal(get_log(&ar, ar.disc, &part,
					 (struct nvme_get_log){ .lid = NVME_LID_DISCOVERY,
								.length = 512,
								.offset = at,
								.retain = true }),
				 0);
		assert_memory_equal(part.data, cmd.data + at, 512);
	}

	want_events(&ar, ar.disc, (uint32_t)NVME_AEC_DISCOVERY);
	assert_int_equal(admin_aer(&ar, ar.disc, &aer), 0);
	assert_int_equal(
		tgt_subsys_add(f, &ar.tgt,
			       &(struct tgt_subsys_args){ .nqn = "nqn.2024-01.io.test:other" },
			       &other),
		0);
	assert_true(aer.is_done);
	assert_int_equal(aer.cmd.result,
			 nvme_event_encode(NVME_EVENT_DISCOVERY, NVME_LID_DISCOVERY));
	assert_int_equal(entries(&ar, &cmd, &second), 3); /* not for this host */
	assert_true(second > first);
	assert_int_equal(tgt_host_allow(f, other, ADMIN_HOST_A), 0);
	assert_int_equal(entries(&ar, &cmd, &second), 5);
	assert_int_equal(tgt_port_link(f, &ar.port2, other), 0);
	assert_int_equal(entries(&ar, &cmd, &second), 4);
	assert_int_equal(tgt_host_deny(f, other, ADMIN_HOST_A), 0);
	assert_int_equal(entries(&ar, &cmd, &second), 3);
	tgt_port_unlink(f, &ar.port2, ar.subsys);
	assert_int_equal(entries(&ar, &cmd, &second), 2);
	assert_int_equal(ar.counts.ctrls_closed, 0); /* they came by the other port */
	admin_rig_stop(&ar);
}

RIG_TEST(a_port_on_all_addresses_is_told_as_the_host_came)
{
	struct tgt_conn conn = { .local = { .family = AF_INET, .ip = { 10, 1, 2, 3 } } };
	struct nvme_discovery_entry entry;
	struct admin_rig ar;
	struct admin_cmd cmd;
	uint64_t generation;

	admin_rig_start(f, rig, &ar, NULL);
	memset(ar.port.addr.ip, 0, 16);
	ar.disc->admin_conn = &conn;
	assert_int_equal(entries(&ar, &cmd, &generation), 3);
	assert_int_equal(nvme_discovery_entry_decode(cmd.data, 8192, 1, &entry), 0);
	assert_string_equal(entry.traddr, "10.1.2.3");
	assert_string_equal(entry.trsvcid, "4420");
	admin_rig_stop(&ar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_of_pages_says_which_are_answered),
		cmocka_unit_test(a_page_in_parts_is_the_page),
		cmocka_unit_test(a_command_that_asks_wrongly_is_refused),
		cmocka_unit_test(health_sums_what_the_namespaces_did),
		cmocka_unit_test(failures_are_in_the_error_log_newest_first),
		cmocka_unit_test(commands_told_are_those_that_are_there),
		cmocka_unit_test(a_change_is_told_once_until_its_page_is_read),
		cmocka_unit_test(what_nobody_waits_for_is_told_when_somebody_does),
		cmocka_unit_test(the_ana_page_is_as_long_as_it_might_get),
		cmocka_unit_test(event_requests_are_limited_and_end_with_a_reset),
		cmocka_unit_test(a_host_discovers_what_it_may_connect_to),
		cmocka_unit_test(a_port_on_all_addresses_is_told_as_the_host_came),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
