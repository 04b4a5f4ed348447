// SPDX-License-Identifier: Apache-2.0
/*
 * What a nexus and a target keep with a replica, on a disk with a volatile cache: whatever of its
 * unflushed writes a power cut takes or tears, what was answered is there, what was not asked for
 * is not, and nothing is a mixture. And: such a disk does not join a pool behind its users' backs.
 */
#include "unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "engine/drivers.h"
#include "pool/pool.h"
#include "reactor/fiber.h"
#include "sim/disk_crash.h"
#include "sim/sim.h"

#define DISK_BYTES (64u << 20)
#define ROUNDS	   6u
#define KINDS	   5u /* of calls: a round has each */
#define CALLS	   (ROUNDS * KINDS)
#define HOUR_NS	   (3600 * SIM_S)

enum { FENCE, GEN, ACTIVITY, RESERVATION, MISS };

struct story {
	struct mem_heap heap;
	struct sim_stacks *stacks;
	struct sim *sim;
	struct sim_host *host;
	struct sim_disk *disks[2];
	struct sim_proc *proc;
	bool is_ready;
	struct sim_image *base;
	struct disk_log *log;
	uint64_t begun[CALLS], acked[CALLS]; /* events of the log */
	uint64_t point;			     /* of the crash */
	uint64_t states;
	char words[256];
};

/* ---- worlds ------------------------------------------------------------------------------------- */

static void world_open(struct story *s, const struct sim_image *image, bool is_volatile)
{
	s->sim = sim_new(&(struct sim_opts){ .seed = 5, .mem = &s->heap.mem, .stacks = s->stacks });
	s->host = sim_host_add(s->sim, "a");
	s->disks[0] = sim_disk_add(s->host, "/dev/sda",
				   &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							    .volatile_cache = is_volatile,
							    .image = image });
}

static bool has_ended(void *ctx)
{
	const struct story *s = ctx;

	return s->is_ready || sim_proc_state(s->proc) != SIM_PROC_RUNNING;
}

static int world_run(struct story *s, fiber_fn fn)
{
	s->is_ready = false;
	s->proc = sim_proc_add(
		s->host, &(struct sim_proc_opts){
				 .name = "pool", .main = fn, .arg = s, .drivers = engine_drivers });
	assert_true(sim_run_until(s->sim, has_ended, s, HOUR_NS));
	if (!s->is_ready)
		return sim_proc_result(s->proc);
	sim_proc_crash(s->proc);
	return 0;
}

static struct sim_image *disk_copy(struct story *s)
{
	static const uint8_t zeros[4096];
	struct sim_image *image = sim_image_new(&s->heap.mem);

	for (uint64_t off = 0; off < DISK_BYTES; off += 4096) {
		uint8_t page[4096];

		sim_disk_peek(s->disks[0], off, page, sizeof(page));
		if (memcmp(page, zeros, sizeof(page)) != 0)
			sim_image_write(image, off, page, sizeof(page));
	}
	return image;
}

static void story_begin(struct story *s)
{
	memset(s, 0, sizeof(*s));
	mem_heap_init(&s->heap);
	s->stacks = sim_stacks_new(&s->heap.mem);
}

static void story_end(struct story *s)
{
	sim_stacks_free(s->stacks);
	mem_heap_fini(&s->heap);
}

/* ---- calls -------------------------------------------------------------------------------------- */

struct use {
	struct pool *pool;
	struct bdev *bdev;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
	const struct bdev_resv_ops *resv;
};

static const char *const uris[] = { "file:///dev/sda", "file:///dev/sdb" };

static void use_open(struct fiber *f, struct use *u)
{
	must(bdev_open(f, "pool:///p/r", &u->bdev) == 0);
	must(bdev_chan_open(f, u->bdev, &u->chan) == 0);
	u->ops = bdev_replica_ops(u->chan);
	u->resv = bdev_resv_ops(u->chan);
}

static void use_import(struct fiber *f, struct use *u)
{
	const struct pool_import_args args = { .disks = uris, .disk_count = 1 };

	must(pool_import(f, &args, &u->pool) == 0);
	use_open(f, u);
}

static void use_close(struct fiber *f, struct use *u)
{
	bdev_chan_close(f, u->chan);
	bdev_close(f, u->bdev);
}

/* So many of a kind were made before; a number of that round. */
static struct resv_state *reservations(struct fiber *f, uint32_t round)
{
	struct resv_state *state = mem_new(fiber_io(f), sizeof(*state));

