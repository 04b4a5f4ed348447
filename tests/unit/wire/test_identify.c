// SPDX-License-Identifier: Apache-2.0
/*
 * Identify: the command, the structures, the lists.
 */
#include <errno.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "base/prng.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"

static void the_command_survives_the_wire(void **state)
{
	struct nvme_identify identify = {
		.cns = NVME_CNS_CTRLS,
		.cntid = 0x1234,
		.cns_specific = 0x5678,
		.csi = 2,
		.uuid_index = 127,
	};
	struct nvme_sqe sqe = { .nsid = 9 };
	struct nvme_identify back;

	nvme_identify_encode(&identify, &sqe);
	assert_int_equal(sqe.opcode, NVME_ADMIN_IDENTIFY);
	assert_int_equal(sqe.nsid, 9);
	back = nvme_identify_decode(&sqe);
	assert_int_equal(back.cns, NVME_CNS_CTRLS);
	assert_int_equal(back.cntid, 0x1234);
	assert_int_equal(back.cns_specific, 0x5678);
	assert_int_equal(back.csi, 2);
	assert_int_equal(back.uuid_index, 127);
}

/* Any bytes that are understood mean the same after they were written anew. */
#define assert_stable(type, bytes)                                                       \
	do {                                                                             \
		uint8_t one_[NVME_IDENTIFY_BYTES], two_[NVME_IDENTIFY_BYTES];            \
		struct type thing_;                                                      \
                                                                                         \
		memset(one_, 0xee, sizeof(one_));                                        \
		assert_int_equal(type##_decode(bytes, NVME_IDENTIFY_BYTES, &thing_), 0); \
		type##_encode(&thing_, one_);                                            \
		assert_int_equal(type##_decode(one_, NVME_IDENTIFY_BYTES, &thing_), 0);  \
		type##_encode(&thing_, two_);                                            \
		assert_memory_equal(one_, two_, sizeof(one_));                           \
		assert_int_equal(type##_decode(bytes, NVME_IDENTIFY_BYTES - 1, &thing_), \
				 -EBADMSG);                                              \
	} while (0)

static void structures_survive_the_wire(void **state)
{
	uint8_t bytes[NVME_IDENTIFY_BYTES];
	struct prng prng;

	prng_init(&prng, 3, 3);
	for (int round = 0; round < 50; round++) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)prng_u64(&prng);
		assert_stable(nvme_id_ns_independent, bytes);
		assert_stable(nvme_id_ns_nvm, bytes);
		assert_stable(nvme_id_ctrl_nvm, bytes);
		bytes[768 + NVME_NQN_MAX] = 0;
		assert_stable(nvme_id_ctrl, bytes);
		bytes[26] &= 0x60; /* format in use: 0, 16, 32, or 48 */
		for (int i = 0; i < 64; i += 16)
			bytes[128 + 4 * i + 2] = 12;
		assert_stable(nvme_id_ns, bytes);
	}
}

static void a_controller_without_a_proper_name_is_refused(void **state)
{
	uint8_t bytes[NVME_IDENTIFY_BYTES] = { 0 };
	struct nvme_id_ctrl ctrl = { .vid = 42 };

	memset(bytes + 768, 'n', 256);
	assert_int_equal(nvme_id_ctrl_decode(bytes, sizeof(bytes), &ctrl), -EBADMSG);
	bytes[768 + NVME_NQN_MAX + 1] = 0;
	assert_int_equal(nvme_id_ctrl_decode(bytes, sizeof(bytes), &ctrl), -EBADMSG);
	assert_int_equal(ctrl.vid, 42); /* W1 */
	bytes[768 + NVME_NQN_MAX] = 0;
	assert_int_equal(nvme_id_ctrl_decode(bytes, sizeof(bytes), &ctrl), 0);
	assert_int_equal(strlen(ctrl.subnqn), NVME_NQN_MAX);
}

static void a_namespace_has_blocks_of_a_size_we_know(void **state)
{
	static const struct {
		uint8_t lbads;
		int r;
	} cases[] = { { 0, -EBADMSG }, { 8, -EBADMSG },	 { 9, 0 },
		      { 16, 0 },       { 17, -EBADMSG }, { 255, -EBADMSG } };
	struct nvme_id_ns ns = { .nsze = 1, .nlbaf = 1, .flbas = 1 };
	uint8_t bytes[NVME_IDENTIFY_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct nvme_id_ns back;

		ns.lbaf[1].lbads = cases[i].lbads;
		nvme_id_ns_encode(&ns, bytes);
		assert_int_equal(nvme_id_ns_decode(bytes, sizeof(bytes), &back), cases[i].r);
	}
	/* one that is not there has no blocks at all */
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(nvme_id_ns_decode(bytes, sizeof(bytes), &ns), 0);
}

static void the_format_in_use_may_be_of_the_extended_ones(void **state)
{
	struct nvme_id_ns ns = { .flbas = 0x65, .nlbaf = 15 };

	assert_int_equal(nvme_id_ns_format(&ns), 5);
	ns.nlbaf = 16;
	assert_int_equal(nvme_id_ns_format(&ns), 0x35);
}

