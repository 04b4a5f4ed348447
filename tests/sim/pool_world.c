/* SPDX-License-Identifier: Apache-2.0 */
/* pool_world - see pool_world.h. */
#include "pool_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "pool/check_priv.h"
#include "reactor/fiber.h"

#define READ_CELLS 128u

bool pw_loud(const struct pool_world *w)
{
	static const enum sim_fault kinds[] = { SIM_DISK_EIO_READ, SIM_DISK_EIO_WRITE,
						SIM_DISK_EIO_FLUSH, SIM_DISK_SHORT_WRITE };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (sim_fault_fired(w->sim, kinds[i]))
			return true;
	return false;
}

static bool silent_struck(const struct pool_world *w)
{
	static const enum sim_fault kinds[] = { SIM_DISK_LOST_WRITE, SIM_DISK_MISDIRECT,
						SIM_DISK_CORRUPT_READ, SIM_DISK_ROT,
						SIM_DISK_LYING_FLUSH };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		if (sim_fault_fired(w->sim, kinds[i]))
			return true;
	return false;
}

void pw_wrong(struct pool_world *w, const char *fmt, ...)
{
	char text[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (silent_struck(w)) {
		sim_trace(w->sim, "explained: %s", text);
		w->over = true;
	} else {
		sim_fail(w->sim, "%s", text);
	}
}

void pw_error(struct pool_world *w, const char *what, const char *name, int status,
	      const char *words)
{
	struct pool_info info = { .state = POOL_ONLINE };

	sim_trace(w->sim, "%s %s: %d %s", what, name, status, words);
	if (w->pool)
		pool_info(w->pool, &info);
	if (info.state != POOL_ONLINE)
		w->broken = true;
	if (!pw_loud(w))
		pw_wrong(w, "%s %s: %d %s", what, name, status, words);
}

bool pw_goes_on(const struct pool_world *w)
{
	return !w->broken && !w->over && !sim_failed(w->sim);
}

/* ---- things ------------------------------------------------------------------------------- */

struct thing *pw_thing_new(struct pool_world *w, enum replica_kind kind, struct thing *parent,
			   uint32_t cells)
{
	static const char letters[] = { 'r', 's', 'c' };
	struct thing *t = &w->things[w->thing_count];
	uint8_t bytes[16];

	if (w->thing_count == PW_THINGS_MAX || pw_alive(w) >= PW_ALIVE_MAX)
		return NULL;
	*t = (struct thing){ .kind = kind,
			     .cells = cells,
			     .parent = parent ? (int)(parent - w->things) : -1 };
	snprintf(t->name, sizeof(t->name), "%c%u", letters[kind], w->thing_count);
	prng_fill(sim_prng(w->sim), bytes, sizeof(bytes));
	t->uuid = uuid_v4(bytes);
	t->check = check_new(sim_mem(w->sim), PW_CELLS_MAX);
	w->thing_count++;
	return t;
}

unsigned pw_alive(const struct pool_world *w)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->thing_count; i++)
		count += w->things[i].state != THING_ABSENT;
	for (unsigned i = 0; i < PW_ADMINS_MAX; i++)
		count += w->admins[i].op == ADMIN_CREATE || w->admins[i].op == ADMIN_DERIVE;
	return count;
}

struct thing *pw_pick(struct pool_world *w, unsigned kinds, bool unused)
{
	struct thing *found = NULL;
	uint64_t seen = 0;

	for (unsigned i = 0; i < w->thing_count; i++) {
		struct thing *t = &w->things[i];

		if (t->state == THING_THERE && !t->leaving && !t->discarded &&
		    (kinds >> t->kind & 1) && !(unused && t->users) &&
		    prng_below(sim_prng(w->sim), ++seen) == 0)
			found = t;
	}
	return found;
}

/* doubt: what may be read now may be on no medium, for a flush has failed. */
static void derive_cell(struct check *from, struct check *to, uint32_t cell, uint64_t mark,
			bool doubt)
{
	uint64_t values[PW_VALUES_MAX], writes[PW_VALUES_MAX];
	uint32_t count = check_values(from, cell, values, PW_VALUES_MAX), n = 0;

	for (uint32_t i = 0; i < count; i++)
		if (doubt || check_may_read(from, cell, mark, values[i]))
			values[n++] = values[i];
	if (n == 1 && values[0] == CHECK_ZEROS)
		return;
	for (uint32_t i = 0; i < n; i++)
		writes[i] = check_write_begin(to, cell, values[i]);
	for (uint32_t i = 0; i < n; i++)
		check_write_end(to, cell, writes[i], i || doubt ? CHECK_FAILED : CHECK_DURABLE);
}

