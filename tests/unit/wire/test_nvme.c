// SPDX-License-Identifier: Apache-2.0
/*
 * Commands, completions, statuses, where data is.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "wire/nvme.h"
#include "wire/nvme_sgl.h"
#include "wire/nvme_status.h"

static void a_command_survives_the_wire(void **state)
{
	struct nvme_sqe sqe = {
		.opcode = 0x02,
		.flags = 0x41,
		.cid = 0x1234,
		.nsid = 0x56789abc,
		.cdw2 = 2,
		.cdw3 = 3,
		.mptr = UINT64_C(0x1122334455667788),
		.dptr = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 },
		.cdw10 = 10,
		.cdw11 = 11,
		.cdw12 = 12,
		.cdw13 = 13,
		.cdw14 = 14,
		.cdw15 = 15,
	};
	uint8_t bytes[NVME_SQE_BYTES], again[NVME_SQE_BYTES];
	struct nvme_sqe back;

	nvme_sqe_encode(&sqe, bytes);
	nvme_sqe_decode(bytes, &back);
	nvme_sqe_encode(&back, again);
	assert_memory_equal(bytes, again, sizeof(bytes));
	assert_int_equal(back.cid, 0x1234);
	assert_int_equal(back.nsid, 0x56789abc);
	assert_true(back.mptr == sqe.mptr);
	assert_true(nvme_sqe_cdw10_11(&back) == UINT64_C(0x0000000b0000000a));
	assert_int_equal(back.cdw15, 15);
}

static void every_byte_of_a_command_is_kept(void **state)
{
	uint8_t bytes[NVME_SQE_BYTES], again[NVME_SQE_BYTES];
	struct nvme_sqe sqe;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 1);
	nvme_sqe_decode(bytes, &sqe);
	nvme_sqe_encode(&sqe, again);
	assert_memory_equal(bytes, again, sizeof(bytes));
}

static void an_opcode_says_which_way_data_goes(void **state)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_READ };

	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_TO_HOST);
	sqe.opcode = NVME_IO_DATASET_MANAGEMENT;
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_TO_CONTROLLER);
	sqe.opcode = NVME_IO_FLUSH;
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_NONE);
	sqe.opcode = NVME_FABRICS;
	sqe.nsid = 0x01;
	assert_int_equal(nvme_sqe_fctype(&sqe), 0x01);
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_TO_CONTROLLER);
	sqe.nsid = 0x04;
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_NONE);
	sqe.nsid = 0xffffff06;
	assert_int_equal(nvme_sqe_dir(&sqe), NVME_DIR_TO_HOST);
}

static void a_completion_survives_the_wire(void **state)
{
	struct nvme_cqe cqe = {
		.result = UINT64_C(0x8877665544332211),
		.sqhd = 0x1111,
		.sqid = 0x2222,
		.cid = 0x3333,
		.status = NVME_DNR | NVME_LBA_OUT_OF_RANGE,
	};
	uint8_t bytes[NVME_CQE_BYTES];
	struct nvme_cqe back;

	nvme_cqe_encode(&cqe, bytes);
	assert_int_equal(bytes[14] & 1, 0); /* the phase is reserved over fabrics */
	bytes[14] |= 1;
	nvme_cqe_decode(bytes, &back);
	assert_true(back.result == cqe.result);
	assert_int_equal(back.sqhd, 0x1111);
	assert_int_equal(back.sqid, 0x2222);
	assert_int_equal(back.cid, 0x3333);
	assert_int_equal(back.status, cqe.status);
}

static void a_status_has_the_words_of_the_specification(void **state)
{
	assert_string_equal(nvme_status_text(0), "Successful Completion");
	assert_string_equal(nvme_status_text(NVME_DNR | NVME_MORE | NVME_LBA_OUT_OF_RANGE),
			    "LBA Out of Range");
	assert_string_equal(nvme_status_text(NVME_ANA_TRANSITION), "Asymmetric Access Transition");
	assert_string_equal(nvme_status_text(0x2ff), "");
	assert_string_equal(nvme_status_text(0x7ff), "");
}

