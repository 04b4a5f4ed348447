/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each scenario: the same seed twice is the same run to the byte, other seeds are other runs,
 * and a planted bug is found within 1,000 seeds, again and again by the same seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/crc32c.h"
#include "scenario.h"

struct trace {
	uint32_t crc;
	uint64_t lines, bytes;
};

static void trace_line(void *ctx, const char *line)
{
	struct trace *trace = ctx;
	size_t len = strlen(line);

	trace->crc = crc32c(trace->crc, line, len + 1);
	trace->lines++;
	trace->bytes += len;
}

static struct scenario_result play(const struct scenario *scenario, uint64_t seed,
				   const char *plant, struct trace *trace)
{
	struct scenario_result result;
	struct mem_heap heap;

	mem_heap_init(&heap);
	scenario_run(scenario, &heap.mem,
		     &(struct scenario_opts){ .seed = seed,
					      .plant = plant,
					      .without = SIM_FAULTS,
					      .trace = trace ? trace_line : NULL,
					      .trace_ctx = trace },
		     &result);
	mem_heap_fini(&heap);
	return result;
}

static void check_same(const struct scenario *scenario, uint64_t seed, const char *plant)
{
	struct trace a = { 0 }, b = { 0 };
	struct scenario_result first = play(scenario, seed, plant, &a);
	struct scenario_result again = play(scenario, seed, plant, &b);
	struct scenario_result quiet = play(scenario, seed, plant, NULL);

	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_equal(&first, &again, sizeof(first));
	assert_memory_equal(&first, &quiet, sizeof(first));
	assert_true(a.lines > 0 || scenario == &scenario_idle);
}

static void two_runs_of_a_seed_are_the_same(void **state)
{
	for (unsigned i = 0; scenarios[i]; i++)
		for (uint64_t seed = 1; seed <= 15; seed++)
			check_same(scenarios[i], seed, NULL);
}

static void two_seeds_are_different_runs(void **state)
{
	for (unsigned i = 0; scenarios[i]; i++)
		assert_true(play(scenarios[i], 1, NULL, NULL).hash !=
			    play(scenarios[i], 2, NULL, NULL).hash);
}

static void find_plant(const struct scenario *scenario, const char *plant)
{
	for (uint64_t seed = 1; seed <= 1000; seed++) {
		struct scenario_result result = play(scenario, seed, plant, NULL);
		if (!result.failed)
			continue;
		print_message("# %s: plant %s found by seed %u: %s\n", scenario->name, plant,
			      (unsigned)seed, result.words);
		check_same(scenario, seed, plant);
		assert_false(play(scenario, seed, NULL, NULL).failed); /* it is the plant's fault */
		return;
	}
	fail_msg("%s: plant %s was not found", scenario->name, plant);
}

static void every_planted_bug_is_found_and_found_again(void **state)
{
	char names[200], *rest, *plant;

	for (unsigned i = 0; scenarios[i]; i++) {
		if (!scenarios[i]->plants)
			continue;
		strncpy(names, scenarios[i]->plants, sizeof(names) - 1);
		for (plant = strtok_r(names, " ", &rest); plant; plant = strtok_r(NULL, " ", &rest))
			find_plant(scenarios[i], plant);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_runs_of_a_seed_are_the_same),
		cmocka_unit_test(two_seeds_are_different_runs),
		cmocka_unit_test(every_planted_bug_is_found_and_found_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
