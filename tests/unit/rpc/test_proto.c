// SPDX-License-Identifier: Apache-2.0
/* What protobuf-c leaves to its callers: UTF-8, NUL, types that contain themselves, memory. */
#include <errno.h>
#include <string.h>

#include "../unit.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/prng.h"
#include "echo.pb-c.h"
#include "rpc/arena_priv.h"
#include "rpc/proto_priv.h"

static int check(const char *bytes, size_t len, struct err *err)
{
	err_clear(err);
	return rpc_proto_check(&test__echo_request__descriptor, (struct rpc_bytes){ bytes, len },
			       err);
}

static void refused(const char *bytes, size_t len, const char *part)
{
	struct err err = { 0 };

	assert_int_equal(check(bytes, len, &err), -EINVAL);
	if (!strstr(err.words, part))
		fail_msg("'%s' does not tell '%s'", err.words, part);
}

static void strings_are_utf8_without_nul(void **state)
{
	struct err err = { 0 };

	assert_int_equal(check("\x0a\x02\xc3\xbc", 4, &err), 0);
	assert_int_equal(check("", 0, &err), 0);
	refused("\x0a\x02\xc3\x28", 4, "field 'text' of 'EchoRequest' is not UTF-8");
	refused("\x0a\x03"
		"a\0b",
		5, "field 'text' of 'EchoRequest' contains a NUL character");
	/* in an item, in its tags, in a map's key */
	refused("\x32\x03\x0a\x01\xff", 5, "field 'name' of 'Item' is not UTF-8");
	refused("\x32\x04\x0a\x00\x12\x00\x32\x03\x12\x01\0", 11,
		"field 'tags' of 'Item' contains a NUL");
	refused("\x32\x05\x1a\x03\x0a\x01\xfe", 7, "field 'key' of 'LabelsEntry' is not UTF-8");
}

static void bytes_may_be_anything(void **state)
{
	struct err err = { 0 };

	assert_int_equal(check("\x32\x04\x2a\x02\0\xff", 6, &err), 0);
	/* a field nobody knows: skipped, whatever it holds */
	assert_int_equal(check("\xfa\x01\x02\0\xff", 5, &err), 0);
}

