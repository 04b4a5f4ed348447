// SPDX-License-Identifier: Apache-2.0
/*
 * What the target tells of itself, byte by byte against the tables of the specifications: Base
 * 2.0 (identify controller: section 5.17.2.1; properties: 3.1.3; discovery: 5.16.1.23), NVM
 * Command Set 1.0 (identify namespace: 4.1.5.1). Offsets are written out here and not taken
 * from the codecs under test.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

#include "base/le.h"
#include "nvmf/host.h"
#include "nvmf/target.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_list.h"

struct bench {
	struct target target;
	struct host host;
};

enum rule {
	ANY,	 /* there, any value */
	SOME,	 /* not 0 */
	IS,	 /* this value */
	LEAST,	 /* this or more */
	BITS,	 /* all these bits */
	NO_BITS, /* none of these bits */
	TEXT,	 /* ASCII, not blank, padded with spaces */
	ZERO,	 /* all bytes: reserved */
};

struct field {
	uint16_t at, size;
	enum rule rule;
	uint64_t value;
	const char *name;
};

/* Of an I/O controller over fabrics. */
static const struct field controller[] = {
	/* OFFSET SIZE RULE */
	{ 4, 20, TEXT, 0, "SN" },
	{ 24, 40, TEXT, 0, "MN" },
	{ 64, 8, TEXT, 0, "FR" },
	{ 76, 1, BITS, 0x02, "CMIC: more than one controller" },
	{ 80, 4, LEAST, 0x00010400, "VER" },
	{ 96, 4, BITS, 0x01, "CTRATT: host identifiers of 128 bits, mandatory over fabrics" },
	{ 102, 9, ZERO, 0, "102..110" },
	{ 111, 1, IS, 1, "CNTRLTYPE: an I/O controller" },
	{ 134, 106, ZERO, 0, "134..239" },
	{ 256, 2, NO_BITS, 0x01ff, "OACS: nothing of it is served" },
	{ 259, 1, ANY, 0, "AERL" },
	{ 260, 1, LEAST, 2, "FRMW: a slot" },
	{ 261, 1, BITS, 0x04, "LPA: offsets of log pages, mandatory over fabrics" },
	{ 320, 2, SOME, 0, "KAS: keep alive, mandatory over fabrics" },
	{ 512, 1, IS, 0x66, "SQES" },
	{ 513, 1, IS, 0x44, "CQES" },
	{ 514, 2, SOME, 0, "MAXCMD, mandatory over fabrics" },
	{ 516, 4, LEAST, 2, "NN" },
	{ 520, 2, BITS, 0x000c, "ONCS: dataset management, write zeroes" },
	{ 520, 2, NO_BITS, 0x0182, "ONCS: neither write uncorrectable, verify nor copy" },
	{ 522, 2, NO_BITS, 0x01, "FUSES" },
	{ 528, 2, NO_BITS, 0, "AWUPF" },
	{ 536, 4, BITS, 0x01, "SGLS: supported, mandatory over fabrics" },
	{ 536, 4, BITS, 0x200000, "SGLS: transport data blocks, of TCP" },
	{ 536, 4, NO_BITS, 0x04, "SGLS: no keyed ones" },
	{ 564, 204, ZERO, 0, "564..767" },
	{ 1024, 768, ZERO, 0, "1024..1791" },
	{ 1792, 4, LEAST, 4 + 16384 / 16, "IOCCSZ: a command and 16 KiB" },
	{ 1796, 4, LEAST, 1, "IORCSZ: a completion" },
	{ 1800, 2, IS, 0, "ICDOFF" },
	{ 1802, 1, IS, 0, "FCATT: dynamic controllers" },
	{ 1803, 1, LEAST, 1, "MSDBD" },
	{ 1807, 241, ZERO, 0, "1807..2047" },
};

/* Of a namespace of blocks of 512 bytes, without metadata. */
static const struct field namespace_512[] = {
	{ 0, 8, IS, 32768, "NSZE" },
	{ 8, 8, IS, 32768, "NCAP" },
	{ 25, 1, ANY, 0, "NLBAF" },
	{ 27, 1, IS, 0, "MC" },
	{ 28, 1, IS, 0, "DPC" },
	{ 29, 1, IS, 0, "DPS" },
	{ 30, 1, BITS, 0x01, "NMIC: shared" },
	{ 33, 1, BITS, 0x01, "DLFEAT: deallocated blocks read as zeros" },
	{ 100, 2, NO_BITS, 0, "NVMSETID" },
	{ 104, 16, SOME, 0, "NGUID" },
	{ 131, 1, IS, 0, "LBAF0: reserved with RP" },
	{ 384, 3712, ANY, 0, "vendor" },
};

