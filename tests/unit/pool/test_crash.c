// SPDX-License-Identifier: Apache-2.0
/*
 * Every state a pool's disk can be in after the power went, at every point of sequences of
 * operations: the pool is imported from it, everything is compared with the history of what was
 * asked and acked, and every count is recounted. Some of the recoveries, and what is done after
 * them, are cut short in turn (depth 2).
 *
 *	POOL_CRASH_STATES	states at least (default: what `make check` has time for)
 *	POOL_CRASH_SEED		which variant: parameters of the operations, random sequences
 *	POOL_CRASH_PLAY		only the short sequence with these steps ("grow fua delete")
 *	POOL_CRASH_LONG		only the long one of this seed
 *	POOL_CRASH_DEEP		every which state goes deep
 *	POOL_CRASH_TRACE	the number of the recovery (a failure tells it) to be traced; 0: the sequence
 *
 * Compiled with CRASH_MUTANT (the name of a planted bug, in a pool with one file changed), it
 * passes if a state is found that is wrong.
 */
#include "unit/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/must.h"
#include "engine/drivers.h"
#include "player.h"
#include "pool/format.h"
#include "reactor/fiber.h"

#define DISK_BYTES     (64u << 20)
#define LONG_STEPS_MAX 200u
#define LONG_SEEDS     1200u /* seeds of long sequences to a seed of ours */

#ifdef CRASH_MUTANT /* soon the long ones where space is used again */
#define SHORT_STATES 2500u
#define LONG_FIRST   LONG_CHURN
#define LONG_STEP    LONG_KINDS
#else
#define SHORT_STATES (c.want / 2)
#define LONG_FIRST   LONG_ANY
#define LONG_STEP    1u
#endif

/* Kinds of long sequences, by the seed. */
enum long_kind {
	LONG_ANY,
	LONG_FULL,  /* in a pool nearly full */
	LONG_CHURN, /* space comes and goes while commits run */
	LONG_KINDS
};
#define NAME_MAX_ 4096

#if defined(__SANITIZE_ADDRESS__)
#define STATES_DEFAULT 3000u
#else
#define STATES_DEFAULT 52000u
#endif

/* A pool at rest, from which sequences begin. */
struct base {
	struct sim_image *image;
	struct history *h;
	uint32_t cluster_bytes;
	uint32_t spare, ballast; /* clusters; see player.h */
	bool is_volatile;
};

struct crash {
	struct mem_heap heap;
	struct sim_stacks *stacks;
	uint64_t seed, states, deep, sequences;
	uint64_t salt, no; /* of the sequence; of its recoveries */
	uint64_t want;
	uint8_t *buf;
	uint64_t trace;
	bool failed;
	char words[NAME_MAX_];
};

/* ---- a world with one disk and one process ------------------------------------------------ */

struct world {
	struct crash *c;
	struct sim *sim;
	struct sim_host *host;
	struct sim_proc *proc;
	struct player p;
	const struct base *base;
	/* what the process does */
	const enum step *steps;
	unsigned count, last; /* events before the last step: `last_begins` */
	uint64_t last_begins;
	const struct crash_at *at; /* recovery: the crash */
	unsigned after;		   /* steps after the recovery */
	bool by_commit, clean;
};

static void print_line(void *ctx, const char *line)
{
	(void)ctx;
	puts(line);
}

static void world_open(struct world *w, struct crash *c, const struct base *base,
		       const struct sim_image *image, uint64_t disk_bytes, uint64_t seed)
{
	*w = (struct world){ .c = c, .base = base };
	w->sim = sim_new(&(struct sim_opts){ .seed = seed,
					     .mem = &c->heap.mem,
					     .stacks = c->stacks,
					     .trace = c->no == c->trace ? print_line : NULL });
	w->host = sim_host_add(w->sim, "a");
	w->p = (struct player){ .sim = w->sim,
				.h = base->h,
				.cluster_bytes = base->cluster_bytes,
				.disk_bytes = disk_bytes,
				.grown_at = HISTORY_NEVER,
				.replicas_max = 6,
				.spare = base->spare,
				.ballast = base->ballast };
	prng_init(&w->p.prng, seed, 3);
	w->p.buf = c->buf;
	w->p.disk = sim_disk_add(w->host, "/dev/sda",
				 &(struct sim_disk_opts){ .size_bytes = disk_bytes,
							  .volatile_cache = base->is_volatile,
							  .image = image });
}