static void lists_of_namespaces_survive_the_wire(void **state)
{
	uint32_t nsids[NVME_NSIDS_MAX];
	uint8_t bytes[NVME_LIST_BYTES];

	for (uint32_t i = 0; i < NVME_NSIDS_MAX; i++)
		nsids[i] = i + 1;
	nvme_nsids_encode(nsids, NVME_NSIDS_MAX, bytes);
	assert_int_equal(nvme_nsids_get(bytes, sizeof(bytes), 1023), 1024);
	assert_int_equal(nvme_nsids_get(bytes, sizeof(bytes), 1024), 0);
	nvme_nsids_encode(nsids, 2, bytes);
	assert_int_equal(nvme_nsids_get(bytes, sizeof(bytes), 1), 2);
	assert_int_equal(nvme_nsids_get(bytes, sizeof(bytes), 2), 0);
	assert_int_equal(nvme_nsids_get(bytes, 7, 1), 0);
	assert_int_equal(nvme_nsids_get(bytes, 8, 1), 2);
}

static void lists_of_controllers_survive_the_wire(void **state)
{
	uint16_t ids[NVME_CNTLIDS_MAX];
	uint8_t bytes[NVME_LIST_BYTES];
	size_t count = 42;

	for (uint16_t i = 0; i < NVME_CNTLIDS_MAX; i++)
		ids[i] = (uint16_t)(i * 3);
	nvme_cntlids_encode(ids, NVME_CNTLIDS_MAX, bytes);
	assert_int_equal(nvme_cntlids_count(bytes, sizeof(bytes), &count), 0);
	assert_int_equal(count, NVME_CNTLIDS_MAX);
	assert_int_equal(nvme_cntlids_get(bytes, 2046), 2046 * 3);
	assert_int_equal(nvme_cntlids_count(bytes, sizeof(bytes) - 1, &count), -EBADMSG);
	assert_int_equal(nvme_cntlids_count(bytes, 1, &count), -EBADMSG);
	le16_put(bytes, NVME_CNTLIDS_MAX + 1);
	assert_int_equal(nvme_cntlids_count(bytes, sizeof(bytes) * 2, &count), -EBADMSG);
	assert_int_equal(count, NVME_CNTLIDS_MAX); /* W1 */
}

static void names_of_a_namespace_survive_the_wire(void **state)
{
	static const uint8_t id[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };
	static const uint8_t lengths[] = { 8, 16, 16, 1 };
	uint8_t bytes[128] = { 0 };
	struct nvme_ns_name name;
	struct builder b;
	struct cursor c;

	builder_init(&b, bytes, sizeof(bytes));
	for (int type = NVME_NIDT_EUI64; type <= NVME_NIDT_CSI; type++)
		assert_int_equal(nvme_ns_name_put(&b, (enum nvme_nidt)type, id), 0);
	assert_int_equal(b.pos, 4 * 4 + 8 + 16 + 16 + 1);
	cursor_init(&c, bytes, sizeof(bytes));
	for (int type = NVME_NIDT_EUI64; type <= NVME_NIDT_CSI; type++) {
		assert_int_equal(nvme_ns_name_next(&c, &name), 1);
		assert_int_equal(name.type, type);
		assert_int_equal(name.length, lengths[type - 1]);
		assert_memory_equal(name.bytes, id, name.length);
	}
	assert_int_equal(nvme_ns_name_next(&c, &name), 0);
	cursor_init(&c, bytes, 12); /* ends where a name ends */
	assert_int_equal(nvme_ns_name_next(&c, &name), 1);
	assert_int_equal(nvme_ns_name_next(&c, &name), 0);
	builder_init(&b, bytes, 11);
	assert_int_equal(nvme_ns_name_put(&b, NVME_NIDT_EUI64, id), -ENOBUFS);
}

static void names_of_a_namespace_are_checked(void **state)
{
	uint8_t wrong[] = { NVME_NIDT_UUID, 8, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	uint8_t unknown[] = { 99, 2, 0, 0, 1, 2, NVME_NIDT_CSI, 1, 0, 0, 0 };
	struct nvme_ns_name name = { .length = 42 };
	struct cursor c;

	cursor_init(&c, wrong, sizeof(wrong));
	assert_int_equal(nvme_ns_name_next(&c, &name), -EBADMSG);
	assert_int_equal(name.length, 42); /* W1 */
	for (size_t cut = 2; cut < 11; cut++)
		if (cut != 6 && cut != 7) {
			int r;

			cursor_init(&c, unknown, cut);
			while ((r = nvme_ns_name_next(&c, &name)) > 0)
				;
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(nvme_ns_name_next(&c, &name), -EBADMSG);
		}
	cursor_init(&c, unknown, sizeof(unknown));
	assert_int_equal(nvme_ns_name_next(&c, &name), 1);
	assert_int_equal(name.type, 99);
	assert_int_equal(nvme_ns_name_next(&c, &name), 1);
	assert_int_equal(name.type, NVME_NIDT_CSI);
}

static void command_sets_are_bits(void **state)
{
	uint64_t sets[] = { 1 << NVME_CSI_NVM, 5 };
	uint8_t bytes[NVME_LIST_BYTES];

	nvme_command_sets_encode(sets, 2, bytes);
	assert_int_equal(le64_get(bytes), 1);
	assert_int_equal(le64_get(bytes + 8), 5);
	assert_int_equal(le64_get(bytes + 16), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_survives_the_wire),
		cmocka_unit_test(structures_survive_the_wire),
		cmocka_unit_test(a_controller_without_a_proper_name_is_refused),
		cmocka_unit_test(a_namespace_has_blocks_of_a_size_we_know),
		cmocka_unit_test(the_format_in_use_may_be_of_the_extended_ones),
		cmocka_unit_test(lists_of_namespaces_survive_the_wire),
		cmocka_unit_test(lists_of_controllers_survive_the_wire),
		cmocka_unit_test(names_of_a_namespace_survive_the_wire),
		cmocka_unit_test(names_of_a_namespace_are_checked),
		cmocka_unit_test(command_sets_are_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
