// SPDX-License-Identifier: Apache-2.0
/*
 * The handshake of NBD.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/be.h"
#include "wire/nbd_option.h"

static struct nbd_text text(const char *words)
{
	return (struct nbd_text){ .text = words, .length = (uint32_t)strlen(words) };
}

static void assert_text(const struct nbd_text *text, const char *words)
{
	assert_int_equal(text->length, strlen(words));
	assert_memory_equal(text->text, words, text->length);
}

static void a_greeting_survives_the_wire(void **state)
{
	uint8_t bytes[NBD_GREETING_BYTES];
	uint16_t flags = 42;

	nbd_greeting_encode(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES, bytes);
	assert_int_equal(nbd_greeting_decode(bytes, 17, &flags), -EBADMSG);
	assert_int_equal(nbd_greeting_decode(bytes, 18, &flags), 0);
	assert_int_equal(flags, 3);
	bytes[0]++;
	assert_int_equal(nbd_greeting_decode(bytes, 18, &flags), -EBADMSG);
	bytes[0]--;
	bytes[8]++;
	assert_int_equal(nbd_greeting_decode(bytes, 18, &flags), -EBADMSG);
}

static void older_styles_are_told_from_nonsense(void **state)
{
	uint8_t bytes[NBD_GREETING_BYTES];
	uint16_t flags;

	nbd_greeting_encode(NBD_NO_ZEROES, bytes);
	assert_int_equal(nbd_greeting_decode(bytes, 18, &flags), -EPROTONOSUPPORT);
	be64_put(bytes + 8, UINT64_C(0x00420281861253));
	assert_int_equal(nbd_greeting_decode(bytes, 18, &flags), -EPROTONOSUPPORT);
}

static void a_client_may_set_what_was_offered(void **state)
{
	static const struct {
		uint32_t flags;
		uint16_t offered;
		int r;
	} cases[] = {
		{ 0, 3, 0 },	   { 1, 3, 0 },	      { 3, 3, 0 },
		{ 2, 1, -EPROTO }, { 4, 3, -EPROTO }, { UINT32_C(1) << 31, 3, -EPROTO },
	};
	uint8_t bytes[4];
	uint16_t flags = 42;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		be32_put(bytes, cases[i].flags);
		assert_int_equal(nbd_client_flags_decode(bytes, 4, cases[i].offered, &flags),
				 cases[i].r);
		assert_int_equal(nbd_client_flags_decode(bytes, 3, 3, &flags), -EPROTO);
	}
	assert_int_equal(flags, 3);
}

static void heads_survive_the_wire(void **state)
{
	struct nbd_option option = { NBD_OPT_GO, 42 }, option_back;
	struct nbd_reply reply = { NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, NBD_REPLY_DATA_MAX },
			 reply_back;
	uint8_t bytes[NBD_REPLY_BYTES];

	nbd_option_encode(&option, bytes);
	assert_int_equal(nbd_option_decode(bytes, NBD_OPTION_BYTES, &option_back), 0);
	assert_int_equal(option_back.type, NBD_OPT_GO);
	assert_int_equal(option_back.length, 42);
	assert_int_equal(nbd_option_decode(bytes, NBD_OPTION_BYTES - 1, &option_back), -EBADMSG);
	bytes[7]++;
	assert_int_equal(nbd_option_decode(bytes, NBD_OPTION_BYTES, &option_back), -EBADMSG);

	nbd_reply_encode(&reply, bytes);
	assert_int_equal(nbd_reply_decode(bytes, NBD_REPLY_BYTES, &reply_back), 0);
	assert_int_equal(reply_back.option, NBD_OPT_GO);
	assert_int_equal(reply_back.type, NBD_REP_ERR_UNKNOWN);
	assert_int_equal(reply_back.length, NBD_REPLY_DATA_MAX);
	assert_int_equal(nbd_reply_decode(bytes, NBD_REPLY_BYTES - 1, &reply_back), -EBADMSG);
	reply.length++;
	nbd_reply_encode(&reply, bytes);
	assert_int_equal(nbd_reply_decode(bytes, NBD_REPLY_BYTES, &reply_back), -EBADMSG);
	reply.length = 0;
	nbd_reply_encode(&reply, bytes);
	bytes[2]++;
	assert_int_equal(nbd_reply_decode(bytes, NBD_REPLY_BYTES, &reply_back), -EBADMSG);
}

static void an_option_has_the_data_it_may_have(void **state)
{
	static const struct {
		uint32_t type;
		uint32_t length;
		uint32_t refused;
	} cases[] = {
		{ NBD_OPT_ABORT, 0, NBD_REP_NONE },
		{ NBD_OPT_ABORT, UINT32_MAX, NBD_REP_NONE },
		{ NBD_OPT_LIST, 0, NBD_REP_NONE },
		{ NBD_OPT_LIST, 1, NBD_REP_ERR_INVALID },
		{ NBD_OPT_STARTTLS, 1, NBD_REP_ERR_INVALID },
		{ NBD_OPT_STRUCTURED_REPLY, 4, NBD_REP_ERR_INVALID },
		{ NBD_OPT_EXPORT_NAME, 0, NBD_REP_NONE },
		{ NBD_OPT_EXPORT_NAME, NBD_NAME_MAX, NBD_REP_NONE },
		{ NBD_OPT_EXPORT_NAME, NBD_NAME_MAX + 1, NBD_REP_ERR_TOO_BIG },
		{ NBD_OPT_INFO, 5, NBD_REP_ERR_INVALID },
		{ NBD_OPT_GO, 6, NBD_REP_NONE },
		{ NBD_OPT_GO, NBD_OPTION_DATA_MAX, NBD_REP_NONE },
		{ NBD_OPT_LIST_META_CONTEXT, NBD_OPTION_DATA_MAX + 1, NBD_REP_ERR_TOO_BIG },
		{ NBD_OPT_SET_META_CONTEXT, UINT32_MAX, NBD_REP_ERR_TOO_BIG },
		{ 0, 0, NBD_REP_ERR_UNSUP },
		{ 4, 0, NBD_REP_ERR_UNSUP },
		{ NBD_OPT_EXTENDED_HEADERS, 0, NBD_REP_ERR_UNSUP },
		{ UINT32_MAX, 99, NBD_REP_ERR_UNSUP },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nbd_option option = { cases[i].type, cases[i].length };

		assert_int_equal(nbd_option_check(&option), cases[i].refused);
	}
}

static void names_are_checked(void **state)
{
	static const uint8_t nul[] = "a\0b";
	uint8_t *long_name = test_calloc(1, NBD_NAME_MAX + 1);
	struct nbd_text name = { .length = 42 };

	memset(long_name, 'x', NBD_NAME_MAX + 1);
	assert_int_equal(nbd_export_name_decode(nul, 3, &name), NBD_REP_ERR_INVALID);
	assert_int_equal(nbd_export_name_decode(long_name, NBD_NAME_MAX + 1, &name),
			 NBD_REP_ERR_TOO_BIG);
	assert_int_equal(name.length, 42); /* W1 */
	assert_int_equal(nbd_export_name_decode(long_name, NBD_NAME_MAX, &name), 0);
	assert_int_equal(name.length, NBD_NAME_MAX);
	assert_int_equal(nbd_export_name_decode(NULL, 0, &name), 0);
	assert_int_equal(name.length, 0);
	test_free(long_name);
}

