/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim - play scenarios from seeds.
 *
 *	sim [--seed N] [--seeds COUNT] [--first | --must-fail] [--plant NAME] [--without FAULT] [--hash]
 *	    [-v] SCENARIO
 *	sim --list
 *
 * --first ends with the first seed that fails; --must-fail too, and is content if there is one.
 * --without switches one kind of fault off.
 * Prints one line for each seed that fails, with the command that plays it again, and a summary.
 * A run of SCENARIO_SEEDS_ALL_FAULTS seeds or more fails if a kind of fault that the scenario is
 * there for has never struck. Exit status: 0 all passed, 1 not, 2 wrong usage.
 */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "scenario.h"

#define FAILURES_SHOWN 20
#define KEEP_BYTES     (512 << 20)

struct args {
	const struct scenario *scenario;
	const char *plant, *program;
	uint64_t seed, seeds;
	enum sim_fault without; /* SIM_FAULTS: none */
	bool verbose, hash, to_first_failure, must_fail;
};

static void print_line(void *ctx, const char *line)
{
	(void)ctx;
	puts(line);
}

static int list(void)
{
	for (unsigned i = 0; scenarios[i]; i++)
		printf("%-10s %s%s%s%s%s\n", scenarios[i]->name, scenarios[i]->help,
		       scenarios[i]->plants ? "; plants: " : "",
		       scenarios[i]->plants ? scenarios[i]->plants : "",
		       scenarios[i]->rules ? " " : "",
		       scenarios[i]->rules ? scenarios[i]->rules : "");
	puts("\nfaults:");
	for (unsigned i = 0; i < SIM_FAULTS; i++)
		printf("%-20s %s\n", sim_fault_name(i), sim_fault_help(i));
	return 0;
}

static int usage(void)
{
	fputs("usage: sim [--seed N] [--seeds COUNT] [--first | --must-fail] [--plant NAME] "
	      "[--without FAULT] [--hash] [-v] SCENARIO\n"
	      "       sim --list\n",
	      stderr);
	return 2;
}

static bool has_word(const char *words, const char *word)
{
	return words && strstr(words, word);
}

static bool parse(int argc, char **argv, struct args *args)
{
	static const struct option longs[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "plant", required_argument, NULL, 'p' },
		{ "without", required_argument, NULL, 'w' },
		{ "hash", no_argument, NULL, 'h' },
		{ "first", no_argument, NULL, 'f' },
		{ "must-fail", no_argument, NULL, 'm' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "list", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "v", longs, NULL)) != -1) {
		switch (c) {
		case 's':
			args->seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			args->seeds = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			args->plant = optarg;
			break;
		case 'w':
			args->without = sim_fault_find(optarg);
			if (args->without == SIM_FAULTS) {
				fprintf(stderr, "sim: no fault '%s'; sim --list names them\n",
					optarg);
				return false;
			}
			break;
		case 'h':
			args->hash = true;
			break;
		case 'f':
			args->to_first_failure = true;
			break;
		case 'm':
			args->to_first_failure = args->must_fail = true;
			break;
		case 'v':
			args->verbose = true;
			break;
		case 'l':
			exit(list());
		default:
			return false;
		}
	}
	args->scenario = optind == argc - 1 ? scenario_find(argv[optind]) : NULL;
	if (optind == argc - 1 && !args->scenario)
		fprintf(stderr, "sim: no scenario '%s'; sim --list tells what there is\n",
			argv[optind]);
	if (args->scenario && args->plant && !has_word(args->scenario->plants, args->plant) &&
	    !has_word(args->scenario->rules, args->plant)) {
		fprintf(stderr, "sim: scenario '%s' has no plant '%s'\n", args->scenario->name,
			args->plant);
		return false;
	}
	return args->scenario && args->seeds > 0;
}

static double cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void say_failure(const struct args *args, uint64_t seed, const char *words)
{
	printf("FAILED seed %llu: %s; again: %s --seed %llu %s%s%s-v %s\n",
	       (unsigned long long)seed, words, args->program, (unsigned long long)seed,
	       args->plant ? "--plant " : "", args->plant ? args->plant : "",
	       args->plant ? " " : "", args->scenario->name);
}

