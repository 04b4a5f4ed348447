// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes of metadata pages flipped, one at a time, on small pools: whatever the disk says, check
 * and import end in the pool as it was, or in a report; never in a crash, and never in something
 * else that passes for good.
 *
 *	POOL_FLIPS	every which byte (1: all of them)
 *
 * Every page that bears the magic is metadata: labels, superblocks, log, trees, counts, and those
 * that nothing reaches any more.
 */
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "image.h"
#include "pool/format.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#define EVERY_DEFAULT 3001u
#else
#define EVERY_DEFAULT 307u
#endif
#define WRITERS_EVERY 37u /* of the flips: the pool is imported to be written, too */
#define PAGES_MAX     1024u

struct flips {
	struct mem_heap heap;
	struct sim_stacks *stacks;
	struct image image;
	struct image_world world;
	struct look good, now, lastless;
	struct {
		unsigned disk;
		uint64_t offset;
		uint8_t type;
		bool is_last; /* the last record of a log that has no second copy */
	} pages[PAGES_MAX];
	unsigned page_count;
	unsigned every;
	/* of the flip at work */
	unsigned page;
	uint32_t byte;
	uint64_t same, reported, refused, cut, writers; /* outcomes */
	char words[512];
};

/* ---- which pages -------------------------------------------------------------------------- */

static void pages_find(struct flips *t)
{
	uint64_t last_seq = 0;
	unsigned last = PAGES_MAX;

	for (unsigned d = 0; d < t->image.disk_count; d++)
		for (uint64_t off = 0; off < IMAGE_BYTES; off += POOL_PAGE) {
			struct page_head head;
			uint8_t page[POOL_PAGE];

			sim_image_read(t->image.disks[d], off, page, sizeof(page));
			if (!page_is_sealed(page))
				continue;
			page_head_get(page, &head);
			assert_true(t->page_count < PAGES_MAX);
			if (head.type == PAGE_LOG && head.name > last_seq) {
				last_seq = head.name;
				last = t->page_count;
			}
			t->pages[t->page_count].disk = d;
			t->pages[t->page_count].offset = off;
			t->pages[t->page_count++].type = head.type;
		}
	if (t->image.kind == IMAGE_CRASHED)
		t->pages[last].is_last = true;
}

/* ---- a flip, read only ---------------------------------------------------------------------- */

static void say_nothing(void *ctx, const char *line)
{
	(void)ctx;
	assert_non_null(line);
}

static void flip_poke(struct flips *t, struct image_world *w)
{
	uint64_t off = t->pages[t->page].offset + t->byte;
	uint8_t byte;

	sim_disk_peek(w->disks[t->pages[t->page].disk], off, &byte, 1);
	byte ^= (uint8_t)(1u << (t->byte * 5 + t->page) % 8);
	sim_disk_poke(w->disks[t->pages[t->page].disk], off, &byte, 1);
}

static void flip_undetected(struct flips *t, const struct look *was)
{
	char line[384];

	snprintf(t->words, sizeof(t->words), "page %u at %llu of disk %u (type %u), byte %u: %s",
		 t->page, (unsigned long long)t->pages[t->page].offset, t->pages[t->page].disk,
		 t->pages[t->page].type, t->byte, look_differs(was, &t->now, line, sizeof(line)));
}

/*
 * The last record of a log: a byte that has rotted there looks like a write that the power cut
 * short, which was never acknowledged. Only a second copy can tell.
 */
static void flip_judge(struct flips *t, int r, const struct pool_check_result *result)
{
	char line[384];

	if (r < 0) {
		t->refused++;
		return;
	}
	if (result->errors) {
		t->reported++;
		return;
	}
	if (t->pages[t->page].is_last && !look_differs(&t->lastless, &t->now, line, sizeof(line)))
		t->cut++;
	else if (look_differs(&t->good, &t->now, line, sizeof(line)))
		flip_undetected(t, &t->good);
	else
		t->same++;
}

static int flip_look(struct flips *t, struct fiber *f, struct pool_check_result *ret)
{
	int r = pool_check(f, image_uris, t->image.disk_count, say_nothing, t, ret), seen;

	if (r < 0 && getenv("POOL_FLIPS_SAY"))
		printf("page %u type %u byte %u: %s\n", t->page, t->pages[t->page].type, t->byte,
		       fiber_words(f));
	if (r < 0 && !*fiber_words(f))
		snprintf(t->words, sizeof(t->words), "check fails with %s, without words",
			 err_name(r));
	fiber_clear(f);
	seen = look_disks(f, t->image.disk_count, &t->now);
	if (seen != r)
		snprintf(t->words, sizeof(t->words), "page %u byte %u: check says %s, import %s",
			 t->page, t->byte, err_name(r), err_name(seen));
	return r;
}

/* ---- a flip, to be written: in a world of its own ---------------------------------------------- */

/* Whatever can be done is done; errors are answers. */
static void write_something(struct fiber *f, struct pool *pool)
{
	const struct replica_create_args args = { .name = "new", .size_bytes = 1 << 20 };
	int r = replica_create(f, pool, &args);

	if (r == 0)
		r = snapshot_create(f, pool, "thin", "new1", NULL);
	if (r == 0)
		r = replica_destroy(f, pool, "clone1");
	if (r == 0)
		r = pool_sync(f, pool);
	fiber_clear(f);
}

