// SPDX-License-Identifier: Apache-2.0
/*
 * Replica control on the wire: golden bytes, and what is refused.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "wire/nvme_vendor.h"

static void a_command_survives_the_wire(void **state)
{
	struct nvme_vendor_cmd cmd = { NVME_VENDOR_SEND, NVME_VENDOR_MISS_ADD, 0x01020304,
				       UINT64_C(0x1122334455667788) };
	struct nvme_sqe sqe = { 0 };
	uint8_t bytes[NVME_SQE_BYTES];
	struct nvme_vendor_cmd back;

	nvme_vendor_encode(&cmd, &sqe);
	nvme_sqe_encode(&sqe, bytes);
	assert_int_equal(bytes[0], 0xc1);
	assert_int_equal(bytes[40], 0x24);
	assert_int_equal(le32_get(bytes + 44), 0x01020304);
	assert_true(le64_get(bytes + 48) == UINT64_C(0x1122334455667788));
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_TO_CONTROLLER);
	back = nvme_vendor_decode(&sqe);
	assert_int_equal(back.opcode, cmd.opcode); /* field by field: the struct has holes */
	assert_int_equal(back.function, cmd.function);
	assert_int_equal(back.arg, cmd.arg);
	assert_true(back.value == cmd.value);
}

static void an_offer_is_told_by_its_magic(void **state)
{
	uint8_t data[4096] = { 0 };

	assert_int_equal(nvme_vendor_offered(data, sizeof(data)), 0);
	nvme_vendor_advertise(data);
	assert_memory_equal(data + 3072, "MAYASTOR\1\0\0\0", 12);
	assert_int_equal(nvme_vendor_offered(data, sizeof(data)), 1);
	assert_int_equal(nvme_vendor_offered(data, 4095), 0);
}

static void a_replica_is_at_its_offsets(void **state)
{
	struct nvme_replica replica = { .fence = 1,
					.incarnation = 2,
					.gen_epoch = 3,
					.gen_n = 4,
					.state = 3,
					.unclean = 1,
					.member_count = 16,
					.faulted = 1,
					.region_bytes = 5,
					.regions = 6 },
			    back;
	uint8_t bytes[NVME_REPLICA_BYTES];

	memset(replica.volume, 0xaa, 16);
	memset(replica.replica, 0xbb, 16);
	memset(replica.members[15], 0xcc, 16);
	memset(replica.miss_peer[1], 0xdd, 16);
	replica.miss_epoch[1] = 7;
	replica.miss_n[1] = 8;
	replica.miss_dirty[1] = 9;
	nvme_replica_encode(&replica, bytes);
	assert_int_equal(bytes[15], 0xaa);
	assert_int_equal(bytes[16], 0xbb);
	for (unsigned i = 0; i < 4; i++)
		assert_true(le64_get(bytes + 32 + 8 * i) == i + 1);
	assert_memory_equal(bytes + 64, "\3\1\x10\1\5\0\0\0\6\0\0\0\0\0\0\0", 16);
	assert_int_equal(bytes[320], 0xcc);
	assert_int_equal(bytes[352], 0xdd);
	assert_true(le64_get(bytes + 376) == 7 && le64_get(bytes + 392) == 8);
	assert_true(le64_get(bytes + 408) == 9);
	assert_int_equal(nvme_replica_decode(bytes, sizeof(bytes), &back), 0);
	assert_memory_equal(&back.members, &replica.members, sizeof(back.members));
	assert_true(back.regions == 6 && back.faulted == 1 && back.miss_dirty[1] == 9);
	assert_int_equal(nvme_replica_decode(bytes, sizeof(bytes) - 1, &back), -EBADMSG);
	bytes[66] = 17;
	assert_int_equal(nvme_replica_decode(bytes, sizeof(bytes), &back), -EBADMSG);
	bytes[66] = 0;
	bytes[64] = 4;
	assert_int_equal(nvme_replica_decode(bytes, sizeof(bytes), &back), -EBADMSG);
}

static void names_of_snapshots_end(void **state)
{
	struct nvme_snap snap = { .uuid = { 1, 2 }, .name = "daily" }, back;
	uint8_t bytes[NVME_SNAP_BYTES];

	nvme_snap_encode(&snap, bytes);
	assert_memory_equal(bytes + 16, "daily", 6);
	assert_int_equal(nvme_snap_decode(bytes, sizeof(bytes), &back), 0);
	assert_memory_equal(&back, &snap, sizeof(snap));
	memset(bytes + 16, 'x', NVME_SNAP_BYTES - 16);
	assert_int_equal(nvme_snap_decode(bytes, sizeof(bytes), &back), -EBADMSG);
	bytes[255] = 0;
	assert_int_equal(nvme_snap_decode(bytes, sizeof(bytes), &back), 0);
	assert_int_equal(strlen(back.name), NVME_SNAP_NAME_MAX);
	assert_int_equal(nvme_snap_decode(bytes, 255, &back), -EBADMSG);
}

static void a_missed_map_is_opened_for_a_generation(void **state)
{
	struct nvme_miss_open open = { .peer = { 9 }, .gen_epoch = 5, .gen_n = 6 }, back;
	uint8_t bytes[NVME_MISS_OPEN_BYTES];

	nvme_miss_open_encode(&open, bytes);
	assert_true(bytes[0] == 9 && le64_get(bytes + 16) == 5 && le64_get(bytes + 24) == 6);
	assert_int_equal(nvme_miss_open_decode(bytes, 32, &back), 0);
	assert_memory_equal(&back, &open, sizeof(open));
	assert_int_equal(nvme_miss_open_decode(bytes, 31, &back), -EBADMSG);
}

static void an_extent_has_blocks_and_known_flags(void **state)
{
	const uint8_t golden[NVME_EXTENT_BYTES] = { 8, 7, 6, 5, 4, 3, 2, 1, 3, 0, 0, 0 };
	struct nvme_extent extent = { 0x0102030405060708, NVME_EXTENT_HOLE | NVME_EXTENT_ZERO };
	struct nvme_extent back = { 0 };
	uint8_t bytes[NVME_EXTENT_BYTES];

	memset(bytes, 0xff, sizeof(bytes));
	nvme_extent_encode(&extent, bytes);
	assert_memory_equal(bytes, golden, sizeof(golden));
	assert_int_equal(nvme_extent_decode(bytes, sizeof(bytes), &back), 0);
	assert_true(back.blocks == extent.blocks && back.flags == extent.flags);
	bytes[8] = 8;
	assert_int_equal(nvme_extent_decode(bytes, sizeof(bytes), &back), -EBADMSG);
	bytes[8] = 0;
	assert_int_equal(nvme_extent_decode(bytes, NVME_EXTENT_BYTES - 1, &back), -EBADMSG);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(nvme_extent_decode(bytes, sizeof(bytes), &back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_survives_the_wire),
		cmocka_unit_test(an_offer_is_told_by_its_magic),
		cmocka_unit_test(a_replica_is_at_its_offsets),
		cmocka_unit_test(names_of_snapshots_end),
		cmocka_unit_test(a_missed_map_is_opened_for_a_generation),
		cmocka_unit_test(an_extent_has_blocks_and_known_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
