// SPDX-License-Identifier: Apache-2.0
/*
 * The transmission phase of NBD (Q1, Q2).
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/be.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"

static void errors_of_a_disk_survive_the_wire(void **state)
{
	static const int errors[] = { 0,       -EROFS,	   -EIO,     -ENOMEM, -EINVAL,
				      -ENOSPC, -EOVERFLOW, -ENOTSUP, -ENODEV };

	for (size_t i = 0; i < ARRAY_LEN(errors); i++)
		assert_int_equal(nbd_error_to(nbd_error_of(errors[i])), errors[i]);
	assert_int_equal(nbd_error_of(-EPERM), NBD_EPERM);
	assert_int_equal(nbd_error_of(-EACCES), NBD_EPERM);
	assert_int_equal(nbd_error_of(-EFBIG), NBD_ENOSPC);
	assert_int_equal(nbd_error_of(-EDQUOT), NBD_ENOSPC);
	assert_int_equal(nbd_error_of(-ESTALE), NBD_ESHUTDOWN);
	assert_int_equal(nbd_error_of(-ESHUTDOWN), NBD_ESHUTDOWN);
	assert_int_equal(nbd_error_of(-ETIMEDOUT), NBD_EIO);
	assert_int_equal(nbd_error_to(4711), -EINVAL);
}

static void a_request_survives_the_wire(void **state)
{
	struct nbd_request request = {
		.flags = NBD_CMD_FUA,
		.type = NBD_CMD_WRITE,
		.cookie = UINT64_C(0x1122334455667788),
		.offset = UINT64_C(0x8877665544332211),
		.length = 4096,
	};
	uint8_t bytes[NBD_REQUEST_BYTES];
	struct nbd_request back;

	nbd_request_encode(&request, bytes);
	assert_int_equal(nbd_request_decode(bytes, sizeof(bytes), &back), 0);
	assert_int_equal(back.flags, NBD_CMD_FUA);
	assert_int_equal(back.type, NBD_CMD_WRITE);
	assert_true(back.cookie == request.cookie && back.offset == request.offset);
	assert_int_equal(back.length, 4096);
	assert_int_equal(nbd_request_payload(&back), 4096);
	back.type = NBD_CMD_READ;
	assert_int_equal(nbd_request_payload(&back), 0);
	assert_int_equal(nbd_request_decode(bytes, sizeof(bytes) - 1, &back), -EBADMSG);
	bytes[3]++;
	assert_int_equal(nbd_request_decode(bytes, sizeof(bytes), &back), -EBADMSG);
}

#define ALL_FLAGS                                                                            \
	(NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM | \
	 NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_DF | NBD_FLAG_SEND_CACHE |               \
	 NBD_FLAG_SEND_FAST_ZERO)

static const struct nbd_rules all_rules = {
	.size_bytes = 1 << 20,
	.flags = ALL_FLAGS,
	.block_min = 512,
	.payload_max = 65536,
	.structured = true,
	.meta = true,
};

static uint32_t check(const struct nbd_rules *rules, uint16_t type, uint16_t flags, uint64_t offset,
		      uint32_t length)
{
	struct nbd_request request = { flags, type, 0, offset, length };

	return nbd_request_check(&request, rules);
}

static void a_proper_request_is_taken(void **state)
{
	for (uint16_t type = 0; type < 16; type++) {
		bool known = type <= NBD_CMD_BLOCK_STATUS && type != NBD_CMD_DISC;
		uint32_t length = type == NBD_CMD_FLUSH ? 0 : 512;

		assert_int_equal(check(&all_rules, type, 0, 0, length),
				 known ? NBD_OK : NBD_EINVAL);
		/* "the server must accept all commands with this bit set" */
		assert_int_equal(check(&all_rules, type, NBD_CMD_FUA, 0, length),
				 known ? NBD_OK : NBD_EINVAL);
	}
	assert_int_equal(check(&all_rules, UINT16_MAX, 0, 0, 512), NBD_EINVAL);
}

