// SPDX-License-Identifier: Apache-2.0
/*
 * Pools of format version 1, as they were written when it was made: they are read for ever.
 *
 *	pool/NAME-DISK.bin	pages that are not zeros: number (4 bytes), then 512 words of 8 bytes as
 *				runs: count (2), word (8)
 *	pool/NAME.txt		what the faces tell of the pool
 *
 * What is in the pools is the script of tests/unit/pool/image.c. With POOL_GOLDEN_WRITE=FOLDER in
 * the environment they are made anew, there: for a new version of the format, beside the old.
 */
#include "unit/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/must.h"
#include "pool/format.h"
#include "pool/pool.h"
#include "reactor/fiber.h"
#include "unit/pool/image.h"

#define WORDS (POOL_PAGE / 8)
#define SPDX  "SPDX-License-Identifier: Apache-2.0\n"

static FILE *file_open(const char *folder, enum image_kind kind, int disk, const char *mode)
{
	char path[512];
	FILE *file;

	if (disk < 0)
		snprintf(path, sizeof(path), "%s/%s.txt", folder, image_name(kind));
	else
		snprintf(path, sizeof(path), "%s/%s-%d.bin", folder, image_name(kind), disk);
	file = fopen(path, mode);
	if (!file)
		fail_msg("no %s", path);
	return file;
}

/* ---- images -------------------------------------------------------------------------------- */

static void page_save(FILE *file, uint32_t number, const uint8_t *page)
{
	uint8_t head[4], run[10];

	le32_put(head, number);
	assert_int_equal(fwrite(head, 1, sizeof(head), file), sizeof(head));
	for (uint32_t i = 0, n; i < WORDS; i += n) {
		for (n = 1; i + n < WORDS &&
			    memcmp(page + (size_t)8 * i, page + (size_t)8 * (i + n), 8) == 0;)
			n++;
		le16_put(run, (uint16_t)n);
		memcpy(run + 2, page + (size_t)8 * i, 8);
		assert_int_equal(fwrite(run, 1, sizeof(run), file), sizeof(run));
	}
}

static bool page_load(FILE *file, uint32_t *ret_number, uint8_t *page)
{
	uint8_t head[4], run[10];

	if (fread(head, 1, sizeof(head), file) != sizeof(head))
		return false;
	*ret_number = le32_get(head);
	for (uint32_t i = 0; i < WORDS;) {
		uint32_t n;

		assert_int_equal(fread(run, 1, sizeof(run), file), sizeof(run));
		n = le16_get(run);
		assert_true(n > 0 && i + n <= WORDS);
		for (; n > 0; n--, i++)
			memcpy(page + (size_t)8 * i, run + 2, 8);
	}
	return true;
}

static void image_save(const struct image *image, const char *folder)
{
	static const uint8_t zeros[POOL_PAGE];

	for (unsigned d = 0; d < image->disk_count; d++) {
		FILE *file = file_open(folder, image->kind, (int)d, "wb");

		for (uint32_t n = 0; n < IMAGE_BYTES / POOL_PAGE; n++) {
			uint8_t page[POOL_PAGE];

			sim_image_read(image->disks[d], (uint64_t)n * POOL_PAGE, page,
				       sizeof(page));
			if (memcmp(page, zeros, sizeof(page)) != 0)
				page_save(file, n, page);
		}
		assert_int_equal(fclose(file), 0);
	}
}

static void image_load(struct image *image)
{
	for (unsigned d = 0; d < image->disk_count; d++) {
		FILE *file = file_open(GOLDEN_DIR, image->kind, (int)d, "rb");
		uint8_t page[POOL_PAGE];
		uint32_t number;

		image->disks[d] = sim_image_new(image->mem);
		while (page_load(file, &number, page))
			sim_image_write(image->disks[d], (uint64_t)number * POOL_PAGE, page,
					sizeof(page));
		fclose(file);
	}
}

/* ---- a golden pool under test ---------------------------------------------------------------- */

struct golden {
	struct mem_heap heap;
	struct sim_stacks *stacks;
	struct image image;
	struct look look, other;
	char words[1024];
};

