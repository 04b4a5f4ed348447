/* SPDX-License-Identifier: Apache-2.0 */
/* one - a single reactor on a fake io, as most tests need it. */
#ifndef TESTS_REACTOR_ONE_H
#define TESTS_REACTOR_ONE_H

#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "unit/reactor/fake_io.h"

struct one {
	struct fake_io fake;
	struct reactor *r;
	struct log log;
	char lines[4096]; /* what was logged */
};

static void one_sink(void *ctx, enum log_level level, const char *line, size_t len)
{
	struct one *one = ctx;
	size_t used = strlen(one->lines);

	(void)level;
	if (used + len < sizeof(one->lines))
		memcpy(one->lines + used, line, len);
}

static uint64_t one_clock(void *ctx)
{
	return ((struct one *)ctx)->fake.now_ns;
}

static inline void one_init_opts(struct one *one, struct reactor_opts opts)
{
	struct err err = { 0 };

	memset(one, 0, sizeof(*one));
	fake_init(&one->fake);
	log_init(&one->log, one_sink, one, one_clock, one);
	opts.log = &one->log;
	must(reactor_new(&one->fake.io, &opts, &one->r, &err) == 0);
}

static inline void one_init(struct one *one)
{
	one_init_opts(one, (struct reactor_opts){ 0 });
}

static inline void one_fini(struct one *one)
{
	reactor_free(one->r);
	fake_fini(&one->fake);
}

/* Turns, waiting for timers, until nothing more would happen; at most `max` turns. */
static inline unsigned one_run(struct one *one, unsigned max)
{
	for (unsigned turns = 1; turns <= max; turns++) {
		uint64_t until_ns = reactor_turn(one->r);
		if (until_ns == IO_FOREVER && list_empty(&one->fake.completed) &&
		    (list_empty(&one->fake.submitted) || !one->fake.completes_all))
			return turns;
		io_turn(&one->fake.io, until_ns);
	}
	must(!"the reactor never gets idle");
	return 0;
}

/* Runs fn on a fiber until the reactor is idle; returns its result. */
struct one_call {
	fiber_fn fn;
	void *arg;
	int result;
	bool is_done;
	char words[ERR_WORDS_SIZE];
};

static inline int one_call_main(struct fiber *f, void *arg)
{
	struct one_call *call = arg;

	call->result = call->fn(f, call->arg);
	call->is_done = true;
	snprintf(call->words, sizeof(call->words), "%s", fiber_words(f));
	return 0;
}

static inline int one_fiber(struct one *one, fiber_fn fn, void *arg, char *words)
{
	struct one_call call = { .fn = fn, .arg = arg };

	must(fiber_start(one->r, "test", one_call_main, &call, NULL) == 0);
	one_run(one, 1000000);
	must(call.is_done);
	if (words)
		strcpy(words, call.words);
	return call.result;
}

#endif