static void wishes_for_infos_survive_the_wire(void **state)
{
	struct nbd_info_request request = {
		.name = text("disk"),
		.wanted = 1 << NBD_INFO_NAME | 1 << NBD_INFO_BLOCK_SIZE | 1u << 31,
	};
	struct nbd_info_request back;
	uint8_t bytes[64];
	struct builder b;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_info_request_put(&b, &request), 0);
	assert_int_equal(b.pos, 4 + 4 + 2 + 3 * 2);
	assert_int_equal(nbd_info_request_decode(bytes, b.pos, &back), 0);
	assert_text(&back.name, "disk");
	/* what we do not know is not wanted */
	assert_int_equal(back.wanted, 1 << NBD_INFO_NAME | 1 << NBD_INFO_BLOCK_SIZE);
	for (size_t size = 0; size < b.pos; size++)
		assert_int_equal(nbd_info_request_decode(bytes, size, &back), NBD_REP_ERR_INVALID);
	assert_int_equal(nbd_info_request_decode(bytes, b.pos + 1, &back), NBD_REP_ERR_INVALID);
	bytes[5] = 0; /* a NUL in the name */
	assert_int_equal(nbd_info_request_decode(bytes, b.pos, &back), NBD_REP_ERR_INVALID);
	be32_put(bytes, NBD_NAME_MAX + 1);
	assert_int_equal(nbd_info_request_decode(bytes, b.pos, &back), NBD_REP_ERR_TOO_BIG);
	be32_put(bytes, 0);
	be16_put(bytes + 4, NBD_INFO_WANTS_MAX + 1);
	assert_int_equal(nbd_info_request_decode(bytes, b.pos, &back), NBD_REP_ERR_TOO_BIG);
	for (size_t size = 0; size < b.pos; size++) {
		builder_init(&b, bytes, size);
		assert_int_equal(nbd_info_request_put(&b, &request), -ENOBUFS);
		b.pos = 16;
	}
}