static uint64_t number(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = min_u32(size, 8); i > 0; i--)
		value = value << 8 | at[i - 1];
	return value;
}

static bool is_text(const uint8_t *at, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (at[i] < 0x20 || at[i] > 0x7e)
			return false;
	return at[0] != ' ';
}

static bool all_zero(const uint8_t *at, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static bool holds(const struct field *field, const uint8_t *at)
{
	uint64_t value = number(at, field->size);

	switch (field->rule) {
	case SOME:
		return !all_zero(at, field->size);
	case IS:
		return value == field->value;
	case LEAST:
		return value >= field->value;
	case BITS:
		return (value & field->value) == field->value;
	case NO_BITS:
		return (value & field->value) == 0;
	case TEXT:
		return is_text(at, field->size);
	case ZERO:
		return all_zero(at, field->size);
	default:
		return true;
	}
}

static void check_fields(const struct field *fields, size_t count, const uint8_t *data)
{
	unsigned bad = 0;

	for (size_t i = 0; i < count; i++) {
		if (holds(&fields[i], data + fields[i].at))
			continue;
		print_error("bytes %u+%u are %llxh: %s\n", fields[i].at, fields[i].size,
			    (unsigned long long)number(data + fields[i].at, fields[i].size),
			    fields[i].name);
		bad++;
	}
	assert_int_equal(bad, 0);
}

static void open_host(struct bench *bench, struct host *host, unsigned number_of_host)
{
	struct host_opts opts = {
		.port = bench->target.port,
		.subnqn = bench->target.nqn,
		.number = number_of_host,
	};

	if (host_open(host, &opts) < 0)
		fail_msg("%s", host->why);
}

static void identify(struct host *host, uint8_t cns, uint32_t nsid, uint8_t *ret)
{
	uint16_t status;

	memset(ret, 0xee, NVME_IDENTIFY_BYTES);
	if (host_identify(host, cns, nsid, 0, ret, &status) < 0)
		fail_msg("%s", host->why);
	if (status)
		fail_msg("CNS %02xh of namespace %u: status %03xh, %s", cns, nsid, status,
			 nvme_status_text(status));
}

static void controller_has_what_is_mandatory(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES];
	uint64_t version;

	identify(&bench->host, 0x01, 0, data);
	check_fields(controller, ARRAY_LEN(controller), data);
	assert_int_equal(le16_get(data + 78), bench->host.admin.cntlid);
	assert_string_equal((char *)data + 768, bench->target.nqn);
	assert_int_equal(host_property_get(&bench->host, 0x08, 4, &version), 0);
	assert_int_equal(le32_get(data + 80), version);
	assert_true(le16_get(data + 514) >= HOST_QUEUE_ENTRIES); /* MAXCMD */
}

static void ana_is_told_as_a_whole(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES], ns[NVME_IDENTIFY_BYTES];
	uint32_t groups;

	identify(&bench->host, 0x01, 0, data);
	if (!(data[76] & 0x08)) {
		print_message("skip: the target does not report ANA\n");
		skip();
	}
	groups = le32_get(data + 344);
	assert_true(data[342] > 0);			  /* ANATT */
	assert_true(data[343] & 1);			  /* ANACAP: optimized */
	assert_true(groups >= 1);			  /* ANAGRPMAX */
	assert_in_range(le32_get(data + 348), 1, groups); /* NANAGRPID */
	assert_true(le32_get(data + 92) & 1u << 11);	  /* OAES: ANA change */
	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		identify(&bench->host, 0x00, nsid, ns);
		assert_in_range(le32_get(ns + 92), 1, groups);
		assert_true(ns[30] & 1);
	}
}

static void properties_are_those_of_fabrics(void **state)
{
	struct bench *bench = *state;
	uint64_t cap, value;

	assert_int_equal(host_property_get(&bench->host, 0x00, 8, &cap), 0);
	assert_true((cap & 0xffff) >= 127);   /* MQES */
	assert_true(cap >> 16 & 1);	      /* CQR, 1 over fabrics */
	assert_true(cap >> 24 & 0xff);	      /* TO */
	assert_int_equal(cap >> 32 & 0xf, 0); /* DSTRD, 0 over fabrics */
	assert_true(cap >> 37 & 1);	      /* CSS: NVM */
	assert_int_equal(cap >> 48 & 0xf, 0); /* MPSMIN */
	assert_int_equal(host_property_get(&bench->host, 0x1c, 4, &value), 0);
	assert_int_equal(value & 3, 1); /* ready, no fatal status */
	assert_int_equal(host_property_get(&bench->host, 0x14, 4, &value), 0);
	assert_int_equal(value & 1, 1);
	assert_int_equal(value >> 16 & 0xf, 6);
	assert_int_equal(value >> 20 & 0xf, 4);
}

