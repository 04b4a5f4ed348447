// SPDX-License-Identifier: Apache-2.0
/*
 * Log pages, the discovery log page among them.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_log.h"
#include "wire/nvme_status.h"

static void the_command_survives_the_wire(void **state)
{
	struct nvme_get_log log = {
		.lid = NVME_LID_ANA,
		.lsp = NVME_LSP_ANA_GROUPS_ONLY,
		.retain = true,
		.lsi = 0x1234,
		.length = UINT64_C(4) << 32,
		.offset = UINT64_C(0x123456789abcdef0),
		.uuid_index = 3,
		.csi = 1,
	};
	struct nvme_sqe sqe = { 0 };
	struct nvme_get_log back;

	nvme_get_log_encode(&log, &sqe);
	assert_int_equal(sqe.opcode, NVME_ADMIN_GET_LOG_PAGE);
	assert_int_equal(nvme_get_log_decode(&sqe, &back), 0);
	assert_int_equal(back.lid, NVME_LID_ANA);
	assert_int_equal(back.lsp, 1);
	assert_true(back.retain && !back.offset_is_index);
	assert_int_equal(back.lsi, 0x1234);
	assert_true(back.length == log.length && back.offset == log.offset);
	assert_int_equal(back.uuid_index, 3);
	assert_int_equal(back.csi, 1);
	log.length = 4;
	nvme_get_log_encode(&log, &sqe);
	assert_int_equal(nvme_get_log_decode(&sqe, &back), 0);
	assert_true(back.length == 4);
}

static void an_offset_is_of_dwords_unless_it_is_an_index(void **state)
{
	struct nvme_get_log log = { .length = 4, .offset = 6 }, back = { .lid = 42 };
	struct nvme_sqe sqe = { 0 };

	nvme_get_log_encode(&log, &sqe);
	assert_int_equal(nvme_get_log_decode(&sqe, &back), NVME_INVALID_FIELD | NVME_DNR);
	assert_int_equal(back.lid, 42); /* W1 */
	log.offset_is_index = true;
	nvme_get_log_encode(&log, &sqe);
	assert_int_equal(nvme_get_log_decode(&sqe, &back), 0);
	assert_int_equal(back.offset, 6);
}

static void supported_pages_are_told(void **state)
{
	uint8_t page[NVME_SUPPORTED_BYTES] = { 0 };

	nvme_supported_put(page, NVME_LID_SANITIZE, NVME_SUPPORTED);
	assert_int_equal(nvme_supported_get(page, sizeof(page), NVME_LID_SANITIZE), NVME_SUPPORTED);
	assert_int_equal(nvme_supported_get(page, sizeof(page), 0), 0);
	assert_int_equal(nvme_supported_get(page, 4 * 0x81, NVME_LID_SANITIZE), 0);
}

static void effects_of_commands_are_told(void **state)
{
	uint8_t page[NVME_EFFECTS_BYTES] = { 0 };

	nvme_effects_put(page, true, 0xff, NVME_EFFECT_SUPPORTED);
	nvme_effects_put(page, false, 1, NVME_EFFECT_SUPPORTED | NVME_EFFECT_DATA);
	assert_int_equal(nvme_effects_get(page, sizeof(page), true, 0xff), 1);
	assert_int_equal(nvme_effects_get(page, sizeof(page), false, 1), 3);
	assert_int_equal(nvme_effects_get(page, sizeof(page), false, 0xff), 0);
	assert_int_equal(nvme_effects_get(page, 1024 + 7, false, 1), 0);
	assert_int_equal(nvme_effects_get(page, 1024 + 8, false, 1), 3);
	assert_int_equal(nvme_effects_get(page, 0, false, 1), 0);
}

static void errors_survive_the_wire(void **state)
{
	struct nvme_error_entry entry = {
		.count = 7,
		.sqid = 1,
		.cid = 2,
		.status = NVME_DNR | NVME_LBA_OUT_OF_RANGE,
		.at = 0xffff,
		.lba = 99,
		.nsid = 3,
		.trtype = NVME_TRTYPE_TCP,
		.specific = 5,
	};
	uint8_t page[2 * NVME_ERROR_ENTRY_BYTES] = { 0 };
	struct nvme_error_entry back;

	nvme_error_entry_encode(&entry, page + NVME_ERROR_ENTRY_BYTES);
	assert_int_equal(nvme_error_entry_decode(page, sizeof(page), 1, &back), 0);
	assert_int_equal(back.count, 7);
	assert_int_equal(back.status, entry.status);
	assert_int_equal(back.at, 0xffff);
	assert_int_equal(back.lba, 99);
	assert_int_equal(back.trtype, NVME_TRTYPE_TCP);
	assert_int_equal(nvme_error_entry_decode(page, sizeof(page), 2, &back), -EBADMSG);
	assert_int_equal(nvme_error_entry_decode(page, sizeof(page) - 1, 1, &back), -EBADMSG);
}