/* ---- the sum of all seeds --------------------------------------------------------------------- */

struct sum {
	struct scenario_result all; /* sim_ns, events, fired */
	uint64_t seeds, failures;
	double *ms; /* CPU of each seed */
};

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sum_add(struct sum *sum, const struct scenario_result *result, double ms)
{
	sum->ms[sum->seeds++] = ms;
	sum->failures += result->failed;
	sum->all.sim_ns += result->sim_ns;
	sum->all.events += result->events;
	for (unsigned i = 0; i < SIM_FAULTS; i++)
		sum->all.fired[i] += result->fired[i];
}

static void summarize(const struct args *args, struct sum *sum)
{
	double ms = 0;

	for (uint64_t i = 0; i < sum->seeds; i++)
		ms += sum->ms[i];
	qsort(sum->ms, sum->seeds, sizeof(*sum->ms), by_size);
	printf("%s: %llu seeds, %llu failed; %.1f simulated hours, %.1f M events, "
	       "CPU a seed: median %.3f ms, mean %.3f ms\n",
	       args->scenario->name, (unsigned long long)sum->seeds,
	       (unsigned long long)sum->failures, (double)sum->all.sim_ns / 3.6e12,
	       (double)sum->all.events / 1e6, sum->ms[sum->seeds / 2], ms / (double)sum->seeds);
	for (unsigned i = 0, n = 0; i < SIM_FAULTS; i++)
		if (sum->all.fired[i])
			printf("%s%s %llu", n++ ? ", " : "faults: ", sim_fault_name(i),
			       (unsigned long long)sum->all.fired[i]);
	puts("");
}

/* What never struck was not tested. */
static bool all_faults_struck(const struct args *args, const struct sum *sum)
{
	bool all = true;

	if (sum->seeds < SCENARIO_SEEDS_ALL_FAULTS || args->plant)
		return true;
	for (unsigned i = 0; i < SIM_FAULTS; i++) {
		if (sum->all.fired[i] || !scenario_has_fault(args->scenario, i))
			continue;
		printf("FAILED: %s has never struck in %llu seeds\n", sim_fault_name(i),
		       (unsigned long long)sum->seeds);
		all = false;
	}
	return all;
}

static void run_seeds(const struct args *args, struct sum *sum)
{
	struct scenario_result result;
	struct mem_heap heap;

	/* each seed gives everything back: do not give it to the kernel in between */
	mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	mem_heap_init(&heap);
	struct sim_stacks *stacks = sim_stacks_new(&heap.mem);
	while (sum->seeds < args->seeds) {
		struct scenario_opts opts = { .seed = args->seed + sum->seeds,
					      .plant = args->plant,
					      .without = args->without,
					      .trace = args->verbose ? print_line : NULL,
					      .stacks = stacks };
		double start = cpu_ms();

		scenario_run(args->scenario, &heap.mem, &opts, &result);
		sum_add(sum, &result, cpu_ms() - start);
		if (args->hash)
			printf("%llu %016llx\n", (unsigned long long)opts.seed,
			       (unsigned long long)result.hash);
		if (result.failed && sum->failures <= FAILURES_SHOWN)
			say_failure(args, opts.seed, result.words);
		if (result.failed && args->to_first_failure)
			break;
	}
	sim_stacks_free(stacks);
	mem_heap_fini(&heap);
}

static bool run(const struct args *args)
{
	struct sum sum = { .ms = calloc(args->seeds, sizeof(*sum.ms)) };
	bool good;

	if (!sum.ms) {
		fprintf(stderr, "sim: no memory for %llu seeds\n", (unsigned long long)args->seeds);
		return false;
	}
	run_seeds(args, &sum);
	if (!args->hash)
		summarize(args, &sum);
	good = all_faults_struck(args, &sum) && sum.failures == 0;
	free(sum.ms);
	return good;
}

int main(int argc, char **argv)
{
	struct args args = { .program = argv[0], .seed = 1, .seeds = 1, .without = SIM_FAULTS };

	if (!parse(argc, argv, &args))
		return usage();
	return run(&args) == args.must_fail;
}