static void world_record(struct world *w, const struct sim_image *image)
{
	w->p.log = disk_log_new(&w->c->heap.mem);
	disk_log_base(w->p.log, image);
	sim_disk_record(w->p.disk, w->p.log);
}

static bool proc_has_ended(void *ctx)
{
	struct world *w = ctx;

	return sim_proc_state(w->proc) != SIM_PROC_RUNNING;
}

static void world_run(struct world *w, fiber_fn fn)
{
	w->proc = sim_proc_add(
		w->host, &(struct sim_proc_opts){
				 .name = "pool", .main = fn, .arg = w, .drivers = engine_drivers });
	if (!sim_run_until(w->sim, proc_has_ended, w, 3600 * SIM_S))
		sim_fail(w->sim, "it hangs");
}

static void world_close(struct world *w)
{
	if (sim_failed(w->sim) && !w->c->failed) {
		w->c->failed = true;
		snprintf(w->c->words, sizeof(w->c->words), "%s", sim_words(w->sim));
	}
	sim_disk_record(w->p.disk, NULL);
	sim_free(w->sim);
}

/* ---- a state: recover, judge ----------------------------------------------------------------- */

static const enum step after_steps[] = { STEP_WRITE, STEP_FUA,	  STEP_UNMAP,  STEP_SNAPSHOT,
					 STEP_FLUSH, STEP_DELETE, STEP_CREATE, STEP_SYNC,
					 STEP_BURST, STEP_WRITE };

static int recover_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct player *p = &w->p;

	if (player_import(f, p) == 0) {
		player_judge(f, p, w->at, w->by_commit);
		if (w->after && !sim_failed(w->sim)) {
			history_crashed(p->h, w->at, p->found);
			p->life = 1;
		}
		for (unsigned i = 0; i < w->after; i++)
			player_step(f, p,
				    after_steps[prng_below(&p->prng, ARRAY_LEN(after_steps))]);
		player_export(f, p);
	}
	return 0;
}

/* Recover from an image. log: kept, with what the recovery did, if wanted. */
static void recover(struct crash *c, const struct base *base, const struct sim_image *image,
		    uint64_t disk_bytes, const struct crash_at *at, unsigned after,
		    struct disk_log **ret_log)
{
	struct world w;

	c->no++;
	world_open(&w, c, base, image, disk_bytes, (c->salt + c->no) << 2 | 3);
	w.at = at;
	w.after = after;
	w.by_commit = c->no & 1;
	if (ret_log)
		world_record(&w, image);
	world_run(&w, recover_main);
	if (ret_log)
		*ret_log = w.p.log;
	world_close(&w);
}

static void failed_at(struct crash *c, const char *what, const char *name)
{
	size_t used = strlen(c->words);

	snprintf(c->words + used, sizeof(c->words) - used, "\n  %s %s, recovery %llu", what, name,
		 (unsigned long long)c->no);
}

/* The recovery is cut short, or what was done after it. */
static void go_deep(struct crash *c, const struct base *base, const struct sim_image *image,
		    uint64_t disk_bytes, const struct crash_at *at)
{
	const struct crash_opts opts = { .all_max = 3, .samples = 5, .torn = 1, .seed = c->no };
	struct base second = *base;
	struct disk_log *log;
	struct crash_iter *it;

	second.h = mem_dup(&c->heap.mem, base->h, sizeof(*base->h));
	must(second.h);
	recover(c, &second, image, disk_bytes, at, 3, &log);
	it = crash_iter_new(log, &opts);
	while (!c->failed && crash_iter_next(it)) {
		struct crash_at then = { .events = { 0, crash_iter_point(it) } };

		c->states++;
		c->deep++;
		recover(c, &second, crash_iter_image(it), disk_bytes, &then, 0, NULL);
		if (c->failed)
			failed_at(c, "in the recovery:", crash_iter_name(it));
	}
	crash_iter_free(it);
	disk_log_free(log);
	mem_free(second.h);
}

/* ---- a sequence --------------------------------------------------------------------------------- */

