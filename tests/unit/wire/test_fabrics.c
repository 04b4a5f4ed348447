// SPDX-License-Identifier: Apache-2.0
/*
 * Connect, properties, and the registers behind them.
 */
#include <string.h>

#include "unit/unit.h"

#include "wire/nvme_fabrics.h"
#include "wire/nvme_status.h"

static struct nvme_connect good_connect(void)
{
	return (struct nvme_connect){
		.qid = 3,
		.sqsize = 127,
		.cattr = NVME_CATTR_NO_FLOW_CONTROL,
		.kato_ms = 5000,
		.host_id = { 1, 2, 3, 4 },
		.cntlid = NVME_CNTLID_ANY,
		.subnqn = "nqn.2019-05.io.openebs:volume",
		.hostnqn = "nqn.2014-08.org.nvmexpress:uuid:host",
	};
}

static void a_connect_survives_the_wire(void **state)
{
	struct nvme_connect connect = good_connect(), back;
	struct nvme_sqe sqe = { .cid = 5, .flags = 0xff, .cdw13 = 1 };
	uint8_t data[NVME_CONNECT_DATA_BYTES];
	uint32_t bad;

	memset(connect.subnqn, 'n', NVME_NQN_MAX);
	nvme_connect_encode(&connect, &sqe, data);
	assert_int_equal(sqe.opcode, NVME_FABRICS);
	assert_int_equal(nvme_sqe_fctype(&sqe), NVME_FABRICS_CONNECT);
	assert_int_equal(sqe.cid, 5);
	assert_int_equal(sqe.cdw13, 0);
	assert_int_equal(nvme_connect_decode(&sqe, data, sizeof(data), &back, &bad), 0);
	assert_int_equal(back.qid, 3);
	assert_int_equal(back.sqsize, 127);
	assert_int_equal(back.cattr, NVME_CATTR_NO_FLOW_CONTROL);
	assert_int_equal(back.kato_ms, 5000);
	assert_int_equal(back.cntlid, NVME_CNTLID_ANY);
	assert_memory_equal(back.host_id, connect.host_id, 16);
	assert_string_equal(back.subnqn, connect.subnqn);
	assert_string_equal(back.hostnqn, connect.hostnqn);
}

static void a_connect_of_another_format_or_size_is_refused(void **state)
{
	struct nvme_connect connect = good_connect(), back = { .qid = 42 };
	uint8_t data[NVME_CONNECT_DATA_BYTES];
	struct nvme_sqe sqe = { 0 };
	uint32_t bad;

	nvme_connect_encode(&connect, &sqe, data);
	assert_int_equal(nvme_connect_decode(&sqe, data, 1023, &back, &bad),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	assert_int_equal(nvme_connect_decode(&sqe, data, 0, &back, &bad),
			 NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	sqe.cdw10 |= 1;
	assert_int_equal(nvme_connect_decode(&sqe, data, 1024, &back, &bad),
			 NVME_CONNECT_FORMAT | NVME_DNR);
	assert_int_equal(back.qid, 42); /* W1 */
}

static void a_bad_parameter_of_a_connect_is_named(void **state)
{
	static const struct {
		uint16_t at;
		uint16_t size;
		char fill;
		uint32_t bad;
	} cases[] = {
		{ NVME_CONNECT_AT_SUBNQN, 1, 0, 1 << 16 | 256 },
		{ NVME_CONNECT_AT_SUBNQN, 224, 'x', 1 << 16 | 256 },
		{ NVME_CONNECT_AT_SUBNQN, 256, 'x', 1 << 16 | 256 },
		{ NVME_CONNECT_AT_HOSTNQN, 1, 0, 1 << 16 | 512 },
		{ NVME_CONNECT_AT_HOSTNQN, 512, 'x', 1 << 16 | 512 },
	};
	struct nvme_connect connect = good_connect(), back;
	uint8_t data[NVME_CONNECT_DATA_BYTES];
	struct nvme_sqe sqe = { 0 };
	uint32_t bad;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		nvme_connect_encode(&connect, &sqe, data);
		memset(data + cases[i].at, cases[i].fill, cases[i].size);
		assert_int_equal(nvme_connect_decode(&sqe, data, sizeof(data), &back, &bad),
				 NVME_CONNECT_INVALID_PARAMS | NVME_DNR);
		assert_int_equal(bad, cases[i].bad);
	}
	connect.sqsize = 0;
	nvme_connect_encode(&connect, &sqe, data);
	assert_int_equal(nvme_connect_decode(&sqe, data, sizeof(data), &back, &bad),
			 NVME_CONNECT_INVALID_PARAMS | NVME_DNR);
	assert_int_equal(bad, 44);
}

static void a_connect_is_answered_with_a_controller(void **state)
{
	assert_int_equal(nvme_connect_result_cntlid(0x30007), 7);
	assert_int_equal(nvme_connect_result_auth(0x30007), 3);
}

static void properties_survive_the_wire(void **state)
{
	static const uint8_t bytes_of[] = {
		[NVME_PROP_CAP] = 8,  [NVME_PROP_VS] = 4,   [NVME_PROP_CC] = 4,
		[NVME_PROP_CSTS] = 4, [NVME_PROP_NSSR] = 4, [NVME_PROP_CRTO] = 4,
	};

	for (uint32_t offset = 0; offset < 256; offset++)
		for (uint8_t bytes = 4; bytes <= 8; bytes += 4) {
			struct nvme_property property = { offset, bytes, UINT64_MAX }, back;
			bool known = offset < sizeof(bytes_of) && bytes_of[offset] == bytes;
			struct nvme_sqe sqe = { 0 };

			nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &sqe);
			assert_int_equal(nvme_property_decode(&sqe, &back),
					 known ? 0 : NVME_INVALID_FIELD | NVME_DNR);
			if (!known)
				continue;
			assert_int_equal(back.offset, offset);
			assert_int_equal(back.bytes, bytes);
			assert_true(back.value == (bytes == 8 ? UINT64_MAX : UINT32_MAX));
			nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &sqe);
			assert_int_equal(nvme_property_decode(&sqe, &back), 0);
			assert_int_equal(back.value, 0);
			sqe.cdw10 = 2;
			assert_int_equal(nvme_property_decode(&sqe, &back),
					 NVME_INVALID_FIELD | NVME_DNR);
		}
}

