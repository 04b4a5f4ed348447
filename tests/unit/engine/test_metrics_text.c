// SPDX-License-Identifier: Apache-2.0
/* The text format of Prometheus, MT1-MT3. What a peer makes of it: tests/interop/node/test_metrics.py. */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hist.h"
#include "base/mem.h"
#include "engine/metrics_text.h"
#include "unit/reactor/one.h"

enum { APPLES, PEARS, TIMES, FAMILIES };

static const struct metrics_family families[FAMILIES] = {
	[APPLES] = { "apples_total", "Apples", METRICS_COUNTER },
	[PEARS] = { "pears", "Pears", METRICS_GAUGE },
	[TIMES] = { "times_seconds", "Times", METRICS_HISTOGRAM },
};

struct room {
	struct one one;
	struct metrics *m;
	char *text;
	size_t len;
	int r;
	char words[ERR_WORDS_SIZE];
};

static void room_init(struct room *room)
{
	memset(room, 0, sizeof(*room));
	one_init(&room->one);
	room->m = metrics_new(room->one.fake.io.mem, families, FAMILIES);
	assert_non_null(room->m);
}

static int finishes(struct fiber *f, void *arg)
{
	struct room *room = arg;

	room->r = metrics_finish(f, room->m, &room->text, &room->len);
	snprintf(room->words, sizeof(room->words), "%s", fiber_words(f));
	fiber_clear(f);
	return 0;
}

/* The text, with a NUL at the end. */
static const char *finish(struct room *room)
{
	char *copy;

	assert_int_equal(fiber_start(room->one.r, "finish", finishes, room, NULL), 0);
	one_run(&room->one, 100);
	assert_int_equal(room->r, 0);
	copy = mem_strndup(room->one.fake.io.mem, room->text, room->len);
	assert_non_null(copy);
	mem_free(room->text);
	room->text = copy;
	return copy;
}

static void room_fini(struct room *room)
{
	mem_free(room->text);
	metrics_free(room->m);
	one_fini(&room->one);
}

static void samples_of_a_family_stand_together(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	metrics_labels(room.m, "tree", "a", "garden", "n");
	metrics_add(room.m, PEARS, 1);
	metrics_add(room.m, APPLES, UINT64_MAX);
	metrics_labels(room.m);
	metrics_add(room.m, PEARS, 2);
	assert_string_equal(finish(&room),
			    "# HELP apples_total Apples\n"
			    "# TYPE apples_total counter\n"
			    "apples_total{tree=\"a\",garden=\"n\"} 18446744073709551615\n"
			    "# HELP pears Pears\n"
			    "# TYPE pears gauge\n"
			    "pears{tree=\"a\",garden=\"n\"} 1\n"
			    "pears{} 2\n"); /* MT1, MT2 */
	room_fini(&room);
}

static void labels_are_escaped(void **state)
{
	struct room room;

	(void)state;
	room_init(&room);
	metrics_labels(room.m, "a", "back\\slash", "b", "\"quoted\"", "c", "two\nlines");
	metrics_add(room.m, PEARS, 1);
	assert_non_null(
		strstr(finish(&room),
		       "pears{a=\"back\\\\slash\",b=\"\\\"quoted\\\"\",c=\"two\\nlines\"} 1\n"));
	room_fini(&room);
}

static void labels_that_are_too_long_are_cut_and_stay_whole(void **state)
{
	static char lengthy[METRICS_LABELS_MAX + 2];
	struct room room;

	(void)state;
	for (unsigned len = METRICS_LABELS_MAX - 20; len <= METRICS_LABELS_MAX + 1; len++) {
		const char *text;

		room_init(&room);
		memset(lengthy, '"', len);
		lengthy[len] = 0;
		metrics_labels(room.m, "a", lengthy, "b", "c");
		metrics_add(room.m, PEARS, 1);
		text = strstr(finish(&room), "pears{a=\"\\\"");
		assert_non_null(text);
		assert_non_null(strstr(text, "\\\"\"} 1\n"));
		room_fini(&room);
	}
}

static uint64_t bucket_of(const char *text, const char *le)
{
	char name[80];
	const char *at;

	snprintf(name, sizeof(name), "times_seconds_bucket{op=\"x\",le=\"%s\"} ", le);
	at = strstr(text, name);
	if (!at)
		fail_msg("no bucket %s", le);
	return strtoull(at + strlen(name), NULL, 10);
}

static void a_histogram_counts_up_to_each_bound(void **state)
{
	struct room room;
	struct hist *hist;
	const char *text;

	(void)state;
	room_init(&room);
	hist = mem_new(&room.one.fake.io, sizeof(*hist));
	hist_reset(hist);
	hist_add(hist, 1);
	hist_add(hist, 4095);
	hist_add(hist, 4096);			/* of exactly a bound: above it */
	hist_add(hist, 1000000);		/* 1 ms */
	hist_add(hist, UINT64_C(100000000000)); /* 100 s: beyond all bounds */
	metrics_labels(room.m, "op", "x");
	metrics_add_hist(room.m, TIMES, hist);
	text = finish(&room);
	assert_int_equal(bucket_of(text, "0.000004096"), 2);
	assert_int_equal(bucket_of(text, "0.000008192"), 3);
	assert_int_equal(bucket_of(text, "0.000524288"), 3);
	assert_int_equal(bucket_of(text, "0.001048576"), 4);
	assert_int_equal(bucket_of(text, "17.179869184"), 4);
	assert_int_equal(bucket_of(text, "+Inf"), 5);
	assert_non_null(strstr(text, "times_seconds_count{op=\"x\"} 5\n"));
	assert_non_null(strstr(text, "times_seconds_sum{op=\"x\"} 100.001008192\n"));
	mem_free(hist);
	room_fini(&room);
}

static void there_is_a_greatest_text(void **state)
{
	struct room room;
	unsigned adds = METRICS_BYTES_MAX / 4000;

	(void)state;
	room_init(&room);
	{
		static char lengthy[4001];

		memset(lengthy, 'x', sizeof(lengthy) - 1);
		metrics_labels(room.m, "a", lengthy);
	}
	for (unsigned i = 0; i < adds; i++)
		metrics_add(room.m, PEARS, 1);
	assert_int_equal(fiber_start(room.one.r, "finish", finishes, &room, NULL), 0);
	one_run(&room.one, 100);
	assert_int_equal(room.r, -EFBIG);
	assert_non_null(strstr(room.words, "bytes of metrics"));
	room_fini(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_of_a_family_stand_together),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(labels_that_are_too_long_are_cut_and_stay_whole),
		cmocka_unit_test(a_histogram_counts_up_to_each_bound),
		cmocka_unit_test(there_is_a_greatest_text),
	};

	return cmocka_run_group_tests_name("engine_metrics_text", tests, NULL, NULL);
}