	must(state);
	state->generation = round;
	state->holder = -1;
	state->count = round * 7;
	for (uint32_t i = 0; i < state->count; i++)
		state->registrant[i].key = round * 1000 + i;
	return state;
}

static int call(struct fiber *f, struct use *u, unsigned kind, uint32_t round)
{
	const struct replica_info info = { .gen = { round, round } };
	const struct uuid peer = { { 1 } };
	uint64_t token = replica_token(round, 0), region = round;
	struct resv_state *state;
	unsigned slot;
	int r;

	switch (kind) {
	case FENCE:
		return u->ops->fence(f, u->chan, token);
	case GEN:
		return u->ops->set(f, u->chan, token, REPLICA_SET_GEN, &info);
	case ACTIVITY:
		return u->ops->al_update(f, u->chan, token, REPLICA_AL_SET, &region, 1);
	case RESERVATION:
		state = reservations(f, round);
		r = u->resv->store(f, u->chan, state, 0);
		mem_free(state);
		return r;
	default:
		r = u->ops->miss_open(f, u->chan, token, &peer, (struct replica_gen){ 0 }, &slot);
		return r < 0 ? r : u->ops->miss_add(f, u->chan, token, slot, &region, 1);
	}
}

static int calls_main(struct fiber *f, void *arg)
{
	struct story *s = arg;
	struct use u;

	use_import(f, &u);
	for (unsigned i = 0; i < CALLS; i++) {
		s->begun[i] = disk_log_events(s->log);
		if (call(f, &u, i % KINDS, i / KINDS + 1) < 0)
			snprintf(s->words, sizeof(s->words), "call %u: %s", i, fiber_words(f));
		s->acked[i] = disk_log_events(s->log);
	}
	s->is_ready = true;
	return fiber_sleep(f, HOUR_NS);
}

/* ---- the judge ----------------------------------------------------------------------------------- */

/* Of this kind: how many rounds were answered, or had begun, when the power went. */
static uint64_t rounds(const struct story *s, unsigned kind, const uint64_t events[CALLS],
		       bool begun)
{
	uint64_t count = 0;

	for (unsigned i = kind; i < CALLS; i += KINDS)
		count += begun ? events[i] < s->point : events[i] <= s->point;
	return count;
}

static void judge(struct story *s, const char *what, unsigned kind, uint64_t found)
{
	uint64_t least = rounds(s, kind, s->acked, false), most = rounds(s, kind, s->begun, true);

	if (found < least || found > most)
		snprintf(s->words, sizeof(s->words),
			 "point %" PRIu64 ": %s is %" PRIu64 ", %" PRIu64 " were answered, %" PRIu64
			 " begun",
			 s->point, what, found, least, most);
}

static void judge_reservations(struct fiber *f, struct story *s, struct use *u)
{
	struct resv_state *found = mem_new(fiber_io(f), sizeof(*found)), *want;

	must(found && u->resv->load(f, u->chan, found) == 0);
	judge(s, "the generation of reservations", RESERVATION, found->generation);
	want = reservations(f, found->generation);
	if (found->count != want->count || memcmp(found->registrant, want->registrant,
						  want->count * sizeof(want->registrant[0])) != 0)
		snprintf(s->words, sizeof(s->words), "point %" PRIu64 ": reservations are mixed",
			 s->point);
	mem_free(want);
	mem_free(found);
}

static int judge_main(struct fiber *f, void *arg)
{
	struct story *s = arg;
	struct replica_info info;
	uint64_t words = 0, bits = 0;
	struct use u;

	use_import(f, &u);
	must(u.ops->info(f, u.chan, &info) == 0 && info.regions <= 64);
	must(u.ops->al_get(f, u.chan, &words, 1) == 0);
	judge(s, "the fence", FENCE, info.fence >> 16);
	judge(s, "the generation", GEN, info.gen.epoch);
	for (; words >> (bits + 1) & 1; bits++)
		;
	if (words != ((UINT64_C(1) << bits) - 1) << 1)
		snprintf(s->words, sizeof(s->words), "the activity log is %" PRIx64, words);
	judge(s, "the activity log", ACTIVITY, bits);
	judge(s, "the missed map", MISS, info.miss[0].dirty_regions);
	judge_reservations(f, s, &u);
	use_close(f, &u);
	return pool_export(f, u.pool);
}