static void a_disconnect_of_another_format_is_refused(void **state)
{
	struct nvme_sqe sqe = { 0 };

	nvme_disconnect_encode(&sqe);
	assert_int_equal(nvme_sqe_fctype(&sqe), NVME_FABRICS_DISCONNECT);
	assert_int_equal(nvme_disconnect_decode(&sqe), 0);
	sqe.cdw10 = 0x100;
	assert_int_equal(nvme_disconnect_decode(&sqe), NVME_CONNECT_FORMAT | NVME_DNR);
}

static void capabilities_are_packed_and_unpacked(void **state)
{
	struct nvme_cap cap = {
		.mqes = 127,
		.cqr = true,
		.ams = 3,
		.to = 30,
		.dstrd = 15,
		.nssrs = true,
		.css = 0xff,
		.mpsmin = 15,
		.mpsmax = 9,
		.crms = 3,
	};
	uint64_t value = nvme_cap_encode(&cap);
	struct nvme_cap back = nvme_cap_decode(value);

	assert_true(nvme_cap_encode(&back) == value);
	assert_int_equal(back.mqes, 127);
	assert_int_equal(back.to, 30);
	assert_int_equal(back.css, 0xff);
	assert_int_equal(back.mpsmin, 15);
	assert_int_equal(back.mpsmax, 9);
	assert_int_equal(back.crms, 3);
	assert_true(back.cqr && back.nssrs && back.ams == 3 && back.dstrd == 15);
}

static void configuration_is_packed_and_unpacked(void **state)
{
	struct nvme_cc cc = {
		.enable = true,
		.css = 6,
		.mps = 9,
		.ams = 7,
		.shn = 2,
		.iosqes = 6,
		.iocqes = 4,
		.crime = true,
	};
	uint32_t value = nvme_cc_encode(&cc);
	struct nvme_cc back = nvme_cc_decode(value);

	assert_int_equal(nvme_cc_encode(&back), value);
	assert_true(back.enable && back.crime);
	assert_int_equal(back.css, 6);
	assert_int_equal(back.mps, 9);
	assert_int_equal(back.ams, 7);
	assert_int_equal(back.shn, 2);
	assert_int_equal(back.iosqes, 6);
	assert_int_equal(back.iocqes, 4);
	assert_int_equal(nvme_version(1, 4, 0), 0x10400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connect_survives_the_wire),
		cmocka_unit_test(a_connect_of_another_format_or_size_is_refused),
		cmocka_unit_test(a_bad_parameter_of_a_connect_is_named),
		cmocka_unit_test(a_connect_is_answered_with_a_controller),
		cmocka_unit_test(properties_survive_the_wire),
		cmocka_unit_test(a_disconnect_of_another_format_is_refused),
		cmocka_unit_test(capabilities_are_packed_and_unpacked),
		cmocka_unit_test(configuration_is_packed_and_unpacked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