static void errors_of_a_disk_survive_the_wire(void **state)
{
	static const int errors[] = {
		0,	  -EINVAL, -ENOTSUP, -ENOSPC,	 -EROFS,  -EILSEQ,
		-ENODATA, -ESTALE, -ENODEV,  -ECANCELED, -EAGAIN, -EIO,
	};

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		assert_int_equal(nvme_status_to_error(nvme_status_of_error(errors[i])), errors[i]);
	assert_int_equal(nvme_status_of_error(-ENOMEM), NVME_COMMAND_INTERRUPTED);
	assert_int_equal(nvme_status_of_error(-EBUSY), NVME_COMMAND_INTERRUPTED);
	assert_int_equal(nvme_status_of_error(-ETIMEDOUT), NVME_INTERNAL_ERROR);
}

/* A second try may help there: DNR must be clear. */
static void what_may_pass_may_be_tried_again(void **state)
{
	assert_int_equal(nvme_status_of_error(-EIO) & NVME_DNR, 0);
	assert_int_equal(nvme_status_of_error(-ENODEV) & NVME_DNR, 0);
	assert_int_equal(nvme_status_of_error(-EAGAIN) & NVME_DNR, 0);
	assert_int_equal(nvme_status_of_error(-ECANCELED) & NVME_DNR, 0);
	assert_int_equal(nvme_status_of_error(-ESTALE) & NVME_DNR, NVME_DNR);
}

static void statuses_of_others_become_errors(void **state)
{
	static const struct {
		uint16_t status;
		int error;
	} cases[] = {
		{ NVME_LBA_OUT_OF_RANGE, -EINVAL },
		{ NVME_DATA_SGL_LENGTH_INVALID, -EINVAL },
		{ NVME_READ_ONLY_RANGE, -EROFS },
		{ NVME_GUARD_CHECK, -ENODATA },
		{ NVME_APPTAG_CHECK, -ENODATA },
		{ NVME_REFTAG_CHECK, -ENODATA },
		{ NVME_UNWRITTEN_BLOCK, -ENODATA },
		{ NVME_INVALID_NAMESPACE, -ENODEV },
		{ NVME_ANA_PERSISTENT_LOSS, -ENODEV },
		{ NVME_ANA_INACCESSIBLE, -ENODEV },
		{ NVME_ABORTED_SQ_DELETION, -ECANCELED },
		{ NVME_ABORTED_PREEMPT, -ECANCELED },
		{ NVME_ABORTED_BY_HOST, -ECANCELED },
		{ NVME_ANA_TRANSITION, -EAGAIN },
		{ NVME_WRITE_FAULT, -EIO },
		{ 0x7ff, -EIO },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(nvme_status_to_error(cases[i].status | NVME_DNR), cases[i].error);
}

static uint16_t decode(uint8_t id, uint64_t address, uint32_t length, uint32_t capsule,
		       struct nvme_sgl *ret)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .flags = NVME_PSDT_SGL };

	le64_put(sqe.dptr, address);
	le32_put(sqe.dptr + 8, length);
	sqe.dptr[15] = id;
	return nvme_sgl_decode(&sqe, capsule, ret);
}

static void data_in_the_capsule_is_found(void **state)
{
	struct nvme_sgl sgl;

	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 0, 4096, 4096, &sgl), 0);
	assert_true(sgl.in_capsule && sgl.offset == 0 && sgl.length == 4096);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 96, 4000, 4096, &sgl), 0);
	assert_true(sgl.in_capsule && sgl.offset == 96 && sgl.length == 4000);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 4096, 0, 4096, &sgl), 0);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 4097, 0, 4096, &sgl),
			 NVME_SGL_OFFSET_INVALID | NVME_DNR);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, UINT64_MAX, 1, 4096, &sgl),
			 NVME_SGL_OFFSET_INVALID | NVME_DNR);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, UINT64_C(1) << 32, 1, 4096, &sgl),
			 NVME_SGL_OFFSET_INVALID | NVME_DNR);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 1, 4096, 4096, &sgl),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	assert_int_equal(decode(NVME_SGL_IN_CAPSULE, 8, UINT32_MAX, 4096, &sgl),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
}