static void health_survives_the_wire(void **state)
{
	struct nvme_smart smart = { .temperature = 310, .data_written = 5, .error_entries = 6 };
	struct nvme_smart back;
	uint8_t page[NVME_SMART_BYTES];

	nvme_smart_encode(&smart, page);
	assert_int_equal(nvme_smart_decode(page, sizeof(page), &back), 0);
	assert_int_equal(back.temperature, 310);
	assert_int_equal(back.data_written, 5);
	assert_int_equal(back.error_entries, 6);
	assert_int_equal(nvme_smart_decode(page, sizeof(page) - 1, &back), -EBADMSG);
}

static void firmware_slots_survive_the_wire(void **state)
{
	struct nvme_firmware firmware = { .active = 1, .revision = { "0.1.0", [6] = "12345678" } };
	struct nvme_firmware back;
	uint8_t page[NVME_FIRMWARE_BYTES];

	nvme_firmware_encode(&firmware, page);
	assert_int_equal(page[16], 0); /* an empty slot is zeros, not spaces */
	assert_int_equal(nvme_firmware_decode(page, sizeof(page), &back), 0);
	assert_int_equal(back.active, 1);
	assert_string_equal(back.revision[0], "0.1.0");
	assert_string_equal(back.revision[1], "");
	assert_string_equal(back.revision[6], "12345678");
	assert_int_equal(nvme_firmware_decode(page, 511, &back), -EBADMSG);
}

static void ana_groups_survive_the_wire(void **state)
{
	struct nvme_ana_group one = { 1, 2, 10, NVME_ANA_OPTIMIZED, NULL };
	struct nvme_ana_group two = { 2, 0, 11, NVME_ANA_STATE_CHANGE, NULL };
	struct nvme_ana_group back;
	uint64_t change_count;
	uint16_t groups;
	uint8_t page[128];
	struct builder b;
	struct cursor c;

	builder_init(&b, page, sizeof(page));
	assert_int_equal(nvme_ana_head_put(&b, 77, 2), 0);
	assert_int_equal(nvme_ana_group_put(&b, &one), 0);
	assert_int_equal(builder_put_le32(&b, 5), 0);
	assert_int_equal(builder_put_le32(&b, 6), 0);
	assert_int_equal(nvme_ana_group_put(&b, &two), 0);
	assert_int_equal(b.pos, 16 + 32 + 8 + 32);

	cursor_init(&c, page, b.pos);
	assert_int_equal(nvme_ana_head_get(&c, &change_count, &groups), 0);
	assert_int_equal(change_count, 77);
	assert_int_equal(groups, 2);
	assert_int_equal(nvme_ana_group_get(&c, &back), 0);
	assert_int_equal(back.id, 1);
	assert_int_equal(back.nsid_count, 2);
	assert_int_equal(le32_get(back.nsids + 4), 6);
	assert_int_equal(back.state, NVME_ANA_OPTIMIZED);
	assert_int_equal(nvme_ana_group_get(&c, &back), 0);
	assert_int_equal(back.change_count, 11);
	assert_int_equal(back.state, NVME_ANA_STATE_CHANGE);
	assert_int_equal(cursor_done(&c), 0);
	builder_init(&b, page, 40);
	assert_int_equal(nvme_ana_head_put(&b, 77, 2), 0);
	assert_int_equal(nvme_ana_group_put(&b, &one), -ENOBUFS);
}

static void ana_groups_are_checked(void **state)
{
	static const uint8_t bad_states[] = { 0, 5, 0xe };
	struct nvme_ana_group back = { .id = 42 };
	uint8_t page[40] = { 0 };
	uint64_t change_count;
	uint16_t groups;
	struct cursor c;

	for (size_t i = 0; i < ARRAY_LEN(bad_states); i++) {
		page[16] = bad_states[i];
		cursor_init(&c, page, sizeof(page));
		assert_int_equal(nvme_ana_group_get(&c, &back), -EBADMSG);
	}
	page[16] = NVME_ANA_STATE_PERSISTENT_LOSS;
	le32_put(page + 4, 3); /* one namespace more than there is */
	cursor_init(&c, page, sizeof(page));
	assert_int_equal(nvme_ana_group_get(&c, &back), -EBADMSG);
	le32_put(page + 4, UINT32_MAX);
	cursor_init(&c, page, sizeof(page));
	assert_int_equal(nvme_ana_group_get(&c, &back), -EBADMSG);
	assert_int_equal(back.id, 42); /* W1 */
	cursor_init(&c, page, 15);
	assert_int_equal(nvme_ana_head_get(&c, &change_count, &groups), -EBADMSG);
}