static void golden_open(struct golden **ret, enum image_kind kind)
{
	struct golden *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	mem_heap_init(&g->heap);
	g->stacks = sim_stacks_new(&g->heap.mem);
	image_model(&g->image, &g->heap.mem, kind);
	image_load(&g->image);
	*ret = g;
}

static void golden_close(struct golden *g)
{
	image_free(&g->image);
	sim_stacks_free(g->stacks);
	mem_heap_fini(&g->heap);
	free(g);
}

static void golden_run(struct golden *g, fiber_fn fn)
{
	struct image_world w;
	int r;

	image_world_open(&w, &g->image, g->stacks);
	r = image_world_run(&w, fn, g);
	if (r < 0 || sim_failed(w.sim) || g->words[0])
		print_message("%s: %d %s %s\n", image_name(g->image.kind), r, g->words,
			      sim_words(w.sim));
	assert_false(r < 0 || sim_failed(w.sim) || g->words[0]);
	image_world_close(&w);
}

static void say(void *ctx, const char *line)
{
	struct golden *g = ctx;

	snprintf(g->words, sizeof(g->words), "%s", line);
}

static int import(struct fiber *f, struct golden *g, bool read_only, struct pool **ret)
{
	const struct pool_import_args args = { .disks = image_uris,
					       .disk_count = g->image.disk_count,
					       .read_only = read_only };
	int r = pool_import(f, &args, ret);

	if (r < 0)
		snprintf(g->words, sizeof(g->words), "%s", fiber_words(f));
	return r;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static int read_main(struct fiber *f, void *arg)
{
	struct golden *g = arg;
	struct pool_check_result result;
	struct pool *pool;
	int r = pool_check(f, image_uris, g->image.disk_count, say, g, &result);

	if (r == 0 && result.errors)
		return -EILSEQ;
	if (r == 0)
		r = import(f, g, true, &pool);
	if (r < 0)
		return r;
	look_pool(f, pool, &g->look);
	(void)look_has_model(f, &g->image.model, g->words, sizeof(g->words));
	return pool_export(f, pool);
}

static int write_main(struct fiber *f, void *arg)
{
	struct golden *g = arg;
	struct pool_check_result result;
	struct pool *pool;
	int r = import(f, g, false, &pool);

	if (r < 0)
		return r;
	look_pool(f, pool, &g->other);
	r = snapshot_create(f, pool, "thin", "now", NULL);
	if (r == 0)
		r = replica_destroy(f, pool, "clone2");
	if (r == 0)
		r = pool_reap_wait(f, pool);
	if (r == 0)
		r = pool_export(f, pool);
	if (r == 0)
		r = pool_check(f, image_uris, g->image.disk_count, say, g, &result);
	if (r < 0)
		snprintf(g->words, sizeof(g->words), "%s", fiber_words(f));
	return r;
}

static void text_load(enum image_kind kind, char *text, size_t size)
{
	FILE *file = file_open(GOLDEN_DIR, kind, -1, "rb");
	size_t len = fread(text, 1, size - 1, file);

	fclose(file);
	text[len] = '\0';
	assert_memory_equal(text, SPDX, strlen(SPDX));
	memmove(text, text + strlen(SPDX), len + 1 - strlen(SPDX));
}

static void golden_reads(enum image_kind kind)
{
	static char text[LOOK_BYTES];
	struct golden *g;

	golden_open(&g, kind);
	golden_run(g, read_main);
	text_load(kind, text, sizeof(text));
	assert_string_equal(g->look.text, text);
	golden_run(g, write_main);
	assert_string_equal(g->other.text, text);
	golden_close(g);
}

static void a_clean_pool_is_read_for_ever(void **state)
{
	(void)state;
	golden_reads(IMAGE_CLEAN);
}

static void a_crashed_pool_is_read_for_ever(void **state)
{
	(void)state;
	golden_reads(IMAGE_CRASHED);
}

static void a_pool_with_a_mirrored_log_is_read_for_ever(void **state)
{
	(void)state;
	golden_reads(IMAGE_MIRRORED);
}

/* ---- versions (FM4) --------------------------------------------------------------------------------- */

/* A number in every page of a type, under a right checksum. */
static void patch(struct golden *g, enum page_type type, uint32_t at, uint8_t value)
{
	for (uint64_t off = 0; off < IMAGE_BYTES; off += POOL_PAGE) {
		uint8_t page[POOL_PAGE];

		sim_image_read(g->image.disks[0], off, page, sizeof(page));
		if (!page_is_sealed(page) || page[8] != type)
			continue;
		page[at] = value;
		page_seal(page);
		sim_image_write(g->image.disks[0], off, page, sizeof(page));
	}
}

static int refused_main(struct fiber *f, void *arg)
{
	struct golden *g = arg;
	struct pool_check_result result;
	struct pool *pool;
	char words[256];

	if (import(f, g, false, &pool) != -EPROTO ||
	    !strstr(g->words, "'file:///dev/sda' was written by a later version"))
		return -1;
	g->words[0] = '\0';
	snprintf(words, sizeof(words), "%s", fiber_words(f));
	fiber_clear(f);
	if (import(f, g, true, &pool) != -EPROTO)
		return -1;
	g->words[0] = '\0';
	fiber_clear(f);
	return pool_check(f, image_uris, 1, say, g, &result) == -EPROTO &&
			       strcmp(words, fiber_words(f)) == 0 ?
		       0 :
		       -1;
}

static int read_only_main(struct fiber *f, void *arg)
{
	struct golden *g = arg;
	struct pool_info info;
	struct pool *pool;
	int r = import(f, g, false, &pool);

	if (r < 0)
		return r;
	pool_info(pool, &info);
	if (info.state != POOL_READ_ONLY || !strstr(info.why, "later version"))
		snprintf(g->words, sizeof(g->words), "state %d: %s", info.state, info.why);
	else
		(void)look_has_model(f, &g->image.model, g->words, sizeof(g->words));
	if (snapshot_create(f, pool, "thin", "now", NULL) != -EROFS)
		snprintf(g->words, sizeof(g->words), "it is changed");
	fiber_clear(f);
	return pool_export(f, pool);
}

static void a_later_version_to_read_is_refused(void **state)
{
	static const enum page_type types[] = { PAGE_LABEL, PAGE_SUPER };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		struct golden *g;

		golden_open(&g, IMAGE_CLEAN);
		patch(g, types[i], 64, POOL_VERSION + 1);
		golden_run(g, refused_main);
		golden_close(g);
	}
}

