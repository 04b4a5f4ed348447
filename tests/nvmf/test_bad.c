// SPDX-License-Identifier: Apache-2.0
/*
 * What a host must not send, table by table (bad.h); beside it a host that does nothing wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

#include "nvmf/bad.h"

#define ROWS_MIN  200
#define GOOD_HOST 99
#define GOOD_LBA  20000

struct bench {
	struct target target;
	struct host good;
	uint64_t rounds;
};

/* K3 */
static bool good_host_goes_on(struct bench *bench, char why[256])
{
	uint8_t out[TARGET_NS1_BLOCK * 8], in[sizeof(out)];

	memset(out, (int)(bench->rounds++ & 0xff), sizeof(out));
	memset(in, 0xee, sizeof(in));
	if (host_write(&bench->good, 0, 1, GOOD_LBA, 8, TARGET_NS1_BLOCK, out) < 0 ||
	    host_read(&bench->good, 0, 1, GOOD_LBA, 8, TARGET_NS1_BLOCK, in) < 0) {
		snprintf(why, 256, "another host is disturbed: %s", bench->good.why);
		return false;
	}
	if (memcmp(in, out, sizeof(in)) == 0)
		return true;
	snprintf(why, 256, "another host reads other data");
	return false;
}

static void run_table(void **state, const struct bad_table *table)
{
	struct bench *bench = *state;
	const char *only = getenv("ROW");
	unsigned bad = 0;

	for (unsigned i = 0; i < table->count; i++) {
		const struct bad_row *row = &table->rows[i];
		char why[256] = "";

		if (only && strcmp(only, row->name) != 0)
			continue;
		if (bad_run(&bench->target, row, why) && good_host_goes_on(bench, why))
			continue;
		print_error("%s: %s: %s\n", table->name, row->name, why);
		bad++;
		assert_true(target_runs(&bench->target));
		if (!good_host_goes_on(bench, why))
			fail_msg("after %s: %s", row->name, why);
	}
	assert_int_equal(bad, 0);
}

#define TABLE_TEST(table)                                  \
	static void what_is_wrong_in_##table(void **state) \
	{                                                  \
		run_table(state, &bad_##table);            \
	}

TABLE_TEST(handshake)
TABLE_TEST(header)
TABLE_TEST(data)
TABLE_TEST(sgl)
TABLE_TEST(io)
TABLE_TEST(connect)
TABLE_TEST(admin)

static void there_are_200_rows(void **state)
{
	const struct bad_table *tables[] = { &bad_handshake, &bad_header,  &bad_data, &bad_sgl,
					     &bad_io,	     &bad_connect, &bad_admin };
	unsigned rows = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
		rows += tables[i]->count;
	assert_in_range(rows, ROWS_MIN, 10 * ROWS_MIN);
}

static int start(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	struct host_opts opts = { .number = GOOD_HOST, .queues = 1 };
	int r = target_start(&bench->target, NULL);

	*state = bench;
	if (r < 0) {
		print_message("skip: no target to judge (%s)\n", strerror(-r));
		return r;
	}
	opts.port = bench->target.port;
	opts.subnqn = bench->target.nqn;
	if (host_open(&bench->good, &opts) == 0)
		return 0;
	print_error("the good host: %s\n", bench->good.why);
	return -1;
}

static int stop(void **state)
{
	struct bench *bench = *state;
	int status;

	host_close(&bench->good);
	status = target_stop(&bench->target);
	free(bench);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_200_rows),
		cmocka_unit_test(what_is_wrong_in_handshake),
		cmocka_unit_test(what_is_wrong_in_header),
		cmocka_unit_test(what_is_wrong_in_data),
		cmocka_unit_test(what_is_wrong_in_sgl),
		cmocka_unit_test(what_is_wrong_in_io),
		cmocka_unit_test(what_is_wrong_in_connect),
		cmocka_unit_test(what_is_wrong_in_admin),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