static void notices_of_reservations_survive_the_wire(void **state)
{
	struct nvme_resv_log log = { 9, NVME_RESV_EVENT_RELEASED, 2, 7 }, back;
	uint8_t page[NVME_RESV_LOG_BYTES];

	nvme_resv_log_encode(&log, page);
	assert_int_equal(nvme_resv_log_decode(page, sizeof(page), &back), 0);
	assert_int_equal(back.count, 9);
	assert_int_equal(back.event, NVME_RESV_EVENT_RELEASED);
	assert_int_equal(back.more, 2);
	assert_int_equal(back.nsid, 7);
	assert_int_equal(nvme_resv_log_decode(page, sizeof(page) - 1, &back), -EBADMSG);
}

static void the_discovery_log_survives_the_wire(void **state)
{
	struct nvme_discovery_head head = { .generation = 5, .records = 2 }, head_back;
	struct nvme_discovery_entry entry = {
		.trtype = NVME_TRTYPE_TCP,
		.adrfam = NVME_ADRFAM_IPV6,
		.subtype = NVME_SUBTYPE_NVM,
		.treq = NVME_TREQ_NO_FLOW_CONTROL,
		.portid = 1,
		.cntlid = 0xffff,
		.asqsz = 32,
		.eflags = NVME_EFLAGS_PERSISTENT,
		.trsvcid = "8420",
		.subnqn = "nqn.2019-05.io.openebs:volume",
		.traddr = "fe80::1",
		.sectype = NVME_SECTYPE_NONE,
	};
	struct nvme_discovery_entry back;
	uint8_t page[3 * NVME_DISCOVERY_BYTES];

	memset(page, 0xff, sizeof(page));
	nvme_discovery_head_encode(&head, page);
	nvme_discovery_entry_encode(&entry, page + 2 * NVME_DISCOVERY_BYTES);
	assert_int_equal(nvme_discovery_head_decode(page, sizeof(page), &head_back), 0);
	assert_int_equal(head_back.generation, 5);
	assert_int_equal(head_back.records, 2);
	assert_int_equal(nvme_discovery_entry_decode(page, sizeof(page), 1, &back), 0);
	assert_int_equal(back.adrfam, NVME_ADRFAM_IPV6);
	assert_int_equal(back.asqsz, 32);
	assert_int_equal(back.eflags, NVME_EFLAGS_PERSISTENT);
	assert_string_equal(back.trsvcid, "8420");
	assert_string_equal(back.subnqn, entry.subnqn);
	assert_string_equal(back.traddr, "fe80::1");
}

static void the_discovery_log_is_checked(void **state)
{
	struct nvme_discovery_head head = { .records = NVME_DISCOVERY_RECORDS_MAX };
	struct nvme_discovery_entry entry = { .portid = 42 };
	uint8_t page[2 * NVME_DISCOVERY_BYTES] = { 0 };

	nvme_discovery_head_encode(&head, page);
	assert_int_equal(nvme_discovery_head_decode(page, 1023, &head), -EBADMSG);
	assert_int_equal(nvme_discovery_head_decode(page, 1024, &head), 0);
	head.records++;
	nvme_discovery_head_encode(&head, page);
	assert_int_equal(nvme_discovery_head_decode(page, 1024, &head), -EBADMSG);
	head = (struct nvme_discovery_head){ .format = 1 };
	nvme_discovery_head_encode(&head, page);
	assert_int_equal(nvme_discovery_head_decode(page, 1024, &head), -EBADMSG);

	assert_int_equal(nvme_discovery_entry_decode(page, 1024, 0, &entry), -EBADMSG);
	assert_int_equal(nvme_discovery_entry_decode(page, 0, 0, &entry), -EBADMSG);
	assert_int_equal(nvme_discovery_entry_decode(page, 2047, 0, &entry), -EBADMSG);
	assert_int_equal(nvme_discovery_entry_decode(page, 2048, 1, &entry), -EBADMSG);
	memset(page + 1024 + 256, 'x', 256);
	assert_int_equal(nvme_discovery_entry_decode(page, 2048, 0, &entry), -EBADMSG);
	assert_int_equal(entry.portid, 42); /* W1 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_survives_the_wire),
		cmocka_unit_test(an_offset_is_of_dwords_unless_it_is_an_index),
		cmocka_unit_test(supported_pages_are_told),
		cmocka_unit_test(effects_of_commands_are_told),
		cmocka_unit_test(errors_survive_the_wire),
		cmocka_unit_test(health_survives_the_wire),
		cmocka_unit_test(firmware_slots_survive_the_wire),
		cmocka_unit_test(ana_groups_survive_the_wire),
		cmocka_unit_test(ana_groups_are_checked),
		cmocka_unit_test(notices_of_reservations_survive_the_wire),
		cmocka_unit_test(the_discovery_log_survives_the_wire),
		cmocka_unit_test(the_discovery_log_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