static void a_later_version_to_write_is_read_only(void **state)
{
	static const uint32_t fields[] = {
		68, 72, 79
	}; /* version_write; the lowest and highest features */

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(fields); i++) {
		struct golden *g;

		golden_open(&g, IMAGE_CLEAN);
		patch(g, PAGE_SUPER, fields[i], POOL_VERSION + 1);
		golden_run(g, read_only_main);
		golden_close(g);
	}
}

/* ---- making them anew ---------------------------------------------------------------------------------- */

static void write_all(const char *folder)
{
	for (unsigned kind = 0; kind < IMAGE_KINDS; kind++) {
		struct golden *g = calloc(1, sizeof(*g));
		FILE *file;

		assert_non_null(g);
		mem_heap_init(&g->heap);
		g->stacks = sim_stacks_new(&g->heap.mem);
		image_make(&g->image, &g->heap.mem, kind);
		image_save(&g->image, folder);
		golden_run(g, read_main);
		file = file_open(folder, kind, -1, "wb");
		fprintf(file, SPDX "%s", g->look.text);
		assert_int_equal(fclose(file), 0);
		golden_close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clean_pool_is_read_for_ever),
		cmocka_unit_test(a_crashed_pool_is_read_for_ever),
		cmocka_unit_test(a_pool_with_a_mirrored_log_is_read_for_ever),
		cmocka_unit_test(a_later_version_to_read_is_refused),
		cmocka_unit_test(a_later_version_to_write_is_read_only),
	};
	const char *folder = getenv("POOL_GOLDEN_WRITE");

	if (folder) {
		write_all(folder);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
