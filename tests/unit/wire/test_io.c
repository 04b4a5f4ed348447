// SPDX-License-Identifier: Apache-2.0
/*
 * Fields of I/O commands: reads and writes, dataset management, reservations.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "wire/nvme_io.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_status.h"

static void a_write_survives_the_wire(void **state)
{
	struct nvme_rw rw = {
		.lba = UINT64_C(0x1122334455),
		.blocks = NVME_RW_BLOCKS_MAX,
		.flags = NVME_RW_FUA | NVME_RW_LIMITED_RETRY,
		.prinfo = 5,
		.dspec = 0x1234,
	};
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE };
	struct nvme_rw back;

	nvme_rw_encode(&rw, &sqe);
	assert_int_equal(nvme_rw_decode(&sqe, UINT64_MAX, &back), 0);
	assert_true(back.lba == rw.lba);
	assert_int_equal(back.blocks, NVME_RW_BLOCKS_MAX);
	assert_int_equal(back.flags, rw.flags);
	assert_int_equal(back.prinfo, 5);
	assert_int_equal(back.dspec, 0x1234);
}

static void only_zeroes_deallocate(void **state)
{
	struct nvme_rw rw = { .blocks = 1, .flags = NVME_RW_DEALLOCATE };
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE_ZEROES };
	struct nvme_rw back;

	nvme_rw_encode(&rw, &sqe);
	assert_int_equal(sqe.cdw12, 1 << 25);
	assert_int_equal(nvme_rw_decode(&sqe, 1, &back), 0);
	assert_int_equal(back.flags, NVME_RW_DEALLOCATE);
	sqe.opcode = NVME_IO_WRITE;
	assert_int_equal(nvme_rw_decode(&sqe, 1, &back), 0);
	assert_int_equal(back.flags, 0);
}

static void blocks_beyond_the_end_are_refused(void **state)
{
	struct nvme_rw rw = { .lba = 90, .blocks = 10 }, back = { .blocks = 42 };
	struct nvme_sqe sqe = { .opcode = NVME_IO_READ };

	nvme_rw_encode(&rw, &sqe);
	assert_int_equal(nvme_rw_decode(&sqe, 99, &back), NVME_LBA_OUT_OF_RANGE | NVME_DNR);
	assert_int_equal(back.blocks, 42); /* W1 */
	assert_int_equal(nvme_rw_decode(&sqe, 100, &back), 0);
	rw.lba = UINT64_MAX;
	nvme_rw_encode(&rw, &sqe);
	assert_int_equal(nvme_rw_decode(&sqe, 100, &back), NVME_LBA_OUT_OF_RANGE | NVME_DNR);
	assert_int_equal(nvme_rw_decode(&sqe, UINT64_MAX, &back), NVME_LBA_OUT_OF_RANGE | NVME_DNR);
}

static void directives_of_writes_are_refused(void **state)
{
	struct nvme_rw rw = { .blocks = 1, .dtype = 1 }, back;
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE };

	nvme_rw_encode(&rw, &sqe);
	assert_int_equal(nvme_rw_decode(&sqe, 1, &back), NVME_INVALID_FIELD | NVME_DNR);
	sqe.opcode = NVME_IO_READ; /* there the bits are reserved */
	assert_int_equal(nvme_rw_decode(&sqe, 1, &back), 0);
}

static void ranges_survive_the_wire(void **state)
{
	struct nvme_dsm_range range = { .attributes = 3, .blocks = 8, .lba = 92 }, back;
	uint8_t data[2 * NVME_DSM_RANGE_BYTES] = { 0 };
	struct nvme_sqe sqe = { 0 };

	nvme_dsm_encode(NVME_DSM_RANGES_MAX, NVME_DSM_DEALLOCATE, &sqe);
	assert_int_equal(nvme_dsm_ranges(&sqe), NVME_DSM_RANGES_MAX);
	assert_int_equal(sqe.cdw11, NVME_DSM_DEALLOCATE);
	nvme_dsm_range_encode(&range, data + NVME_DSM_RANGE_BYTES);
	assert_int_equal(nvme_dsm_range_decode(data, sizeof(data), 1, 100, &back), 0);
	assert_true(back.attributes == 3 && back.blocks == 8 && back.lba == 92);
	assert_int_equal(nvme_dsm_range_decode(data, sizeof(data), 0, 100, &back), 0);
	assert_int_equal(back.blocks, 0);
}

