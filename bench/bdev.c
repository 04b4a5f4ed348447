// SPDX-License-Identifier: Apache-2.0
/*
 * bdev - fio for block devices of this tree: any URI, verified if asked. See options.c for its help.
 *
 *   open -> [fill] -> [ramp] -> measured run -> [read back all that is known] -> report
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "options.h"
#include "reactor/fiber.h"
#include "report.h"
#include "turns.h"

#define EXIT_ERRORS 1
#define EXIT_OPEN   3

static void on_signal(void *ctx, int signo)
{
	struct load *load = ctx;

	load->interrupted = true;
	event_set(&load->changed);
}

/* Until all jobs are idle, or for ns, or until somebody presses Ctrl-C. */
static int wait_for(struct fiber *f, struct load *load, uint64_t ns)
{
	return load->interrupted ?
		       0 :
		       load_wait(f, load, ns == IO_FOREVER ? ns : io_now(fiber_io(f)) + ns);
}

static int run_all_of(struct fiber *f, struct load *load, enum load_phase phase)
{
	int r;

	if (load->interrupted)
		return 0;
	r = load_start(f, load, phase);
	if (r == 0)
		r = wait_for(f, load, IO_FOREVER);
	return r == 0 ? load_end(f, load) : r;
}

static int run_measured(struct fiber *f, struct options *o, struct report *report)
{
	struct load *load = &o->load;
	struct world_cpu before = world_cpu(), after;
	uint64_t start_ns = io_now(fiber_io(f));
	int r = load_start(f, load, LOAD_RUN);

	if (r == 0 && o->ramp_ns) {
		r = wait_for(f, load, o->ramp_ns);
		if (r == 0)
			r = load_begin(f, load);
		before = world_cpu();
		start_ns = io_now(fiber_io(f));
	}
	if (r == 0)
		r = wait_for(f, load, load->opts.ios ? IO_FOREVER : o->run_ns);
	after = world_cpu();
	report->seconds = (double)(io_now(fiber_io(f)) - start_ns) / 1e9;
	report->cpu.user_s = after.user_s - before.user_s;
	report->cpu.sys_s = after.sys_s - before.sys_s;
	report->interrupted = load->interrupted;
	return r == 0 ? load_end(f, load) : r;
}

static int run_phases(struct fiber *f, struct options *o)
{
	struct report report = { 0 };
	int r = 0;

	if (o->fill)
		r = run_all_of(f, &o->load, LOAD_FILL);
	if (r == 0)
		r = pool_bed_snapshots(f, &o->bed);
	if (r == 0 && o->refill)
		r = run_all_of(f, &o->load, LOAD_FILL);
	if (r == 0)
		r = pool_bed_begin(f, &o->bed);
	if (r == 0)
		r = run_measured(f, o, &report);
	if (r == 0)
		r = pool_bed_end(f, &o->bed);
	if (r == 0 && o->load.opts.verify)
		r = run_all_of(f, &o->load, LOAD_CHECK);
	return r == 0 ? report_print(fiber_io(f), o, &report) : r;
}

static int run_turns(struct fiber *f, struct options *o)
{
	struct turns turns = { 0 };
	int r = o->fill ? run_all_of(f, &o->load, LOAD_FILL) : 0;

	if (r == 0)
		r = pool_bed_begin(f, &o->bed);
	if (r == 0)
		r = turns_open(f, o, &turns);
	if (r == 0)
		r = turns_run(f, o, &turns);
	if (r == 0)
		turns_print(o, &turns);
	turns_close(f, &turns);
	return r;
}

static int bench_main(struct fiber *f, void *arg)
{
	struct options *o = arg;
	struct io_signal *term = NULL, *intr = NULL;
	int r = pool_bed_open(f, &o->bed);

	if (r == 0)
		r = nexus_bed_open(f, &o->nexus);
	if (r == 0)
		r = load_open(f, &o->load);
	if (r == 0)
		r = io_signal_watch(fiber_io(f), SIGTERM, on_signal, &o->load, &term);
	if (r == 0)
		r = io_signal_watch(fiber_io(f), SIGINT, on_signal, &o->load, &intr);
	if (r == 0) {
		r = o->turns ? run_turns(f, o) : run_phases(f, o);
		if (r == 0 && load_failure(&o->load)) {
			fprintf(stderr, "bdev: %s\n", load_failure(&o->load));
			r = 1;
		}
	}
	if (intr)
		io_signal_free(intr);
	if (term)
		io_signal_free(term);
	load_close(f, &o->load);
	nexus_bed_close(f, &o->nexus);
	pool_bed_close(f, &o->bed);
	return r;
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, 0 };
	static struct options options;
	struct err err = { 0 };
	int r;

	if (!options_parse(&options, argc, argv, &r))
		return r;
	io_block_signals(signals);
	r = world_run(&options.world, bench_main, &options, &err);
	if (r < 0) {
		fprintf(stderr, "bdev: %s\n", err_words(&err));
		return EXIT_OPEN;
	}
	return r ? EXIT_ERRORS : 0;
}