static void a_flag_goes_with_its_command_only(void **state)
{
	static const uint16_t of_type[] = {
		[NBD_CMD_READ] = NBD_CMD_DF,
		[NBD_CMD_WRITE] = 0,
		[NBD_CMD_TRIM] = 0,
		[NBD_CMD_CACHE] = 0,
		[NBD_CMD_WRITE_ZEROES] = NBD_CMD_NO_HOLE | NBD_CMD_FAST_ZERO,
		[NBD_CMD_BLOCK_STATUS] = NBD_CMD_REQ_ONE,
	};

	for (uint16_t type = 0; type < ARRAY_LEN(of_type); type++)
		for (unsigned bit = 1; bit < 16; bit++) {
			uint16_t flag = (uint16_t)(1 << bit);

			if (type == NBD_CMD_DISC || type == NBD_CMD_FLUSH)
				continue;
			assert_int_equal(check(&all_rules, type, flag, 0, 512),
					 of_type[type] & flag ? NBD_OK : NBD_EINVAL);
		}
}

static void what_was_not_offered_is_refused(void **state)
{
	static const struct {
		uint16_t flag;
		uint16_t type;
		uint16_t cmd_flags;
		uint32_t length;
	} cases[] = {
		{ NBD_FLAG_SEND_FLUSH, NBD_CMD_FLUSH, 0, 0 },
		{ NBD_FLAG_SEND_FUA, NBD_CMD_WRITE, NBD_CMD_FUA, 512 },
		{ NBD_FLAG_SEND_TRIM, NBD_CMD_TRIM, 0, 512 },
		{ NBD_FLAG_SEND_WRITE_ZEROES, NBD_CMD_WRITE_ZEROES, 0, 512 },
		{ NBD_FLAG_SEND_DF, NBD_CMD_READ, NBD_CMD_DF, 512 },
		{ NBD_FLAG_SEND_CACHE, NBD_CMD_CACHE, 0, 512 },
		{ NBD_FLAG_SEND_FAST_ZERO, NBD_CMD_WRITE_ZEROES, NBD_CMD_FAST_ZERO, 512 },
	};
	struct nbd_rules rules = all_rules;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rules.flags = (uint16_t)ALL_FLAGS;
		assert_int_equal(check(&rules, cases[i].type, cases[i].cmd_flags, 0,
				       cases[i].length),
				 NBD_OK);
		rules.flags = (uint16_t)(ALL_FLAGS & ~cases[i].flag);
		assert_int_equal(check(&rules, cases[i].type, cases[i].cmd_flags, 0,
				       cases[i].length),
				 NBD_EINVAL);
	}
	rules.meta = false;
	assert_int_equal(check(&rules, NBD_CMD_BLOCK_STATUS, 0, 0, 512), NBD_EINVAL);
}

static void what_is_read_only_is_not_written(void **state)
{
	struct nbd_rules rules = all_rules;

	rules.flags |= NBD_FLAG_READ_ONLY;
	assert_int_equal(check(&rules, NBD_CMD_WRITE, 0, 0, 512), NBD_EPERM);
	assert_int_equal(check(&rules, NBD_CMD_TRIM, 0, 0, 512), NBD_EPERM);
	assert_int_equal(check(&rules, NBD_CMD_WRITE_ZEROES, 0, 1 << 21, 512), NBD_EPERM);
	assert_int_equal(check(&rules, NBD_CMD_READ, 0, 0, 512), NBD_OK);
	assert_int_equal(check(&rules, NBD_CMD_FLUSH, 0, 0, 0), NBD_OK);
}