void pw_derived(struct pool_world *w, struct thing *thing, uint64_t mark)
{
	struct check *from = w->things[thing->parent].check;

	pw_flush_look(w);
	for (uint32_t cell = 0; cell < thing->cells; cell++)
		derive_cell(from, thing->check, cell, mark, w->failed_flushes != 0);
}

void pw_admin_stopped(struct pool_world *w, struct admin *admin)
{
	struct thing *t = admin->thing;

	switch (admin->op) {
	case ADMIN_DERIVE:
		pw_derived(w, t, admin->mark);
		t->state = THING_MAYBE;
		break;
	case ADMIN_CREATE:
		t->state = THING_MAYBE;
		break;
	case ADMIN_DESTROY:
		if (t->kind == REPLICA_SNAPSHOT)
			t->maybe_discarded = true;
		t->state = THING_MAYBE;
		break;
	default:
		break; /* the other name or size is noted */
	}
	admin->op = ADMIN_NONE;
}

void pw_flush_begin(struct pool_world *w, uint64_t marks[PW_THINGS_MAX])
{
	for (unsigned i = 0; i < w->thing_count; i++)
		marks[i] = check_flush_begin(w->things[i].check);
	for (unsigned i = w->thing_count; i < PW_THINGS_MAX; i++)
		marks[i] = 0;
}

void pw_flush_look(struct pool_world *w)
{
	uint64_t failed = sim_fault_fired(w->sim, SIM_DISK_EIO_FLUSH);

	if (failed == w->failed_flushes)
		return;
	w->failed_flushes = failed;
	for (unsigned i = 0; i < w->thing_count; i++)
		check_flush_end(w->things[i].check, check_flush_begin(w->things[i].check), false);
}

void pw_flush_end(struct pool_world *w, const uint64_t marks[PW_THINGS_MAX], bool ok)
{
	pw_flush_look(w);
	for (unsigned i = 0; i < PW_THINGS_MAX; i++)
		if (marks[i])
			check_flush_end(w->things[i].check, marks[i], ok);
}

void pw_stopped(struct pool_world *w, bool clean, bool power)
{
	pw_flush_look(w);
	for (unsigned i = 0; i < PW_ADMINS_MAX; i++)
		pw_admin_stopped(w, &w->admins[i]);
	for (unsigned i = 0; i < w->thing_count; i++) {
		struct thing *t = &w->things[i];

		t->users = 0;
		t->leaving = false;
		if (power)
			check_power_cut(t->check);
		else if (w->is_volatile && !clean) /* mappings that were in memory only */
			check_forgotten(t->check);
		else
			check_crashed(t->check);
	}
	w->pool = NULL;
	w->broken = false;
}

/* ---- bytes ---------------------------------------------------------------------------------- */

void pw_judge_cell(struct pool_world *w, struct thing *t, uint32_t cell, uint64_t mark,
		   const uint8_t *bytes)
{
	char text[160];
	uint64_t serial = 0;
	enum pattern_kind kind = pattern_look(bytes, sim_seed(w->sim), cell, 0, &serial);

	if (kind == PATTERN_BAD || kind == PATTERN_ELSEWHERE)
		pw_wrong(w, "%s: sector %u is %s", t->name, cell,
			 kind == PATTERN_BAD ? "bad" : "of elsewhere");
	else if (!check_may_read(t->check, cell, mark, serial))
		pw_wrong(w, "%s: sector %u holds %" PRIu64 ", though: %s", t->name, cell, serial,
			 check_explain(t->check, cell, text, sizeof(text)));
	else if (!check_is_under_way(t->check, cell, serial)) /* PO6 */
		check_saw(t->check, cell, serial);
}

static int verify_bytes(struct fiber *f, struct pool_world *w, struct thing *t, uint8_t *buf)
{
	struct bdev_chan *chan = NULL;
	struct bdev *bdev;
	char uri[64];
	int r;

	snprintf(uri, sizeof(uri), "pool:///p/%s", t->name);
	r = bdev_open(f, uri, &bdev);
	if (r < 0)
		return r;
	r = bdev_chan_open(f, bdev, &chan);
	for (uint32_t cell = 0; r == 0 && cell < t->cells && pw_goes_on(w); cell += READ_CELLS) {
		uint32_t per = bdev->block_size / PATTERN_SECTOR,
			 count = min_u32(READ_CELLS, t->cells - cell);
		uint64_t mark = check_read_begin(t->check);

		r = bdev_read(f, chan, cell / per, count / per, buf);
		for (uint32_t i = 0; r == 0 && i < count && pw_goes_on(w); i++)
			pw_judge_cell(w, t, cell + i, mark, buf + i * PATTERN_SECTOR);
		check_read_end(t->check);
		if (r == 0 && cell + count == t->cells)
			break;
	}
	if (chan)
		bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	return r;
}

/* ---- what is there ------------------------------------------------------------------------------ */