static int play_main(struct fiber *f, void *arg)
{
	struct world *w = arg;
	struct player *p = &w->p;

	if (player_import(f, p) == 0) {
		for (unsigned i = 0; i < w->count; i++) {
			if (i == w->last)
				w->last_begins = disk_log_events(p->log);
			player_step(f, p, w->steps[i]);
		}
		sim_disk_record(p->disk, NULL);
		if (p->pool)
			player_export(f, p);
	}
	return 0;
}

struct sequence {
	const enum step *steps;
	unsigned count;
	unsigned first; /* crash points from this step on: those before are those of another sequence */
	uint64_t seed;
	struct crash_opts opts;
	unsigned deep_every; /* states */
	uint64_t states_max;
};

static void sequence_name(const struct sequence *s, char *text, size_t size)
{
	size_t at = (size_t)snprintf(text, size, "seed %llu:", (unsigned long long)s->seed);

	for (unsigned i = 0; i < s->count && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, " %s", step_name(s->steps[i]));
}

static void sequence_crash(struct crash *c, const struct base *base, const struct sequence *s,
			   struct world *w)
{
	struct crash_opts opts = s->opts;
	struct base then = *base;
	struct crash_iter *it;
	uint64_t first = c->states;

	then.h = w->p.h;
	opts.first_point = w->last_begins;
	opts.seed = s->seed;
	it = crash_iter_new(w->p.log, &opts);
	while (!c->failed && c->states - first < s->states_max && crash_iter_next(it)) {
		struct crash_at at = { .events = { crash_iter_point(it), 0 } };
		uint64_t bytes = DISK_BYTES + (w->p.grown_at <= at.events[0] ? PLAYER_GROW : 0);

		c->states++;
		recover(c, &then, crash_iter_image(it), bytes, &at, 0, NULL);
		if (!c->failed && s->deep_every && (c->salt + c->no) % s->deep_every == 0)
			go_deep(c, &then, crash_iter_image(it), bytes, &at);
		if (c->failed)
			failed_at(c, "at", crash_iter_name(it));
	}
	crash_iter_free(it);
}

static void sequence_play(struct crash *c, const struct base *base, const struct sequence *s)
{
	struct base mine = *base;
	struct world w;
	char name[NAME_MAX_ / 2];

	mine.h = mem_dup(&c->heap.mem, base->h, sizeof(*base->h));
	must(mine.h);
	c->sequences++;
	c->no = 0;
	c->salt = s->seed;
	for (unsigned i = 0; i < s->count; i++)
		c->salt = (c->salt * 31 + s->steps[i] + 1) % 1000000007;
	world_open(&w, c, &mine, base->image, DISK_BYTES, s->seed << 2 | 2);
	world_record(&w, base->image);
	w.steps = s->steps;
	w.count = s->count;
	w.last = s->first;
	world_run(&w, play_main);
	world_close(&w);
	if (!c->failed)
		sequence_crash(c, base, s, &w);
	disk_log_free(w.p.log);
	mem_free(mine.h);
	if (c->failed) {
		sequence_name(s, name, sizeof(name));
		failed_at(c, "of", name);
	}
}

/* ---- the base --------------------------------------------------------------------------------------- */

static int base_main(struct fiber *f, void *arg)
{
	static const enum step steps[] = { STEP_CREATE, STEP_WRITE, STEP_WRITE, STEP_SNAPSHOT,
					   STEP_WRITE };
	struct world *w = arg;

	if (player_create(f, &w->p) == 0) {
		for (unsigned i = 0; i < ARRAY_LEN(steps); i++)
			player_step(f, &w->p, steps[i]);
		if (w->p.spare)
			player_fill(f, &w->p);
		player_export(f, &w->p);
	}
	return 0;
}

static void base_open(struct crash *c, struct base *base, uint32_t cluster_bytes, bool is_volatile,
		      uint32_t spare, uint64_t seed)
{
	struct crash_iter *it;
	struct world w;

	*base = (struct base){ .cluster_bytes = cluster_bytes,
			       .is_volatile = is_volatile,
			       .spare = spare };
	base->h = mem_alloc(&c->heap.mem, sizeof(*base->h));
	must(base->h);
	base->h->is_volatile = is_volatile;
	world_open(&w, c, base, NULL, DISK_BYTES, seed << 2 | 1);
	world_record(&w, NULL);
	world_run(&w, base_main);
	world_close(&w);
	base->ballast = w.p.ballast;
	history_freeze(base->h);
	it = crash_iter_new(w.p.log, &(struct crash_opts){ .first_point = disk_log_events(w.p.log),
							   .samples = 2 });
	while (crash_iter_next(it)) /* the last has all writes */
		;
	base->image = sim_image_copy(&c->heap.mem, crash_iter_image(it));
	crash_iter_free(it);
	disk_log_free(w.p.log);
}