static void namespaces_have_what_is_mandatory(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES], ctrl[NVME_IDENTIFY_BYTES];
	unsigned format;

	identify(&bench->host, 0x00, 1, data);
	check_fields(namespace_512, ARRAY_LEN(namespace_512), data);
	assert_true(le64_get(data + 16) <= le64_get(data + 8)); /* NUSE */
	format = data[26] & 0xf;
	assert_in_range(format, 0, data[25]);
	assert_int_equal(le16_get(data + 128 + 4 * format), 0); /* MS */
	assert_int_equal(data[128 + 4 * format + 2], 9);	/* LBADS */
	identify(&bench->host, 0x00, 2, data);
	assert_int_equal(le64_get(data), 4096);
	format = data[26] & 0xf;
	assert_int_equal(data[128 + 4 * format + 2], 12);
	identify(&bench->host, 0x01, 0, ctrl);
	if (le16_get(ctrl + 520) & 0x20) /* ONCS: reservations */
		assert_true(data[31] & 0x06);
	else
		assert_int_equal(data[31], 0);
}

static void lists_of_namespaces_ascend_and_go_on(void **state)
{
	static const uint32_t wanted[3][2] = { { 1, 2 }, { 2, 0 }, { 0, 0 } };
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES];

	for (uint32_t from = 0; from < 3; from++) {
		identify(&bench->host, 0x02, from, data);
		assert_int_equal(le32_get(data), wanted[from][0]);
		assert_int_equal(le32_get(data + 4), wanted[from][1]);
		assert_true(all_zero(data + 8, NVME_IDENTIFY_BYTES - 8));
	}
}

/* NIDT 1..4 with their lengths, then zeros to the end. */
static void namespaces_have_names(void **state)
{
	static const uint8_t lengths[] = { 0, 8, 16, 16, 1 };
	struct bench *bench = *state;

	for (uint32_t nsid = 1; nsid <= 2; nsid++) {
		uint8_t data[NVME_IDENTIFY_BYTES], ns[NVME_IDENTIFY_BYTES];
		unsigned at = 0, names = 0;

		identify(&bench->host, 0x03, nsid, data);
		identify(&bench->host, 0x00, nsid, ns);
		while (at < 4000 && data[at]) {
			assert_in_range(data[at], 1, 4);
			assert_int_equal(data[at + 1], lengths[data[at]]);
			assert_int_equal(le16_get(data + at + 2), 0);
			if (data[at] == 2)
				assert_memory_equal(data + at + 4, ns + 104, 16);
			if (data[at] == 3)
				assert_false(all_zero(data + at + 4, 16));
			names += data[at] != 4;
			at += 4 + data[at + 1];
		}
		assert_true(names > 0);
		assert_true(all_zero(data + at, NVME_IDENTIFY_BYTES - at));
	}
}

static void what_linux_asks_for_is_given(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES], ns[NVME_IDENTIFY_BYTES];

	identify(&bench->host, 0x06, 0, data); /* controller, NVM command set */
	identify(&bench->host, 0x05, 1, data); /* namespace, NVM command set */
	identify(&bench->host, 0x1c, 0, data); /* command sets */
	assert_true(data[0] & 1);
	identify(&bench->host, 0x08, 1, data); /* namespace, of any command set */
	identify(&bench->host, 0x00, 1, ns);
	assert_int_equal(data[1], ns[30]);			 /* NMIC */
	assert_int_equal(data[2], ns[31]);			 /* RESCAP */
	assert_int_equal(le32_get(data + 4), le32_get(ns + 92)); /* ANAGRPID */
	assert_true(data[14] & 1);				 /* NSTAT: ready */
}

static void a_namespace_there_is_not_is_zeros_or_refused(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES];
	uint16_t status;

	assert_int_equal(host_identify(&bench->host, 0x00, 3, 0, data, &status), 0);
	if (status == 0)
		assert_true(all_zero(data, sizeof(data)));
	else
		assert_true(status == NVME_INVALID_NAMESPACE || status == NVME_INVALID_FIELD);
}

static void two_hosts_see_the_same_subsystem(void **state)
{
	struct bench *bench = *state;
	uint8_t a[NVME_IDENTIFY_BYTES], b[NVME_IDENTIFY_BYTES];
	struct host other;

	open_host(bench, &other, 2);
	identify(&bench->host, 0x01, 0, a);
	identify(&other, 0x01, 0, b);
	assert_memory_equal(a + 4, b + 4, 68); /* SN, MN, FR */
	assert_true(le16_get(a + 78) != le16_get(b + 78));
	identify(&bench->host, 0x00, 1, a);
	identify(&other, 0x00, 1, b);
	assert_memory_equal(a + 104, b + 104, 24);
	host_close(&other);
}