static struct thing *find_uuid(struct pool_world *w, const struct uuid *uuid)
{
	for (unsigned i = 0; i < w->thing_count; i++)
		if (memcmp(w->things[i].uuid.bytes, uuid->bytes, sizeof(uuid->bytes)) == 0)
			return &w->things[i];
	return NULL;
}

static int verify_stat(void *ctx, const struct replica_stat *stat)
{
	struct pool_world *w = ctx;
	struct thing *t = find_uuid(w, &stat->uuid);
	uint32_t cells = (uint32_t)(stat->size_bytes / PATTERN_SECTOR);

	if (!t || t->state == THING_ABSENT || t->seen) {
		pw_wrong(w, "'%s' is there, and should not", stat->name);
		return 0;
	}
	t->seen = true;
	if (t->other_name[0] && strcmp(stat->name, t->other_name) == 0)
		memcpy(t->name, t->other_name, sizeof(t->name));
	if (t->other_cells && cells == t->other_cells)
		t->cells = t->other_cells;
	t->other_name[0] = 0;
	t->other_cells = 0;
	if (strcmp(stat->name, t->name) != 0)
		pw_wrong(w, "'%s' is called '%s'", t->name, stat->name);
	if (cells != t->cells)
		pw_wrong(w, "'%s' has %u sectors, not %u", t->name, cells, t->cells);
	if (stat->kind != t->kind)
		pw_wrong(w, "'%s' is of kind %d", t->name, stat->kind);
	if (stat->discarded != t->discarded && !(t->maybe_discarded && stat->discarded))
		pw_wrong(w, "'%s' is %sdiscarded", t->name, stat->discarded ? "" : "not ");
	t->discarded = stat->discarded;
	t->maybe_discarded = false;
	if (stat->discarded && stat->clones == 0)
		pw_wrong(w, "'%s' is discarded, its last clone is gone, and it is still there",
			 t->name);
	return 0;
}

static bool has_clones(const struct pool_world *w, const struct thing *t)
{
	for (unsigned i = 0; i < w->thing_count; i++)
		if (w->things[i].kind == REPLICA_CLONE && w->things[i].seen &&
		    &w->things[w->things[i].parent] == t)
			return true;
	return false;
}

static void verify_missing(struct pool_world *w)
{
	for (unsigned i = 0; i < w->thing_count; i++) {
		struct thing *t = &w->things[i];
		bool may_go = t->state != THING_THERE || (t->discarded && !has_clones(w, t));

		if (!t->seen && !may_go)
			pw_wrong(w, "'%s' is lost", t->name);
		t->state = t->seen ? THING_THERE : THING_ABSENT;
	}
}

static int verify_things(struct fiber *f, struct pool_world *w)
{
	int r;

	for (unsigned i = 0; i < w->thing_count; i++)
		w->things[i].seen = false;
	r = replica_each(f, w->pool, verify_stat, w);
	if (r == 0)
		verify_missing(w);
	return r;
}

/* ---- counts ---------------------------------------------------------------------------------------- */

struct verify {
	struct pool_world *w;
	char first[160];
};

static void verify_say(void *ctx, const char *line)
{
	struct verify *v = ctx;

	sim_trace(v->w->sim, "check: %s", line);
	if (!v->first[0])
		snprintf(v->first, sizeof(v->first), "%s", line);
}

static int verify_counts(struct fiber *f, struct pool_world *w)
{
	struct pool_check_result result = { 0 };
	struct verify v = { .w = w };
	uint64_t unread;
	int r = pool_sync(f, w->pool);

	unread = sim_fault_fired(w->sim, SIM_DISK_EIO_READ);
	if (r == 0)
		r = check_walk(f, w->pool, NULL, 0, verify_say, &v, &result);
	/* what cannot be read cannot be counted */
	if (r == 0 && result.errors && unread == sim_fault_fired(w->sim, SIM_DISK_EIO_READ))
		pw_wrong(w, "check finds %" PRIu64 " errors: %s", result.errors, v.first);
	return r;
}

int pw_verify(struct fiber *f, struct pool_world *w)
{
	uint8_t *buf = io_buf_new(fiber_io(f), READ_CELLS * PATTERN_SECTOR);
	int r = verify_things(f, w);

	must(buf);
	for (unsigned i = 0; r == 0 && i < w->thing_count && pw_goes_on(w); i++)
		if (w->things[i].state == THING_THERE)
			r = verify_bytes(f, w, &w->things[i], buf);
	if (r == 0 && pw_goes_on(w))
		r = verify_counts(f, w);
	io_buf_free(fiber_io(f), buf, READ_CELLS * PATTERN_SECTOR);
	if (r < 0)
		pw_error(w, "verify", "", r, fiber_words(f));
	fiber_clear(f);
	return r;
}