static void ranges_are_checked(void **state)
{
	static const struct {
		uint16_t type;
		uint64_t offset;
		uint32_t length;
		uint32_t error;
	} cases[] = {
		{ NBD_CMD_READ, 0, 0, NBD_EINVAL },
		{ NBD_CMD_BLOCK_STATUS, 0, 0, NBD_EINVAL },
		{ NBD_CMD_READ, 0, 65536, NBD_OK },
		{ NBD_CMD_READ, 0, 65536 + 512, NBD_EINVAL },
		{ NBD_CMD_WRITE, 0, 65536 + 512, NBD_EINVAL },
		{ NBD_CMD_TRIM, 0, 1 << 20, NBD_OK },
		{ NBD_CMD_READ, (1 << 20) - 512, 512, NBD_OK },
		{ NBD_CMD_READ, (1 << 20) - 512, 1024, NBD_EINVAL },
		{ NBD_CMD_READ, UINT64_MAX - 511, 512, NBD_EINVAL },
		{ NBD_CMD_WRITE, 1 << 20, 512, NBD_ENOSPC },
		{ NBD_CMD_WRITE_ZEROES, UINT64_MAX - 511, 1024, NBD_ENOSPC },
		{ NBD_CMD_TRIM, 1 << 20, 512, NBD_EINVAL },
		{ NBD_CMD_READ, 1, 512, NBD_EINVAL },
		{ NBD_CMD_WRITE, 0, 511, NBD_EINVAL },
		{ NBD_CMD_FLUSH, 0, 1, NBD_EINVAL },
		{ NBD_CMD_FLUSH, 1, 0, NBD_EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(check(&all_rules, cases[i].type, 0, cases[i].offset,
				       cases[i].length),
				 cases[i].error);
}

static void an_answer_asks_for_its_head(void **state)
{
	struct nbd_simple simple = { .error = NBD_EIO, .cookie = 7 };
	struct nbd_chunk chunk = { NBD_CHUNK_DONE, NBD_CHUNK_DATA, 9, 4104 };
	uint8_t bytes[NBD_CHUNK_BYTES];
	struct nbd_answer answer;

	nbd_simple_encode(&simple, bytes);
	for (size_t size = 0; size < NBD_SIMPLE_BYTES; size++)
		assert_int_equal(nbd_answer_decode(bytes, size, true, &answer),
				 size < 4 ? 4 : NBD_SIMPLE_BYTES);
	assert_int_equal(nbd_answer_decode(bytes, NBD_SIMPLE_BYTES, false, &answer), 0);
	assert_true(answer.simple);
	assert_int_equal(answer.error, NBD_EIO);
	assert_int_equal(answer.chunk.cookie, 7);

	nbd_chunk_encode(&chunk, bytes);
	for (size_t size = 4; size < NBD_CHUNK_BYTES; size++)
		assert_int_equal(nbd_answer_decode(bytes, size, true, &answer), NBD_CHUNK_BYTES);
	assert_int_equal(nbd_answer_decode(bytes, NBD_CHUNK_BYTES, true, &answer), 0);
	assert_false(answer.simple);
	assert_int_equal(answer.chunk.flags, NBD_CHUNK_DONE);
	assert_int_equal(answer.chunk.type, NBD_CHUNK_DATA);
	assert_int_equal(answer.chunk.cookie, 9);
	assert_int_equal(answer.chunk.length, 4104);
	assert_int_equal(nbd_answer_decode(bytes, NBD_CHUNK_BYTES, false, &answer), -EBADMSG);
	bytes[0]++;
	assert_int_equal(nbd_answer_decode(bytes, NBD_CHUNK_BYTES, true, &answer), -EBADMSG);
}

/* Q2 */
static void an_answer_is_held_against_its_request(void **state)
{
	static const struct {
		uint16_t asked;
		uint16_t flags;
		uint16_t type;
		uint32_t length;
		int r;
	} cases[] = {
		{ NBD_CMD_READ, 1, NBD_CHUNK_NONE, 0, 0 },
		{ NBD_CMD_READ, 0, NBD_CHUNK_NONE, 0, -EBADMSG },
		{ NBD_CMD_WRITE, 1, NBD_CHUNK_NONE, 1, -EBADMSG },
		{ NBD_CMD_READ, 0, NBD_CHUNK_DATA, 8 + 4096, 0 },
		{ NBD_CMD_READ, 0, NBD_CHUNK_DATA, 8 + 4097, -EBADMSG },
		{ NBD_CMD_READ, 0, NBD_CHUNK_DATA, 8, -EBADMSG },
		{ NBD_CMD_READ, 0, NBD_CHUNK_DATA, 0, -EBADMSG },
		{ NBD_CMD_WRITE, 0, NBD_CHUNK_DATA, 9, -EBADMSG },
		{ NBD_CMD_READ, 0, NBD_CHUNK_HOLE, 12, 0 },
		{ NBD_CMD_READ, 0, NBD_CHUNK_HOLE, 13, -EBADMSG },
		{ NBD_CMD_TRIM, 0, NBD_CHUNK_HOLE, 12, -EBADMSG },
		{ NBD_CMD_BLOCK_STATUS, 0, NBD_CHUNK_BLOCK_STATUS, 12, 0 },
		{ NBD_CMD_BLOCK_STATUS, 0, NBD_CHUNK_BLOCK_STATUS, 4, -EBADMSG },
		{ NBD_CMD_BLOCK_STATUS, 0, NBD_CHUNK_BLOCK_STATUS, 16, -EBADMSG },
		{ NBD_CMD_BLOCK_STATUS, 0, NBD_CHUNK_BLOCK_STATUS, 4 + 8 * NBD_EXTENTS_MAX, 0 },
		{ NBD_CMD_BLOCK_STATUS, 0, NBD_CHUNK_BLOCK_STATUS, 12 + 8 * NBD_EXTENTS_MAX,
		  -EBADMSG },
		{ NBD_CMD_READ, 0, NBD_CHUNK_BLOCK_STATUS, 12, -EBADMSG },
		{ NBD_CMD_FLUSH, 1, NBD_CHUNK_ERROR, 6, 0 },
		{ NBD_CMD_FLUSH, 1, NBD_CHUNK_ERROR, 5, -EBADMSG },
		{ NBD_CMD_FLUSH, 1, NBD_CHUNK_ERROR_OFFSET, NBD_ERROR_MAX, 0 },
		{ NBD_CMD_FLUSH, 1, 0xffff, NBD_ERROR_MAX + 1, -EBADMSG },
		{ NBD_CMD_FLUSH, 1, 0xffff, 6, 0 }, /* an error is an error */
		{ NBD_CMD_READ, 0, 3, 9, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nbd_request request = { .type = cases[i].asked,
					       .cookie = 5,
					       .length = 4096 };
		struct nbd_answer answer = {
			.chunk = { cases[i].flags, cases[i].type, 5, cases[i].length },
		};

		assert_int_equal(nbd_answer_check(&answer, &request, true), cases[i].r);
		answer.chunk.cookie = 6;
		assert_int_equal(nbd_answer_check(&answer, &request, true), -EBADMSG);
	}
}

static void a_simple_answer_is_held_against_its_request(void **state)
{
	struct nbd_request request = { .type = NBD_CMD_READ, .cookie = 5, .length = 4096 };
	struct nbd_answer answer = { .simple = true, .chunk.cookie = 5 };

	assert_int_equal(nbd_answer_check(&answer, &request, false), 0);
	assert_int_equal(nbd_answer_check(&answer, &request, true), -EBADMSG);
	request.type = NBD_CMD_WRITE;
	assert_int_equal(nbd_answer_check(&answer, &request, true), 0);
	request.type = NBD_CMD_BLOCK_STATUS;
	assert_int_equal(nbd_answer_check(&answer, &request, true), -EBADMSG);
	answer.error = NBD_EIO;
	assert_int_equal(nbd_answer_check(&answer, &request, true), 0);
	answer.chunk.cookie = 6;
	assert_int_equal(nbd_answer_check(&answer, &request, true), -EBADMSG);
}

static int range(uint16_t type, uint64_t offset, uint32_t length, struct nbd_range *ret)
{
	struct nbd_request request = { .type = NBD_CMD_READ, .offset = 8192, .length = 4096 };
	struct nbd_range hole = { offset, length };
	struct nbd_chunk chunk = { .type = type };
	uint8_t body[NBD_HOLE_BYTES];
	bool data = type == NBD_CHUNK_DATA;

	chunk.length = data ? NBD_DATA_BYTES + length : NBD_HOLE_BYTES;
	nbd_hole_encode(&hole, body);
	if (data)
		nbd_data_encode(offset, body);
	assert_int_equal(nbd_range_decode(&chunk, body, (data ? 8 : 12) - 1, &request, ret),
			 -EBADMSG);
	return nbd_range_decode(&chunk, body, data ? 8 : 12, &request, ret);
}

static void data_and_holes_lie_within_the_request(void **state)
{
	static const uint16_t types[] = { NBD_CHUNK_DATA, NBD_CHUNK_HOLE };
	struct nbd_range r = { .length = 42 };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		assert_int_equal(range(types[i], 8191, 2, &r), -EBADMSG);
		assert_int_equal(range(types[i], 12288, 1, &r), -EBADMSG);
		assert_int_equal(range(types[i], 12289, 1, &r), -EBADMSG);
		assert_int_equal(range(types[i], 8193, 4096, &r), -EBADMSG);
		assert_int_equal(range(types[i], 8192, 0, &r), -EBADMSG);
		assert_int_equal(range(types[i], 0, 4096, &r), -EBADMSG);
		assert_int_equal(range(types[i], UINT64_MAX, 1, &r), -EBADMSG);
		assert_int_equal(range(types[i], 8192, 4096, &r), 0);
		assert_int_equal(range(types[i], 12287, 1, &r), 0);
		assert_true(r.offset == 12287 && r.length == 1);
	}
	struct nbd_chunk chunk = { .type = NBD_CHUNK_DATA, .length = 7 };
	struct nbd_request request = { .length = UINT32_MAX };

	assert_int_equal(nbd_range_decode(&chunk, (const uint8_t *)"\0\0\0\0\0\0\0\0", 8, &request,
					  &r),
			 -EBADMSG);
}

static void extents_survive_the_wire(void **state)
{
	struct nbd_extent one = { 4096, NBD_STATE_HOLE | NBD_STATE_ZERO }, two = { 512, 0 }, back;
	uint8_t body[NBD_STATUS_BYTES + 2 * NBD_EXTENT_BYTES];
	size_t extents = 42;
	uint32_t context;

	nbd_status_encode(7, body);
	nbd_extent_encode(&one, body + 4);
	nbd_extent_encode(&two, body + 12);
	for (size_t size = 0; size < sizeof(body); size++)
		assert_int_equal(nbd_status_decode(body, size, &context, &extents),
				 size == 12 ? 0 : -EBADMSG);
	assert_int_equal(extents, 1);
	assert_int_equal(nbd_status_decode(body, sizeof(body), &context, &extents), 0);
	assert_int_equal(context, 7);
	assert_int_equal(extents, 2);
	assert_int_equal(nbd_extent_decode(body, 0, &back), 0);
	assert_true(back.length == 4096 && back.flags == 3);
	assert_int_equal(nbd_extent_decode(body, 1, &back), 0);
	assert_true(back.length == 512 && back.flags == 0);
	be32_put(body + 12, 0);
	assert_int_equal(nbd_extent_decode(body, 1, &back), -EBADMSG);
}

static void failures_survive_the_wire(void **state)
{
	static const char words[] = "no such block";

	for (int has_offset = 0; has_offset < 2; has_offset++) {
		struct nbd_failure failure = {
			.error = NBD_EIO,
			.text = words,
			.text_length = sizeof(words) - 1,
			.has_offset = has_offset,
			.offset = has_offset ? 99 : 0,
		};
		struct nbd_chunk chunk = {
			.type = has_offset ? NBD_CHUNK_ERROR_OFFSET : NBD_CHUNK_ERROR,
		};
		uint8_t body[64] = { 0 };
		struct nbd_failure back;
		size_t size = nbd_failure_encode(&failure, body);

		assert_int_equal(nbd_failure_decode(&chunk, body, size, &back), 0);
		assert_int_equal(back.error, NBD_EIO);
		assert_int_equal(back.text_length, strlen(words));
		assert_memory_equal(back.text, words, back.text_length);
		assert_int_equal(back.has_offset, has_offset);
		assert_int_equal(back.offset, failure.offset);
		for (size_t cut = 0; cut < size; cut++)
			assert_int_equal(nbd_failure_decode(&chunk, body, cut, &back), -EBADMSG);
		assert_int_equal(nbd_failure_decode(&chunk, body, size + 1, &back), -EBADMSG);
		failure.text_length = 0;
		size = nbd_failure_encode(&failure, body);
		assert_int_equal(size, has_offset ? 14 : 6);
		assert_int_equal(nbd_failure_decode(&chunk, body, size, &back), 0);
		be32_put(body, 0);
		assert_int_equal(nbd_failure_decode(&chunk, body, size, &back), -EBADMSG);
	}
}

/* Of which we know the error and the text, but not what else it may say. */
static void an_unknown_kind_of_failure_is_read_as_far_as_it_is_known(void **state)
{
	struct nbd_failure failure = { .error = NBD_EINVAL, .text = "x", .text_length = 1 }, back;
	struct nbd_chunk chunk = { .type = 0x9000 };
	uint8_t body[64] = { 0 };

	nbd_failure_encode(&failure, body);
	assert_int_equal(nbd_failure_decode(&chunk, body, 20, &back), 0);
	assert_int_equal(back.error, NBD_EINVAL);
	assert_int_equal(back.text_length, 1);
}

static void the_text_of_a_failure_is_bounded(void **state)
{
	struct nbd_chunk chunk = { .type = NBD_CHUNK_ERROR };
	uint8_t *body = test_calloc(1, NBD_ERROR_MAX);
	struct nbd_failure back = { .error = 42 };

	be32_put(body, NBD_EIO);
	be16_put(body + 4, NBD_ERROR_TEXT_MAX + 1);
	assert_int_equal(nbd_failure_decode(&chunk, body, 6 + NBD_ERROR_TEXT_MAX + 1, &back),
			 -EBADMSG);
	assert_int_equal(back.error, 42); /* W1 */
	be16_put(body + 4, NBD_ERROR_TEXT_MAX);
	assert_int_equal(nbd_failure_decode(&chunk, body, 6 + NBD_ERROR_TEXT_MAX, &back), 0);
	test_free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_of_a_disk_survive_the_wire),
		cmocka_unit_test(a_request_survives_the_wire),
		cmocka_unit_test(a_proper_request_is_taken),
		cmocka_unit_test(a_flag_goes_with_its_command_only),
		cmocka_unit_test(what_was_not_offered_is_refused),
		cmocka_unit_test(what_is_read_only_is_not_written),
		cmocka_unit_test(ranges_are_checked),
		cmocka_unit_test(an_answer_asks_for_its_head),
		cmocka_unit_test(an_answer_is_held_against_its_request),
		cmocka_unit_test(a_simple_answer_is_held_against_its_request),
		cmocka_unit_test(data_and_holes_lie_within_the_request),
		cmocka_unit_test(extents_survive_the_wire),
		cmocka_unit_test(failures_survive_the_wire),
		cmocka_unit_test(the_text_of_a_failure_is_bounded),
		cmocka_unit_test(an_unknown_kind_of_failure_is_read_as_far_as_it_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
