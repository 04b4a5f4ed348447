/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim - play scenarios from seeds.
 *
 *	sim [--seed N] [--seeds COUNT] [--first | --must-fail] [--plant NAME] [--hash] [-v] SCENARIO
 *	sim --list
 *
 * --first ends with the first seed that fails; --must-fail too, and is content if there is one.
 * Prints one line for each seed that fails, with the command that plays it again, and a summary.
 * Exit status: 0 all passed, 1 a seed failed, 2 wrong usage.
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
	fputs("usage: sim [--seed N] [--seeds COUNT] [--first | --must-fail] [--plant NAME] [--hash] "
	      "[-v] SCENARIO\n"
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

static void summarize(const struct args *args, const struct scenario_result *sum, uint64_t seeds,
		      uint64_t failures, double ms)
{
	printf("%s: %llu seeds, %llu failed; %.1f simulated hours, %.1f M events, %.3f ms CPU a seed\n",
	       args->scenario->name, (unsigned long long)seeds, (unsigned long long)failures,
	       (double)sum->sim_ns / 3.6e12, (double)sum->events / 1e6, ms / (double)seeds);
	for (unsigned i = 0, n = 0; i < SIM_FAULTS; i++)
		if (sum->fired[i])
			printf("%s%s %llu", n++ ? ", " : "faults: ", sim_fault_name(i),
			       (unsigned long long)sum->fired[i]);
	puts("");
}

static uint64_t run(const struct args *args)
{
	struct scenario_result sum = { 0 }, result;
	struct mem_heap heap;
	uint64_t failures = 0, seeds = 0;
	double start = cpu_ms();

	/* each seed gives everything back: do not give it to the kernel in between */
	mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	mem_heap_init(&heap);
	struct sim_stacks *stacks = sim_stacks_new(&heap.mem);
	for (; seeds < args->seeds; seeds++) {
		struct scenario_opts opts = { .seed = args->seed + seeds,
					      .plant = args->plant,
					      .trace = args->verbose ? print_line : NULL,
					      .stacks = stacks };
		scenario_run(args->scenario, &heap.mem, &opts, &result);
		if (args->hash)
			printf("%llu %016llx\n", (unsigned long long)opts.seed,
			       (unsigned long long)result.hash);
		sum.sim_ns += result.sim_ns;
		sum.events += result.events;
		for (unsigned i = 0; i < SIM_FAULTS; i++)
			sum.fired[i] += result.fired[i];
		if (result.failed && ++failures <= FAILURES_SHOWN)
			say_failure(args, opts.seed, result.words);
		if (result.failed && args->to_first_failure) {
			seeds++;
			break;
		}
	}
	sim_stacks_free(stacks);
	mem_heap_fini(&heap);
	if (!args->hash)
		summarize(args, &sum, seeds, failures, cpu_ms() - start);
	return failures;
}

int main(int argc, char **argv)
{
	struct args args = { .program = argv[0], .seed = 1, .seeds = 1 };

	if (!parse(argc, argv, &args))
		return usage();
	return (run(&args) > 0) != args.must_fail;
}