static void wishes_for_contexts_survive_the_wire(void **state)
{
	struct nbd_text name = text("disk"), query;
	struct nbd_text queries[] = { text("base:allocation"), text(""), text("x-y:z") };
	struct nbd_meta_request back;
	uint8_t bytes[128];
	struct builder b;
	size_t size;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_meta_request_put(&b, &name, queries, 3), 0);
	size = b.pos;
	assert_int_equal(nbd_meta_request_decode(bytes, size, &back), 0);
	assert_text(&back.name, "disk");
	assert_int_equal(back.query_count, 3);
	assert_true(nbd_meta_query_next(&back, &query));
	assert_text(&query, "base:allocation");
	assert_true(nbd_meta_query_next(&back, &query));
	assert_text(&query, "");
	assert_true(nbd_meta_query_next(&back, &query));
	assert_text(&query, "x-y:z");
	assert_false(nbd_meta_query_next(&back, &query));
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(nbd_meta_request_decode(bytes, cut, &back), NBD_REP_ERR_INVALID);
	assert_int_equal(nbd_meta_request_decode(bytes, size + 1, &back), NBD_REP_ERR_INVALID);
	be32_put(bytes + 8, NBD_QUERIES_MAX + 1);
	assert_int_equal(nbd_meta_request_decode(bytes, size, &back), NBD_REP_ERR_TOO_BIG);
	for (size_t room = 0; room < size; room++) {
		builder_init(&b, bytes, room);
		assert_int_equal(nbd_meta_request_put(&b, &name, queries, 3), -ENOBUFS);
	}
}

static void an_export_survives_the_wire(void **state)
{
	struct nbd_export export = { UINT64_C(1) << 40, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH };
	struct nbd_export back;
	uint8_t bytes[NBD_EXPORT_BYTES];

	nbd_export_encode(&export, bytes);
	assert_int_equal(nbd_export_decode(bytes, sizeof(bytes), &back), 0);
	assert_true(back.size_bytes == export.size_bytes && back.flags == export.flags);
	assert_int_equal(nbd_export_decode(bytes, sizeof(bytes) - 1, &back), -EBADMSG);
	bytes[9] = 0;
	assert_int_equal(nbd_export_decode(bytes, sizeof(bytes), &back), -EBADMSG);
}

/* Put, decode whole, decode with a byte less and a byte more. */
static int pass_info(const struct nbd_info *info, struct nbd_info *ret, uint8_t *bytes)
{
	struct builder b;
	int r;

	builder_init(&b, bytes, 64);
	assert_int_equal(nbd_info_put(&b, info), 0);
	r = nbd_info_decode(bytes, b.pos, ret);
	if (r == 0 && (info->type == NBD_INFO_EXPORT || info->type == NBD_INFO_BLOCK_SIZE)) {
		struct nbd_info other;

		assert_int_equal(nbd_info_decode(bytes, b.pos - 1, &other), -EBADMSG);
		assert_int_equal(nbd_info_decode(bytes, b.pos + 1, &other), -EBADMSG);
	}
	for (size_t room = 0; room < b.pos; room++) {
		struct builder small;
		uint8_t scrap[64];

		builder_init(&small, scrap, room);
		assert_int_equal(nbd_info_put(&small, info), -ENOBUFS);
	}
	return r;
}