static void what_is_cut_short_is_refused(void **state)
{
	refused("\x0a", 1, "cut short");
	refused("\x0a\x05"
		"ab",
		4, "cut short");
	refused("\x80", 1, "the bytes are no 'test.EchoRequest'");
	refused("\x00\x00", 2, "the bytes are no");  /* field 0 */
	refused("\x32\x02\x0a\x05", 4, "cut short"); /* within an item */
	refused("\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "cut short");
	refused("\x13\x10\x01\x14", 4, "no known wire type"); /* a group */
	refused("\x0f", 1, "no known wire type");
}

static void a_type_that_contains_itself_is_refused(void **state)
{
	struct err err = { 0 };

	assert_int_equal(rpc_proto_type_check(&test__echo_request__descriptor, &err), 0);
	assert_int_equal(rpc_proto_type_check(&test__tree__descriptor, &err), -EINVAL);
	assert_non_null(
		strstr(err.words, "'test.Tree' contains itself, by 'trees' of 'test.Branch'"));
	err_clear(&err);
	assert_int_equal(rpc_proto_type_check(&test__branch__descriptor, &err), -EINVAL);
}

/* A chain of types, each within the one before. */
static void a_type_that_is_too_deep_is_refused(void **state)
{
	static ProtobufCMessageDescriptor types[RPC_TYPE_DEPTH_MAX + 1];
	static ProtobufCFieldDescriptor fields[RPC_TYPE_DEPTH_MAX + 1];
	struct err err = { 0 };

	for (unsigned i = 0; i <= RPC_TYPE_DEPTH_MAX; i++) {
		types[i] = (ProtobufCMessageDescriptor){ .name = "Deep",
							 .n_fields = 1,
							 .fields = &fields[i] };
		fields[i] = (ProtobufCFieldDescriptor){ .name = "down",
							.type = PROTOBUF_C_TYPE_MESSAGE };
		if (i < RPC_TYPE_DEPTH_MAX)
			fields[i].descriptor = &types[i + 1];
		else
			types[i].n_fields = 0;
	}
	assert_int_equal(rpc_proto_type_check(&types[0], &err), -EINVAL);
	assert_non_null(strstr(err.words, "deeper than 16"));
	err_clear(&err);
	assert_int_equal(rpc_proto_type_check(&types[1], &err), 0);
}

static void a_message_survives_packing(void **state)
{
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	Test__Item item = TEST__ITEM__INIT, *items[] = { &item };
	ProtobufCMessage *back;
	struct mem_heap heap;
	struct rpc_arena arena;
	struct err err = { 0 };
	uint8_t bytes[200];
	size_t len;

	in.text = (char[]){ "words" };
	in.n_items = 1;
	in.items = items;
	item.name = (char[]){ "one" };
	item.opt_size_case = TEST__ITEM__OPT_SIZE_SIZE;
	item.size = 0; /* told, though it is 0 */
	assert_int_equal(rpc_proto_size(&in.base, &len, &err), 0);
	assert_true(len < sizeof(bytes));
	assert_int_equal(rpc_proto_pack(&in.base, bytes, len, &err), 0);

	mem_heap_init(&heap);
	rpc_arena_init(&arena, &heap.mem, 1 << 20);
	assert_int_equal(rpc_proto_unpack(&arena.mem, &test__echo_request__descriptor,
					  (struct rpc_bytes){ bytes, len }, &back, &err),
			 0);
	const Test__EchoRequest *out = (const void *)back;

	assert_string_equal(out->text, "words");
	assert_int_equal(out->n_items, 1);
	assert_string_equal(out->items[0]->name, "one");
	assert_int_equal(out->items[0]->opt_size_case, TEST__ITEM__OPT_SIZE_SIZE);
	rpc_arena_drop(&arena);
	mem_heap_fini(&heap);
}

/* PR2: nor is a reply sent that its reader would refuse. */
static void what_is_not_utf8_is_not_packed(void **state)
{
	Test__EchoReply out = TEST__ECHO_REPLY__INIT;
	struct err err = { 0 };
	uint8_t bytes[50];
	size_t len;

	out.text = (char[]){ "\xff" };
	assert_int_equal(rpc_proto_size(&out.base, &len, &err), 0);
	assert_int_equal(rpc_proto_pack(&out.base, bytes, len, &err), -EINVAL);
	assert_non_null(strstr(err.words, "not UTF-8"));
}

/* Two bytes each make a struct of a hundred. */
static void a_message_that_swells_is_bounded(void **state)
{
	static char bytes[200000];
	ProtobufCMessage *back = NULL;
	struct mem_heap heap;
	struct rpc_arena arena;
	struct err err = { 0 };

	for (size_t i = 0; i < sizeof(bytes); i += 2)
		bytes[i] = 0x32;
	mem_heap_init(&heap);
	rpc_arena_init(&arena, &heap.mem, 1 << 20);
	assert_int_equal(rpc_proto_unpack(&arena.mem, &test__echo_request__descriptor,
					  (struct rpc_bytes){ bytes, sizeof(bytes) }, &back, &err),
			 -ENOMEM);
	assert_true(heap.bytes <= (1 << 20) + 65536);
	rpc_arena_drop(&arena);
	mem_heap_fini(&heap);
}

/* What passes the check unpacks, or lacks memory: protobuf-c is not stricter than we are told. */
static void mutated_messages_are_refused_or_unpacked(void **state)
{
	static const char seed[] =
		"\x0a\x05words\x10\x03\x32\x0e\x0a\x03one\x12\x01t\x1a\x04\x0a\x00\x12\x00\x38\x01";
	struct mem_heap heap;
	struct prng prng;
	unsigned good = 0;

	mem_heap_init(&heap);
	prng_init(&prng, 1, 0);
	for (unsigned i = 0; i < 20000; i++) {
		struct rpc_arena arena;
		char bytes[sizeof(seed)];
		ProtobufCMessage *back = NULL;
		struct err err = { 0 };

		memcpy(bytes, seed, sizeof(seed));
		for (unsigned n = 0; n <= i % 2; n++) {
			uint64_t at = prng_below(&prng, sizeof(seed) - 1);

			bytes[at] = (char)prng_u64(&prng);
		}
		rpc_arena_init(&arena, &heap.mem, 1 << 20);
		if (rpc_proto_unpack(&arena.mem, &test__echo_request__descriptor,
				     (struct rpc_bytes){ bytes, sizeof(seed) - 1 }, &back,
				     &err) == 0) {
			good++;
			assert_non_null(back);
		} else {
			assert_string_not_equal(err.words, "");
		}
		rpc_arena_drop(&arena);
	}
	assert_true(good > 1000);
	mem_heap_fini(&heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_are_utf8_without_nul),
		cmocka_unit_test(bytes_may_be_anything),
		cmocka_unit_test(what_is_cut_short_is_refused),
		cmocka_unit_test(a_type_that_contains_itself_is_refused),
		cmocka_unit_test(a_type_that_is_too_deep_is_refused),
		cmocka_unit_test(a_message_survives_packing),
		cmocka_unit_test(what_is_not_utf8_is_not_packed),
		cmocka_unit_test(a_message_that_swells_is_bounded),
		cmocka_unit_test(mutated_messages_are_refused_or_unpacked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