/* ---- tests ---------------------------------------------------------------------------------------- */

static int make_main(struct fiber *f, void *arg)
{
	const struct pool_create_args args = {
		.name = "p", .disks = uris, .disk_count = 1, .overcommit_percent = 10000
	};
	const struct replica_create_args replica = { .name = "r", .size_bytes = 128 << 20 };
	struct pool *pool;
	int r = pool_create(f, &args, &pool);

	(void)arg;
	if (r == 0)
		r = replica_create(f, pool, &replica);
	return r < 0 ? r : pool_export(f, pool);
}

static void crash_everywhere(struct story *s)
{
	const struct crash_opts opts = { .all_max = 4, .samples = 8, .torn = 2, .seed = 3 };
	struct crash_iter *it = crash_iter_new(s->log, &opts);

	while (!s->words[0] && crash_iter_next(it)) {
		s->states++;
		s->point = crash_iter_point(it);
		world_open(s, crash_iter_image(it), true);
		if (world_run(s, judge_main) < 0 || sim_failed(s->sim))
			snprintf(s->words, sizeof(s->words), "import: %.200s", sim_words(s->sim));
		if (s->words[0])
			print_message("# %s\n", crash_iter_name(it));
		sim_free(s->sim);
	}
	crash_iter_free(it);
}

static void what_a_nexus_was_answered_outlives_any_power_cut(void **state)
{
	struct story s;

	(void)state;
	story_begin(&s);
	world_open(&s, NULL, false);
	assert_int_equal(world_run(&s, make_main), 0);
	s.base = disk_copy(&s);
	sim_free(s.sim);
	world_open(&s, s.base, true);
	s.log = disk_log_new(&s.heap.mem);
	disk_log_base(s.log, s.base);
	sim_disk_record(s.disks[0], s.log);
	assert_int_equal(world_run(&s, calls_main), 0);
	sim_disk_record(s.disks[0], NULL);
	sim_free(s.sim);
	assert_string_equal(s.words, "");
	crash_everywhere(&s);
	print_message("# %" PRIu64 " states of %" PRIu64 " events\n", s.states,
		      disk_log_events(s.log));
	assert_string_equal(s.words, "");
	assert_true(s.states > 200);
	disk_log_free(s.log);
	sim_image_free(s.base);
	story_end(&s);
}

static int add_main(struct fiber *f, void *arg)
{
	struct story *s = arg;
	struct use u;

	use_import(f, &u);
	if (pool_add_disk(f, u.pool, uris[1], false) != -EBUSY ||
	    !strstr(fiber_words(f),
		    "has a volatile cache or larger blocks: not while replica 'r' is in use"))
		snprintf(s->words, sizeof(s->words), "in use: %.200s", fiber_words(f));
	fiber_clear(f);
	if (sim_disk_inflight(s->disks[1]))
		snprintf(s->words, sizeof(s->words), "the disk is written to");
	use_close(f, &u);
	for (uint64_t off = 0; off < DISK_BYTES; off += 4096) {
		static const uint8_t zeros[4096];
		uint8_t page[4096];

		sim_disk_peek(s->disks[1], off, page, sizeof(page));
		if (memcmp(page, zeros, sizeof(page)) != 0)
			snprintf(s->words, sizeof(s->words), "something was written at %" PRIu64,
				 off);
	}
	if (pool_add_disk(f, u.pool, uris[1], false) < 0)
		snprintf(s->words, sizeof(s->words), "not in use: %.200s", fiber_words(f));
	use_open(f, &u);
	if (!u.bdev->volatile_cache)
		snprintf(s->words, sizeof(s->words),
			 "the replica does not say that its cache is volatile");
	use_close(f, &u);
	return pool_export(f, u.pool);
}

static void a_volatile_disk_does_not_join_what_is_in_use(void **state)
{
	struct story s;

	(void)state;
	story_begin(&s);
	world_open(&s, NULL, false);
	s.disks[1] = sim_disk_add(s.host, "/dev/sdb",
				  &(struct sim_disk_opts){ .size_bytes = DISK_BYTES,
							   .volatile_cache = true });
	assert_int_equal(world_run(&s, make_main), 0);
	assert_int_equal(world_run(&s, add_main), 0);
	assert_string_equal(s.words, "");
	sim_free(s.sim);
	story_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_nexus_was_answered_outlives_any_power_cut),
		cmocka_unit_test(a_volatile_disk_does_not_join_what_is_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