static void identities_are_those_of_before_a_restart(void **state)
{
	struct bench *bench = *state;
	uint8_t ctrl[NVME_IDENTIFY_BYTES], ns[NVME_IDENTIFY_BYTES], data[NVME_IDENTIFY_BYTES];

	if (!bench->target.pid)
		skip();
	identify(&bench->host, 0x01, 0, ctrl);
	identify(&bench->host, 0x00, 1, ns);
	host_close(&bench->host);
	assert_int_equal(target_stop(&bench->target), 0);
	assert_int_equal(target_start(&bench->target, NULL), 0);
	open_host(bench, &bench->host, 1);
	identify(&bench->host, 0x01, 0, data);
	assert_memory_equal(ctrl + 4, data + 4, 68);
	identify(&bench->host, 0x00, 1, data);
	assert_memory_equal(ns + 104, data + 104, 24);
}

static void open_discovery(struct bench *bench, struct host *host)
{
	struct host_opts opts = {
		.port = bench->target.port,
		.subnqn = NVME_DISCOVERY_NQN,
		.number = 3,
		.kato_ms = 60000,
	};

	if (host_open(host, &opts) < 0)
		fail_msg("discovery: %s", host->why);
}

static void discovery_tells_of_the_subsystem(void **state)
{
	struct bench *bench = *state;
	struct nvme_get_log log = { .lid = 0x70, .length = 8192 };
	static uint8_t data[8192];
	struct host host;
	uint16_t status;
	unsigned found = 0;

	open_discovery(bench, &host);
	if (host_log(&host, &log, 0, data, &status) < 0)
		fail_msg("%s", host.why);
	assert_int_equal(status, 0);
	assert_int_equal(le16_get(data + 16), 0); /* record format */
	assert_in_range(le64_get(data + 8), 1, 7);
	for (unsigned i = 0; i < le64_get(data + 8); i++) {
		const uint8_t *entry = data + 1024 * (i + 1);

		assert_int_equal(entry[0], 3);		    /* TRTYPE: TCP */
		assert_int_equal(entry[1], 1);		    /* ADRFAM: IPv4 */
		assert_true(le16_get(entry + 6) >= 0xfffe); /* CNTLID: dynamic */
		assert_true(le16_get(entry + 8) >= 32);	    /* ASQSZ */
		if (entry[2] != 2 || strcmp((const char *)entry + 256, bench->target.nqn) != 0)
			continue;
		assert_int_equal(atoi((const char *)entry + 32), bench->target.port);
		assert_memory_equal(entry + 512, "127.0.0.1", 9);
		assert_int_equal(entry[768], 0); /* SECTYPE */
		found++;
	}
	assert_int_equal(found, 1);
	host_close(&host);
}

static void discovery_controller_says_what_it_is(void **state)
{
	struct bench *bench = *state;
	uint8_t data[NVME_IDENTIFY_BYTES];
	struct host host;

	open_discovery(bench, &host);
	identify(&host, 0x01, 0, data);
	assert_int_equal(data[111], 2);
	assert_true(is_text(data + 64, 8));
	assert_string_equal((char *)data + 768, NVME_DISCOVERY_NQN);
	assert_true(data[261] & 4);
	assert_true(le16_get(data + 514) > 0);
	assert_true(le32_get(data + 92) & 1u << 31); /* OAES: discovery log changes */
	host_close(&host);
}

static int start(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int r = target_start(&bench->target, NULL);

	*state = bench;
	if (r < 0) {
		print_message("skip: no target to judge (%s)\n", strerror(-r));
		return r;
	}
	open_host(bench, &bench->host, 1);
	return 0;
}

static int stop(void **state)
{
	struct bench *bench = *state;
	int status;

	host_close(&bench->host);
	status = target_stop(&bench->target);
	free(bench);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controller_has_what_is_mandatory),
		cmocka_unit_test(ana_is_told_as_a_whole),
		cmocka_unit_test(properties_are_those_of_fabrics),
		cmocka_unit_test(namespaces_have_what_is_mandatory),
		cmocka_unit_test(lists_of_namespaces_ascend_and_go_on),
		cmocka_unit_test(namespaces_have_names),
		cmocka_unit_test(what_linux_asks_for_is_given),
		cmocka_unit_test(a_namespace_there_is_not_is_zeros_or_refused),
		cmocka_unit_test(two_hosts_see_the_same_subsystem),
		cmocka_unit_test(identities_are_those_of_before_a_restart),
		cmocka_unit_test(discovery_tells_of_the_subsystem),
		cmocka_unit_test(discovery_controller_says_what_it_is),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
