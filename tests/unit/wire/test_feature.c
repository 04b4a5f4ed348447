// SPDX-License-Identifier: Apache-2.0
/*
 * Features and events.
 */
#include <errno.h>

#include "unit/unit.h"

#include "wire/nvme_feature.h"
#include "wire/nvme_log.h"
#include "wire/nvme_status.h"

static void getting_and_setting_survive_the_wire(void **state)
{
	struct nvme_feature get = { .fid = 0x0b, .select = NVME_SELECT_CAPABILITIES };
	struct nvme_feature set = { .fid = 0x83, .save = true, .value = 0xffffffff };
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_GET_FEATURES };
	struct nvme_feature back;

	nvme_feature_encode(&get, &sqe);
	assert_int_equal(nvme_feature_decode(&sqe, &back), 0);
	assert_int_equal(back.fid, 0x0b);
	assert_int_equal(back.select, NVME_SELECT_CAPABILITIES);
	assert_false(back.save);
	sqe.opcode = NVME_ADMIN_SET_FEATURES;
	nvme_feature_encode(&set, &sqe);
	assert_int_equal(nvme_feature_decode(&sqe, &back), 0);
	assert_int_equal(back.fid, 0x83);
	assert_true(back.save && back.select == 0);
	assert_int_equal(back.value, 0xffffffff);
}

static void a_reserved_select_is_refused(void **state)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_GET_FEATURES, .cdw10 = 0x400 };
	struct nvme_feature back = { .fid = 42 };

	assert_int_equal(nvme_feature_decode(&sqe, &back), NVME_INVALID_FIELD | NVME_DNR);
	assert_int_equal(back.fid, 42);	      /* W1 */
	sqe.opcode = NVME_ADMIN_SET_FEATURES; /* there the bits are reserved */
	assert_int_equal(nvme_feature_decode(&sqe, &back), 0);
}

static void numbers_of_queues_survive_the_wire(void **state)
{
	uint32_t submission = 42, completion = 42;

	assert_int_equal(nvme_queues_decode(nvme_queues_encode(1, 65535), &submission, &completion),
			 0);
	assert_int_equal(submission, 1);
	assert_int_equal(completion, 65535);
	assert_int_equal(nvme_queues_decode(0xffff, &submission, &completion),
			 NVME_INVALID_FIELD | NVME_DNR);
	assert_int_equal(nvme_queues_decode(0xffff0000, &submission, &completion),
			 NVME_INVALID_FIELD | NVME_DNR);
	assert_int_equal(submission, 1); /* W1 */
}

static void a_timestamp_survives_the_wire(void **state)
{
	struct nvme_timestamp stamp = { UINT64_C(0xabcd12345678), true, true }, back;
	uint8_t bytes[NVME_TIMESTAMP_BYTES];

	nvme_timestamp_encode(&stamp, bytes);
	assert_int_equal(nvme_timestamp_decode(bytes, 8, &back), 0);
	assert_true(back.ms == stamp.ms && back.was_stopped && back.set_by_host);
	stamp = (struct nvme_timestamp){ .ms = UINT64_MAX };
	nvme_timestamp_encode(&stamp, bytes);
	assert_int_equal(bytes[6], 0);
	assert_int_equal(nvme_timestamp_decode(bytes, 8, &back), 0);
	assert_true(!back.was_stopped && !back.set_by_host);
	assert_int_equal(nvme_timestamp_decode(bytes, 7, &back), -EBADMSG);
}

static void behavior_of_a_host_survives_the_wire(void **state)
{
	struct nvme_host_behavior behavior = { .command_retry = true }, back;
	uint8_t bytes[NVME_HOST_BEHAVIOR_BYTES];

	nvme_host_behavior_encode(&behavior, bytes);
	assert_int_equal(nvme_host_behavior_decode(bytes, 512, &back), 0);
	assert_true(back.command_retry && !back.extended_lbaf);
	behavior.extended_lbaf = true;
	nvme_host_behavior_encode(&behavior, bytes);
	assert_int_equal(nvme_host_behavior_decode(bytes, 512, &back), 0);
	assert_true(back.extended_lbaf);
	assert_int_equal(nvme_host_behavior_decode(bytes, 511, &back), -EBADMSG);
}

static void a_host_identifier_has_one_of_two_lengths(void **state)
{
	assert_true(nvme_host_id_extended(1));
	assert_false(nvme_host_id_extended(2));
}

static void an_abort_names_queue_and_command(void **state)
{
	struct nvme_sqe sqe = { .cdw10 = 0x12345678 };

	assert_int_equal(nvme_abort_sqid(&sqe), 0x5678);
	assert_int_equal(nvme_abort_cid(&sqe), 0x1234);
}

static void events_survive_the_wire(void **state)
{
	uint32_t result = nvme_event_encode(NVME_EVENT_DISCOVERY, NVME_LID_DISCOVERY);
	uint16_t event;
	uint8_t lid;

	assert_int_equal(result, 0x70f002);
	nvme_event_decode(result, &event, &lid);
	assert_int_equal(event, NVME_EVENT_DISCOVERY);
	assert_int_equal(lid, NVME_LID_DISCOVERY);
	assert_int_equal(nvme_event_encode(NVME_EVENT_NS_ATTRIBUTE, NVME_LID_CHANGED_NS), 0x040002);
	assert_int_equal(nvme_event_encode(NVME_EVENT_ANA, NVME_LID_ANA), 0x0c0302);
	assert_int_equal(nvme_event_encode(NVME_EVENT_RESERVATION, NVME_LID_RESERVATION), 0x800006);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(getting_and_setting_survive_the_wire),
		cmocka_unit_test(a_reserved_select_is_refused),
		cmocka_unit_test(numbers_of_queues_survive_the_wire),
		cmocka_unit_test(a_timestamp_survives_the_wire),
		cmocka_unit_test(behavior_of_a_host_survives_the_wire),
		cmocka_unit_test(a_host_identifier_has_one_of_two_lengths),
		cmocka_unit_test(an_abort_names_queue_and_command),
		cmocka_unit_test(events_survive_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