static void ranges_that_are_not_there_are_refused(void **state)
{
	struct nvme_dsm_range range = { .blocks = 8, .lba = 93 }, back;
	uint8_t data[NVME_DSM_RANGE_BYTES];

	nvme_dsm_range_encode(&range, data);
	assert_int_equal(nvme_dsm_range_decode(data, 16, 0, 100, &back),
			 NVME_LBA_OUT_OF_RANGE | NVME_DNR);
	assert_int_equal(nvme_dsm_range_decode(data, 16, 1, 200, &back),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	assert_int_equal(nvme_dsm_range_decode(data, 15, 0, 200, &back),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	assert_int_equal(nvme_dsm_range_decode(NULL, 0, 255, 200, &back),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
}

static void reservations_survive_the_wire(void **state)
{
	static const struct {
		uint8_t opcode;
		struct nvme_resv_cmd cmd;
	} cases[] = {
		{ NVME_IO_RESV_REGISTER, { NVME_RESV_REPLACE, true, 0, NVME_RESV_PTPL_ON, 1, 2 } },
		{ NVME_IO_RESV_REGISTER,
		  { NVME_RESV_UNREGISTER, false, 0, NVME_RESV_PTPL_KEEP, 1, 0 } },
		{ NVME_IO_RESV_ACQUIRE,
		  { NVME_RESV_PREEMPT_ABORT, true, NVME_RESV_EXCLUSIVE_ACCESS, 0, 3, UINT64_MAX } },
		{ NVME_IO_RESV_RELEASE,
		  { NVME_RESV_RELEASE, false, NVME_RESV_EXCLUSIVE_ACCESS_ALL, 0, 9, 0 } },
		{ NVME_IO_RESV_RELEASE, { NVME_RESV_CLEAR, false, 0, 0, 9, 0 } },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct nvme_resv_cmd *cmd = &cases[i].cmd;
		struct nvme_sqe sqe = { .opcode = cases[i].opcode };
		struct nvme_resv_cmd back;
		uint8_t data[16];

		nvme_resv_encode(cmd, &sqe, data);
		assert_int_equal(
			nvme_resv_decode(&sqe, data, nvme_resv_data_bytes(sqe.opcode), &back), 0);
		assert_int_equal(back.action, cmd->action);
		assert_int_equal(back.iekey, cmd->iekey);
		assert_int_equal(back.type, cmd->type);
		assert_int_equal(back.cptpl, cmd->cptpl);
		assert_true(back.key == cmd->key && back.new_key == cmd->new_key);
	}
}

static void reserved_actions_of_reservations_are_refused(void **state)
{
	static const struct {
		uint8_t opcode;
		uint32_t cdw10;
		uint16_t size;
		uint16_t status;
	} cases[] = {
		{ NVME_IO_RESV_REGISTER, 3, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_REGISTER, 7, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_REGISTER, 1u << 30, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_REGISTER, 0, 15, NVME_DATA_SGL_LENGTH_INVALID },
		{ NVME_IO_RESV_ACQUIRE, 0x103, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_ACQUIRE, 0, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_ACQUIRE, 0x700, 16, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_ACQUIRE, 0x100, 8, NVME_DATA_SGL_LENGTH_INVALID },
		{ NVME_IO_RESV_RELEASE, 0x102, 8, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_RELEASE, 0, 8, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_RELEASE, 0xff00, 8, NVME_INVALID_FIELD },
		{ NVME_IO_RESV_RELEASE, 1, 0, NVME_DATA_SGL_LENGTH_INVALID },
		{ NVME_IO_RESV_REPORT, 0, 16, NVME_INVALID_OPCODE },
		{ NVME_IO_READ, 0, 16, NVME_INVALID_OPCODE },
	};
	static const uint8_t data[16];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nvme_sqe sqe = { .opcode = cases[i].opcode, .cdw10 = cases[i].cdw10 };
		struct nvme_resv_cmd back = { .key = 42 };

		assert_int_equal(nvme_resv_decode(&sqe, data, cases[i].size, &back),
				 cases[i].status | NVME_DNR);
		assert_int_equal(back.key, 42); /* W1 */
	}
}

static void reports_survive_the_wire(void **state)
{
	struct nvme_resv_report report = { 0x11223344, NVME_RESV_EXCLUSIVE_ACCESS, 2, true };
	struct nvme_resv_host host = { .cntlid = 7, .holder = true, .key = 0x1234 };

	memset(host.host_id, 0xab, sizeof(host.host_id));
	for (int extended = 0; extended < 2; extended++) {
		struct nvme_resv_report report_back;
		struct nvme_resv_host host_back;
		uint8_t data[256];
		size_t at;

		memset(data, 0xff, sizeof(data));
		at = nvme_resv_report_encode(&report, extended, data);
		at += nvme_resv_host_encode(&host, extended, data + at);
		at += nvme_resv_host_encode(&host, extended, data + at);
		assert_int_equal(at, extended ? 192 : 72);
		assert_int_equal(nvme_resv_report_decode(data, at, extended, &report_back), 0);
		assert_int_equal(report_back.generation, 0x11223344);
		assert_int_equal(report_back.type, NVME_RESV_EXCLUSIVE_ACCESS);
		assert_int_equal(report_back.registrants, 2);
		assert_true(report_back.ptpl);
		assert_int_equal(nvme_resv_host_decode(data, at, extended, 1, &host_back), 0);
		assert_int_equal(host_back.cntlid, 7);
		assert_true(host_back.holder && host_back.key == 0x1234);
		assert_memory_equal(host_back.host_id, host.host_id, extended ? 16 : 8);
		assert_int_equal(host_back.host_id[15], extended ? 0xab : 0);
		assert_int_equal(nvme_resv_host_decode(data, at, extended, 2, &host_back),
				 -EBADMSG);
		assert_int_equal(nvme_resv_host_decode(data, at - 1, extended, 1, &host_back),
				 -EBADMSG);
		assert_int_equal(nvme_resv_host_decode(data, 8, extended, 0, &host_back), -EBADMSG);
		assert_int_equal(nvme_resv_report_decode(data, extended ? 63 : 23, extended,
							 &report_back),
				 -EBADMSG);
	}
}

static void a_report_is_extended_if_asked(void **state)
{
	struct nvme_sqe sqe = { .cdw11 = 1 };

	assert_true(nvme_resv_report_extended(&sqe));
	sqe.cdw11 = 2;
	assert_false(nvme_resv_report_extended(&sqe));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_write_survives_the_wire),
		cmocka_unit_test(only_zeroes_deallocate),
		cmocka_unit_test(blocks_beyond_the_end_are_refused),
		cmocka_unit_test(directives_of_writes_are_refused),
		cmocka_unit_test(ranges_survive_the_wire),
		cmocka_unit_test(ranges_that_are_not_there_are_refused),
		cmocka_unit_test(reservations_survive_the_wire),
		cmocka_unit_test(reserved_actions_of_reservations_are_refused),
		cmocka_unit_test(reports_survive_the_wire),
		cmocka_unit_test(a_report_is_extended_if_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