static int writer_main(struct fiber *f, void *arg)
{
	struct flips *t = arg;
	const struct pool_import_args args = { .disks = image_uris,
					       .disk_count = t->image.disk_count };
	struct pool_check_result result;
	struct pool *pool;
	int r = pool_import(f, &args, &pool);

	t->writers++;
	if (r < 0) {
		fiber_clear(f);
		return 1;
	}
	look_pool(f, pool, &t->now);
	write_something(f, pool);
	r = pool_export(f, pool);
	fiber_clear(f);
	if (r == 0)
		r = pool_check(f, image_uris, t->image.disk_count, say_nothing, t, &result);
	fiber_clear(f);
	return r < 0 || result.errors ? 1 : 0;
}

/* is_same: the pool is as it was, so all of this must work. */
static void flip_write(struct flips *t, bool is_same)
{
	struct image_world w;
	char line[384];
	int bad;

	image_world_open(&w, &t->image, t->stacks);
	flip_poke(t, &w);
	bad = image_world_run(&w, writer_main, t);
	if (sim_failed(w.sim))
		snprintf(t->words, sizeof(t->words), "%s", sim_words(w.sim));
	else if (is_same && (bad || look_differs(&t->good, &t->now, line, sizeof(line))))
		flip_undetected(t, &t->good);
	image_world_close(&w);
}

/* ---- all of them ------------------------------------------------------------------------------- */

static int flips_main(struct fiber *f, void *arg)
{
	struct flips *t = arg;
	uint64_t count = (uint64_t)t->page_count * POOL_PAGE, n = 0;

	for (uint64_t i = 0; i < count && !t->words[0]; i += t->every, n++) {
		struct pool_check_result result = { 0 };
		uint64_t same = t->same;
		int r;

		t->page = (unsigned)(i / POOL_PAGE);
		t->byte = (uint32_t)(i % POOL_PAGE);
		flip_poke(t, &t->world);
		r = flip_look(t, f, &result);
		if (!t->words[0])
			flip_judge(t, r, &result);
		flip_poke(t, &t->world); /* back */
		if (!t->words[0] && n % WRITERS_EVERY == 0)
			flip_write(t, t->same > same);
	}
	return 0;
}

static int good_main(struct fiber *f, void *arg)
{
	struct flips *t = arg;

	assert_int_equal(look_disks(f, t->image.disk_count, &t->good), 0);
	if (t->good.errors)
		snprintf(t->words, sizeof(t->words), "the good pool cannot be read: %.300s",
			 t->good.text);
	return 0;
}

/* As if the last record of the log had never been written. */
static int lastless_main(struct fiber *f, void *arg)
{
	static const uint8_t zeros[POOL_PAGE];
	struct flips *t = arg;

	for (unsigned i = 0; i < t->page_count; i++) {
		uint8_t page[POOL_PAGE];

		if (!t->pages[i].is_last)
			continue;
		sim_disk_peek(t->world.disks[t->pages[i].disk], t->pages[i].offset, page,
			      POOL_PAGE);
		sim_disk_poke(t->world.disks[t->pages[i].disk], t->pages[i].offset, zeros,
			      POOL_PAGE);
		assert_int_equal(look_disks(f, t->image.disk_count, &t->lastless), 0);
		sim_disk_poke(t->world.disks[t->pages[i].disk], t->pages[i].offset, page,
			      POOL_PAGE);
	}
	return 0;
}

static void flips_of(enum image_kind kind)
{
	const char *every = getenv("POOL_FLIPS");
	struct flips *t = calloc(1, sizeof(*t));
	int r;

	assert_non_null(t);
	t->every = every ? (unsigned)strtoul(every, NULL, 0) : EVERY_DEFAULT;
	assert_true(t->every > 0);
	mem_heap_init(&t->heap);
	t->stacks = sim_stacks_new(&t->heap.mem);
	image_make(&t->image, &t->heap.mem, kind);
	pages_find(t);
	image_world_open(&t->world, &t->image, t->stacks);
	r = image_world_run(&t->world, good_main, t);
	if (r == 0)
		r = image_world_run(&t->world, lastless_main, t);
	if (r == 0)
		r = image_world_run(&t->world, flips_main, t);
	assert_int_equal(r, 0);
	if (sim_failed(t->world.sim))
		snprintf(t->words, sizeof(t->words), "%s", sim_words(t->world.sim));
	image_world_close(&t->world);
	image_free(&t->image);
	sim_stacks_free(t->stacks);
	mem_heap_fini(&t->heap);
	print_message(
		"# %s: %u pages, %llu flips the pool bears, %llu reported, %llu refused, %llu in the last"
		" record of a log without a copy; %llu written to\n",
		image_name(kind), t->page_count, (unsigned long long)t->same,
		(unsigned long long)t->reported, (unsigned long long)t->refused,
		(unsigned long long)t->cut, (unsigned long long)t->writers);
	if (t->words[0])
		fail_msg("%s: %s", image_name(kind), t->words);
	assert_true(t->same > 0 && t->reported > 0);
	assert_int_equal(t->refused, 0);
	free(t);
}

static void a_flipped_byte_of_a_clean_pool_is_borne_or_reported(void **state)
{
	(void)state;
	flips_of(IMAGE_CLEAN);
}

static void a_flipped_byte_of_a_crashed_pool_is_borne_or_reported(void **state)
{
	(void)state;
	flips_of(IMAGE_CRASHED);
}

static void a_flipped_byte_of_a_mirrored_log_is_borne_or_reported(void **state)
{
	(void)state;
	flips_of(IMAGE_MIRRORED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flipped_byte_of_a_clean_pool_is_borne_or_reported),
		cmocka_unit_test(a_flipped_byte_of_a_crashed_pool_is_borne_or_reported),
		cmocka_unit_test(a_flipped_byte_of_a_mirrored_log_is_borne_or_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