static void base_close(struct base *base)
{
	sim_image_free(base->image);
	mem_free(base->h);
}

/* ---- which sequences ------------------------------------------------------------------------------------ */

static uint64_t env_u64(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* Number i of all of length 1, 2 and 3; each ends in crash points of its last step only. */
static void short_sequence(struct crash *c, const struct base *base, unsigned i, uint64_t seed)
{
	unsigned length = i < STEPS_ASKED ? 1 : i < STEPS_ASKED + STEPS_ASKED * STEPS_ASKED ? 2 : 3;
	unsigned number =
		i - (length > 1 ? STEPS_ASKED : 0) - (length > 2 ? STEPS_ASKED * STEPS_ASKED : 0);
	enum step steps[3];
	struct sequence s = { .steps = steps,
			      .count = length,
			      .first = length - 1,
			      .seed = seed,
			      .opts = { .torn = 1, .samples = 100 },
			      .deep_every = 401,
			      .states_max = UINT64_MAX };

	s.deep_every = (unsigned)env_u64("POOL_CRASH_DEEP", s.deep_every);
	for (unsigned k = length; k > 0; k--, number /= STEPS_ASKED)
		steps[k - 1] = number % STEPS_ASKED;
	sequence_play(c, base, &s);
}

#define SHORT_SEQUENCES \
	(STEPS_ASKED + STEPS_ASKED * STEPS_ASKED + STEPS_ASKED * STEPS_ASKED * STEPS_ASKED)

static enum step long_step(struct prng *prng, enum long_kind kind)
{
	static const enum step churn[] = { STEP_WRITE,	  STEP_BURST,  STEP_UNMAP, STEP_BURST,
					   STEP_DELETE,	  STEP_CREATE, STEP_BURST, STEP_UNMAP,
					   STEP_SNAPSHOT, STEP_BURST };

	if (kind == LONG_CHURN)
		return churn[prng_below(prng, ARRAY_LEN(churn))];
	return prng_below(prng, 3) ? prng_below(prng, STEPS) :
				     after_steps[prng_below(prng, ARRAY_LEN(after_steps))];
}

static void long_sequence(struct crash *c, uint64_t seed, uint64_t states_max)
{
	enum step steps[LONG_STEPS_MAX];
	struct sequence s = { .steps = steps,
			      .seed = seed,
			      .deep_every = 307,
			      .states_max = states_max,
			      .opts = { .all_max = 2, .samples = 3, .torn = 1 } };
	uint32_t clusters[] = { 16 << 10, 16 << 10, 64 << 10, 256 << 10 };
	struct base base;
	struct prng prng;
	enum long_kind kind = seed % LONG_KINDS;
	uint32_t cluster_bytes, spare = 0;
	bool is_volatile;

	prng_init(&prng, seed, 9);
	s.count = (unsigned)prng_range(&prng, 4, LONG_STEPS_MAX);
	s.deep_every = (unsigned)env_u64("POOL_CRASH_DEEP", s.deep_every);
	s.first = s.count - min_u32(s.count, 12);
	for (unsigned i = 0; i < s.count; i++)
		steps[i] = long_step(&prng, kind);
	cluster_bytes = kind == LONG_FULL ? 128 << 10 :
					    clusters[prng_below(&prng, ARRAY_LEN(clusters))];
	if (kind == LONG_FULL)
		spare = (uint32_t)prng_range(&prng, 4, 16);
	is_volatile = prng_below(&prng, 4) != 0;
	base_open(c, &base, cluster_bytes, is_volatile, spare, seed);
	if (!c->failed)
		sequence_play(c, &base, &s);
	base_close(&base);
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

static void crash_open(struct crash *c)
{
	memset(c, 0, sizeof(*c));
	mallopt(M_MMAP_THRESHOLD, 256 << 20);
	mallopt(M_TRIM_THRESHOLD, 512 << 20);
	mem_heap_init(&c->heap);
	c->stacks = sim_stacks_new(&c->heap.mem);
	c->buf = mem_alloc_aligned(&c->heap.mem, 4096, PLAYER_BUF);
	must(c->buf);
	c->want = env_u64("POOL_CRASH_STATES", STATES_DEFAULT);
	c->seed = env_u64("POOL_CRASH_SEED", 1);
	c->trace = env_u64("POOL_CRASH_TRACE", UINT64_MAX);
}

static void crash_close(struct crash *c, const char *what, clock_t began)
{
	double ms = (double)(clock() - began) * 1e3 / CLOCKS_PER_SEC;

	if (c->failed)
		print_message("# %.900s\n", c->words); /* what is longer loses its end of line */
	sim_stacks_free(c->stacks);
	mem_free(c->buf);
	mem_heap_fini(&c->heap);
	print_message(
		"# %s: %llu states (%llu in recoveries) of %llu sequences, %.3f ms CPU a state\n",
		what, (unsigned long long)c->states, (unsigned long long)c->deep,
		(unsigned long long)c->sequences, c->states ? ms / (double)c->states : 0);
}

static unsigned number_of_names(const char *names)
{
	unsigned number = 0, length = 0;
	char word[16];
	int n;

	for (; sscanf(names, "%15s%n", word, &n) == 1; names += n, length++) {
		unsigned step = 0;

		while (step < STEPS_ASKED && strcmp(step_name(step), word) != 0)
			step++;
		number = number * STEPS_ASKED + step;
	}
	return number + (length > 1 ? STEPS_ASKED : 0) +
	       (length > 2 ? STEPS_ASKED * STEPS_ASKED : 0);
}

/* All of a seed, or up to so many states, in an order that has all lengths and steps early. */
static void crash_short_seed(struct crash *c, uint64_t states, uint64_t seed)
{
	const char *play = getenv("POOL_CRASH_PLAY");
	struct base base;

	base_open(c, &base, 16 << 10, true, 0, seed);
	if (play)
		short_sequence(c, &base, number_of_names(play), seed);
	for (uint64_t i = 0; !play && i < SHORT_SEQUENCES && !c->failed && c->states < states; i++)
		short_sequence(c, &base, (unsigned)(i < 110 ? i : 110 + (i - 110) * 387 % 1000),
			       seed);
	base_close(&base);
}

static void crash_short(struct crash *c, uint64_t states)
{
	bool once = getenv("POOL_CRASH_PLAY") != NULL;

	for (uint64_t seed = c->seed;
	     seed == c->seed || (!once && !c->failed && c->states < states); seed++)
		crash_short_seed(c, states, seed);
}

static void crash_long(struct crash *c)
{
	uint64_t only = env_u64("POOL_CRASH_LONG", UINT64_MAX);

	if (only != UINT64_MAX)
		long_sequence(c, only, UINT64_MAX);
	for (uint64_t seed = c->seed * LONG_SEEDS + LONG_FIRST;
	     only == UINT64_MAX && !c->failed && c->states < c->want; seed += LONG_STEP)
		long_sequence(c, seed, 400);
}

#ifndef CRASH_MUTANT

static void every_crash_of_short_sequences_is_survived(void **state)
{
	clock_t began = clock();
	struct crash c;

	crash_open(&c);
	crash_short(&c, SHORT_STATES);
	crash_close(&c, "short sequences", began);
	if (c.failed)
		fail_msg("%s", c.words);
}

static void every_crash_of_long_sequences_is_survived(void **state)
{
	clock_t began = clock();
	struct crash c;

	crash_open(&c);
	c.want /= 2;
	crash_long(&c);
	crash_close(&c, "long sequences", began);
	if (c.failed)
		fail_msg("%s", c.words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_crash_of_short_sequences_is_survived),
		cmocka_unit_test(every_crash_of_long_sequences_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

static void a_planted_bug_is_caught(void **state)
{
	clock_t began = clock();
	struct crash c;

	crash_open(&c);
	crash_short(&c, SHORT_STATES);
	if (!c.failed)
		crash_long(&c);
	crash_close(&c, CRASH_MUTANT, began);
	print_message("# %s: %.900s\n", CRASH_MUTANT, c.words);
	assert_true(c.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_planted_bug_is_caught) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