static void infos_survive_the_wire(void **state)
{
	struct nbd_info export = { .type = NBD_INFO_EXPORT, .export = { 4096, 1 } };
	struct nbd_info name = { .type = NBD_INFO_NAME, .text = text("disk") };
	struct nbd_info description = { .type = NBD_INFO_DESCRIPTION, .text = text("a disk") };
	struct nbd_info block_size = { .type = NBD_INFO_BLOCK_SIZE,
				       .block_size = { 512, 4096, 1 << 25 } };
	struct nbd_info back;
	uint8_t bytes[64];

	assert_int_equal(pass_info(&export, &back, bytes), 0);
	assert_int_equal(back.export.size_bytes, 4096);
	assert_int_equal(pass_info(&name, &back, bytes), 0);
	assert_text(&back.text, "disk");
	bytes[2] = 0;
	assert_int_equal(nbd_info_decode(bytes, 6, &back), -EBADMSG);
	assert_int_equal(pass_info(&description, &back, bytes), 0);
	assert_text(&back.text, "a disk");
	assert_int_equal(pass_info(&block_size, &back, bytes), 0);
	assert_int_equal(back.block_size.preferred, 4096);
	export.export.flags = 0;
	assert_int_equal(pass_info(&export, &back, bytes), -EBADMSG);
	be16_put(bytes, 99);
	assert_int_equal(nbd_info_decode(bytes, 3, &back), 0); /* one to be ignored */
	assert_int_equal(back.type, 99);
	assert_int_equal(nbd_info_decode(bytes, 1, &back), -EBADMSG);
}

static void block_sizes_are_checked(void **state)
{
	static const struct {
		struct nbd_block_size size;
		int r;
	} cases[] = {
		{ { 1, 512, UINT32_MAX }, 0 },
		{ { 65536, 65536, 65536 }, 0 },
		{ { 0, 512, 4096 }, -EBADMSG },
		{ { 3, 512, 4096 }, -EBADMSG },
		{ { 131072, 131072, 131072 }, -EBADMSG },
		{ { 512, 256, 4096 }, -EBADMSG },
		{ { 512, 1000, 4096 }, -EBADMSG },
		{ { 512, 512, 511 }, -EBADMSG },
		{ { 512, 512, 1000 }, -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nbd_info info = { .type = NBD_INFO_BLOCK_SIZE, .block_size = cases[i].size };
		struct nbd_info back;
		uint8_t bytes[64];

		assert_int_equal(pass_info(&info, &back, bytes), cases[i].r);
	}
}

static void a_listed_export_survives_the_wire(void **state)
{
	struct nbd_text name = text("disk"), description = text("of mine");
	struct nbd_text name_back = { 0 }, description_back;
	uint8_t bytes[64];
	struct builder b;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_server_put(&b, &name, &description), 0);
	assert_int_equal(nbd_server_decode(bytes, b.pos, &name_back, &description_back), 0);
	assert_text(&name_back, "disk");
	assert_text(&description_back, "of mine");
	assert_int_equal(nbd_server_decode(bytes, 8, &name_back, &description_back), 0);
	assert_text(&description_back, "");
	assert_int_equal(nbd_server_decode(bytes, 7, &name_back, &description_back), -EBADMSG);
	assert_int_equal(nbd_server_decode(bytes, 3, &name_back, &description_back), -EBADMSG);
	bytes[9] = 0;
	assert_int_equal(nbd_server_decode(bytes, b.pos, &name_back, &description_back), -EBADMSG);
	builder_init(&b, bytes, 3);
	assert_int_equal(nbd_server_put(&b, &name, &description), -ENOBUFS);
}

static void a_context_survives_the_wire(void **state)
{
	struct nbd_text name = text("base:allocation"), back;
	uint8_t bytes[64];
	struct builder b;
	uint32_t id = 42;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_meta_context_put(&b, 7, &name), 0);
	assert_int_equal(nbd_meta_context_decode(bytes, 3, &id, &back), -EBADMSG);
	assert_int_equal(id, 42); /* W1 */
	assert_int_equal(nbd_meta_context_decode(bytes, b.pos, &id, &back), 0);
	assert_int_equal(id, 7);
	assert_text(&back, "base:allocation");
	bytes[4] = 0;
	assert_int_equal(nbd_meta_context_decode(bytes, b.pos, &id, &back), -EBADMSG);
	builder_init(&b, bytes, 3);
	assert_int_equal(nbd_meta_context_put(&b, 7, &name), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_survives_the_wire),
		cmocka_unit_test(older_styles_are_told_from_nonsense),
		cmocka_unit_test(a_client_may_set_what_was_offered),
		cmocka_unit_test(heads_survive_the_wire),
		cmocka_unit_test(an_option_has_the_data_it_may_have),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(wishes_for_infos_survive_the_wire),
		cmocka_unit_test(wishes_for_contexts_survive_the_wire),
		cmocka_unit_test(an_export_survives_the_wire),
		cmocka_unit_test(infos_survive_the_wire),
		cmocka_unit_test(block_sizes_are_checked),
		cmocka_unit_test(a_listed_export_survives_the_wire),
		cmocka_unit_test(a_context_survives_the_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