static void data_in_pdus_of_its_own_is_found(void **state)
{
	struct nvme_sgl sgl;

	assert_int_equal(decode(NVME_SGL_TRANSPORT, 77, 4096, 0, &sgl), 0);
	assert_true(!sgl.in_capsule && sgl.offset == 0 && sgl.length == 4096);
	assert_int_equal(decode(NVME_SGL_TRANSPORT, 0, 4096, 4096, &sgl),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
}

static void other_descriptors_are_refused(void **state)
{
	struct nvme_sgl sgl = { .length = 42 };

	for (unsigned id = 0; id < 256; id++)
		if (id != NVME_SGL_IN_CAPSULE && id != NVME_SGL_TRANSPORT)
			assert_int_equal(decode((uint8_t)id, 0, 0, 0, &sgl),
					 NVME_SGL_TYPE_INVALID | NVME_DNR);
	assert_int_equal(sgl.length, 42); /* W1 */
}

static void a_command_that_has_no_sgl_is_refused(void **state)
{
	struct nvme_sqe sqe = { .opcode = NVME_IO_READ, .dptr[15] = NVME_SGL_TRANSPORT };
	struct nvme_sgl sgl;

	assert_int_equal(nvme_sgl_decode(&sqe, 0, &sgl), NVME_INVALID_FIELD | NVME_DNR);
	sqe.flags = 0x80;
	assert_int_equal(nvme_sgl_decode(&sqe, 0, &sgl), NVME_INVALID_FIELD | NVME_DNR);
	sqe.opcode = NVME_FABRICS;
	assert_int_equal(nvme_sgl_decode(&sqe, 0, &sgl), 0);
}

static void descriptors_survive_the_wire(void **state)
{
	struct nvme_sgl in = { .in_capsule = true, .offset = 64, .length = 128 };
	struct nvme_sgl out = { .length = 1 << 20 };
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .flags = NVME_FUSE_FIRST | 0x80 };
	struct nvme_sgl back;

	memset(sqe.dptr, 0xff, sizeof(sqe.dptr));
	nvme_sgl_encode(&in, &sqe);
	assert_int_equal(sqe.flags, NVME_PSDT_SGL | NVME_FUSE_FIRST);
	assert_int_equal(nvme_sgl_decode(&sqe, 192, &back), 0);
	assert_true(back.in_capsule && back.offset == 64 && back.length == 128);
	nvme_sgl_encode(&out, &sqe);
	assert_int_equal(nvme_sgl_decode(&sqe, 0, &back), 0);
	assert_true(!back.in_capsule && back.offset == 0 && back.length == 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_survives_the_wire),
		cmocka_unit_test(every_byte_of_a_command_is_kept),
		cmocka_unit_test(an_opcode_says_which_way_data_goes),
		cmocka_unit_test(a_completion_survives_the_wire),
		cmocka_unit_test(a_status_has_the_words_of_the_specification),
		cmocka_unit_test(errors_of_a_disk_survive_the_wire),
		cmocka_unit_test(what_may_pass_may_be_tried_again),
		cmocka_unit_test(statuses_of_others_become_errors),
		cmocka_unit_test(data_in_the_capsule_is_found),
		cmocka_unit_test(data_in_pdus_of_its_own_is_found),
		cmocka_unit_test(other_descriptors_are_refused),
		cmocka_unit_test(a_command_that_has_no_sgl_is_refused),
		cmocka_unit_test(descriptors_survive_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
