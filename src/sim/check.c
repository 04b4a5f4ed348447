/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - registers over crashes; see check.h for C1..C4.
 *
 * Each block has its versions: the writes whose value may still be read. Time is a counter of
 * the calls. An epoch lasts from one loss (power cut, check_forgotten()) to the next.
 */
#include "sim/check.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/must.h"

#define CHECK_NEVER UINT64_MAX

enum version_state { VERSION_FLIGHT, VERSION_ACKED, VERSION_MAYBE };

struct version {
	uint64_t value;
	uint64_t id;
	uint64_t begin, end; /* CHECK_NEVER: may still happen */
	uint64_t seen;	     /* first read of this epoch that returned it; CHECK_NEVER: none */
	uint32_t epoch;	     /* of its ack */
	enum version_state state;
	bool durable, barred; /* barred: a flush of it has failed */
	bool found;	      /* after it could have been forgotten: by the read at `seen` */
};

struct register_ {
	struct version *versions;
	uint32_t count, room;
	bool dirty; /* in check->dirty */
};

struct check {
	struct mem *mem;
	struct register_ *regs;
	uint64_t blocks;
	uint64_t clock;
	uint64_t reads;		   /* under way */
	uint32_t epoch, cut_epoch; /* cut: the one that began with the last power cut */
	uint64_t *dirty;	   /* blocks with versions that are not durable */
	uint64_t dirty_count;
};

struct check *check_new(struct mem *mem, uint64_t blocks)
{
	struct check *check = mem_alloc(mem, sizeof(*check));

	must(check);
	check->mem = mem;
	check->blocks = blocks;
	check->regs = mem_alloc_array(mem, blocks, sizeof(*check->regs));
	check->dirty = mem_alloc_array(mem, blocks, sizeof(*check->dirty));
	must(check->regs && check->dirty);
	check->clock = 1;
	return check;
}

void check_free(struct check *check)
{
	for (uint64_t i = 0; i < check->blocks; i++)
		mem_free(check->regs[i].versions);
	mem_free(check->dirty);
	mem_free(check->regs);
	mem_free(check);
}

static struct register_ *check_reg(struct check *check, uint64_t block)
{
	must(block < check->blocks);
	return &check->regs[block];
}

static struct version *check_add(struct check *check, struct register_ *reg)
{
	if (reg->count == reg->room) {
		uint32_t room = reg->room ? 2 * reg->room : 4;
		must(room <= CHECK_VERSIONS_MAX);
		struct version *versions = mem_alloc_array(check->mem, room, sizeof(*versions));
		must(versions);
		if (reg->count)
			memcpy(versions, reg->versions, reg->count * sizeof(*versions));
		mem_free(reg->versions);
		reg->versions = versions;
		reg->room = room;
	}
	struct version *v = &reg->versions[reg->count++];
	memset(v, 0, sizeof(*v));
	v->seen = CHECK_NEVER;
	return v;
}

/* A block's first version, the zeros it was born with, is made when the block is first used. */
static struct register_ *check_used(struct check *check, uint64_t block)
{
	struct register_ *reg = check_reg(check, block);

	if (!reg->count) {
		struct version *v = check_add(check, reg);
		v->state = VERSION_ACKED;
		v->durable = true;
	}
	return reg;
}

static struct version *check_find(struct register_ *reg, uint64_t id)
{
	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].id == id)
			return &reg->versions[i];
	return NULL;
}

/* C2: what a durable write has superseded is not read by whoever begins now. */
static void check_prune(struct check *check, struct register_ *reg, uint64_t began)
{
	uint32_t kept = 0;

	if (check->reads)
		return;
	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].end >= began)
			reg->versions[kept++] = reg->versions[i];
	reg->count = kept;
}

static void check_make_durable(struct check *check, struct register_ *reg, struct version *v)
{
	v->durable = true;
	check_prune(check, reg, v->begin);
}

/* ---- writes and flushes ------------------------------------------------------------------------- */

uint64_t check_write_begin(struct check *check, uint64_t block, uint64_t value)
{
	struct register_ *reg = check_used(check, block);
	struct version *v = check_add(check, reg);

	v->value = value;
	v->id = v->begin = ++check->clock;
	v->end = CHECK_NEVER;
	if (!reg->dirty) {
		reg->dirty = true;
		check->dirty[check->dirty_count++] = block;
	}
	return v->id;
}

void check_write_end(struct check *check, uint64_t block, uint64_t write, enum check_end how)
{
	struct register_ *reg = check_reg(check, block);
	struct version *v = check_find(reg, write);

	if (!v)
		return;
	v->end = ++check->clock;
	v->epoch = check->epoch;
	v->state = how == CHECK_FAILED ? VERSION_MAYBE : VERSION_ACKED;
	if (how == CHECK_DURABLE)
		check_make_durable(check, reg, v);
}

uint64_t check_flush_begin(struct check *check)
{
	return ++check->clock;
}

static bool check_covers(const struct check *check, const struct version *v, uint64_t flush)
{
	return v->state == VERSION_ACKED && !v->durable && v->end < flush &&
	       v->epoch == check->epoch && (!v->found || v->seen < flush);
}

static void check_flush_block(struct check *check, struct register_ *reg, uint64_t flush, bool ok)
{
	uint64_t newest = 0;

	for (uint32_t i = 0; i < reg->count; i++) {
		struct version *v = &reg->versions[i];
		if (!check_covers(check, v, flush))
			continue;
		if (!ok)
			v->barred = true;
		else if (!v->barred)
			v->durable = true;
		if (v->durable && v->begin > newest)
			newest = v->begin;
	}
	if (newest)
		check_prune(check, reg, newest);
}

static bool check_is_clean(const struct register_ *reg)
{
	return reg->count == 1 && reg->versions[0].durable;
}

void check_flush_end(struct check *check, uint64_t flush, bool ok)
{
	uint64_t kept = 0;

	check->clock++;
	if (!ok)
		flush = check->clock; /* the device may have begun later than we asked it to */
	for (uint64_t i = 0; i < check->dirty_count; i++) {
		struct register_ *reg = &check->regs[check->dirty[i]];
		check_flush_block(check, reg, flush, ok);
		reg->dirty = !check_is_clean(reg);
		if (reg->dirty)
			check->dirty[kept++] = check->dirty[i];
	}
	check->dirty_count = kept;
}

/* ---- reads ------------------------------------------------------------------------------------------ */

uint64_t check_read_begin(struct check *check)
{
	check->reads++;
	return ++check->clock;
}

void check_read_end(struct check *check)
{
	must(check->reads > 0);
	check->reads--;
}

/* Since when it is known to be there, in this epoch; CHECK_NEVER: it is not. */
static uint64_t check_there(const struct check *check, const struct version *v)
{
	uint64_t since = v->seen;

	if (v->state == VERSION_ACKED && v->epoch == check->epoch)
		since = since < v->end ? since : v->end;
	else if (v->durable)
		since = 0;
	return since;
}

/* C1. */
static bool check_legal(const struct check *check, const struct register_ *reg,
			const struct version *v, uint64_t read)
{
	for (uint32_t i = 0; i < reg->count; i++) {
		const struct version *w = &reg->versions[i];
		if (w->begin > v->end && check_there(check, w) < read)
			return false;
	}
	return true;
}

bool check_may_read(struct check *check, uint64_t block, uint64_t read, uint64_t value)
{
	struct register_ *reg = check_used(check, block);

	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].value == value &&
		    check_legal(check, reg, &reg->versions[i], read))
			return true;
	return false;
}

static struct version *check_only(struct register_ *reg, uint64_t value)
{
	struct version *found = NULL;

	for (uint32_t i = 0; i < reg->count; i++) {
		if (reg->versions[i].value != value)
			continue;
		if (found)
			return NULL; /* zeros twice: which one is not known */
		found = &reg->versions[i];
	}
	return found;
}

void check_saw(struct check *check, uint64_t block, uint64_t value)
{
	struct register_ *reg = check_used(check, block);
	struct version *v = check_only(reg, value);

	check->clock++;
	if (!v)
		return;
	if (v->seen == CHECK_NEVER)
		v->seen = check->clock;
	if (v->epoch < check->cut_epoch && v->state != VERSION_FLIGHT) {
		check_make_durable(check, reg, v); /* C4 */
	} else if (v->epoch < check->epoch && v->state == VERSION_ACKED) {
		v->epoch = check->epoch;
		v->found = true;
	}
}

uint64_t check_began(struct check *check, uint64_t block, uint64_t value)
{
	struct register_ *reg = check_used(check, block);

	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].value == value)
			return reg->versions[i].begin;
	return 0;
}

/* ---- crashes ------------------------------------------------------------------------------------------ */

static void check_each_dirty(struct check *check, void (*fn)(struct check *, struct version *))
{
	check->clock++;
	for (uint64_t i = 0; i < check->dirty_count; i++) {
		struct register_ *reg = &check->regs[check->dirty[i]];
		for (uint32_t j = 0; j < reg->count; j++)
			fn(check, &reg->versions[j]);
	}
}

static void check_crash_version(struct check *check, struct version *v)
{
	if (v->state != VERSION_FLIGHT)
		return;
	v->state = VERSION_MAYBE;
	v->epoch = check->epoch;
}

void check_crashed(struct check *check)
{
	check->reads = 0;
	check_each_dirty(check, check_crash_version);
}

static void check_settle_version(struct check *check, struct version *v)
{
	if (v->state == VERSION_MAYBE && v->end == CHECK_NEVER)
		v->end = check->clock;
}

void check_settled(struct check *check)
{
	check_each_dirty(check, check_settle_version);
}

static void check_cut_version(struct check *check, struct version *v)
{
	v->seen = CHECK_NEVER;
}

void check_forgotten(struct check *check)
{
	check_crashed(check);
	check_settled(check);
	check_each_dirty(check, check_cut_version);
	check->epoch++;
}

void check_power_cut(struct check *check)
{
	check_forgotten(check);
	check->cut_epoch = check->epoch;
}

void check_cache_lost(struct check *check)
{
	check_each_dirty(check, check_cut_version);
	check->epoch++;
}

void check_forgive(struct check *check, uint64_t block, uint64_t value)
{
	struct register_ *reg = check_used(check, block);
	struct version *v = check_add(check, reg);

	/* as if it had been written again, and may be there */
	v->value = value;
	v->id = v->begin = ++check->clock;
	v->end = CHECK_NEVER;
	v->state = VERSION_MAYBE;
	v->epoch = check->epoch;
	if (!reg->dirty) {
		reg->dirty = true;
		check->dirty[check->dirty_count++] = block;
	}
}

bool check_is_under_way(struct check *check, uint64_t block, uint64_t value)
{
	struct register_ *reg = check_used(check, block);

	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].value == value && reg->versions[i].state == VERSION_FLIGHT)
			return true;
	return false;
}

bool check_has_ended(struct check *check, uint64_t block, uint64_t value, uint64_t read)
{
	struct register_ *reg = check_used(check, block);

	for (uint32_t i = 0; i < reg->count; i++)
		if (reg->versions[i].value == value && reg->versions[i].end < read)
			return true;
	return false;
}

uint32_t check_values(struct check *check, uint64_t block, uint64_t *ret, uint32_t max)
{
	struct register_ *reg = check_used(check, block);
	uint32_t count = 0;

	for (uint32_t i = 0; i < reg->count; i++) {
		uint32_t j = 0;
		while (j < count && ret[j] != reg->versions[i].value)
			j++;
		if (j < count)
			continue;
		must(count < max);
		ret[count++] = reg->versions[i].value;
	}
	return count;
}

const char *check_explain(struct check *check, uint64_t block, char *text, size_t size)
{
	static const char *const states[] = { "under way", "acked", "maybe" };
	struct register_ *reg = check_used(check, block);
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < reg->count && at < size; i++) {
		const struct version *v = &reg->versions[i];
		int n = snprintf(text + at, size - at, "%s%llu %s%s%s%s", i ? ", " : "",
				 (unsigned long long)v->value, states[v->state],
				 v->durable ? " durable" : "", v->barred ? " barred" : "",
				 v->epoch < check->epoch ? " old" : "");
		at += (size_t)n;
	}
	return text;
}

/* ---- patterns -------------------------------------------------------------------------------------------- */

#define PATTERN_MAGIC UINT64_C(0x6b636f6c622d6d73)

struct pattern_sector {
	uint64_t magic, seed, number, serial;
	uint32_t sector, crc;
	uint64_t filler[(PATTERN_SECTOR - 40) / 8];
};

_Static_assert(sizeof(struct pattern_sector) == PATTERN_SECTOR, "a sector");

void pattern_fill(void *block, uint32_t block_bytes, uint64_t seed, uint64_t number,
		  uint64_t serial)
{
	struct pattern_sector *s = block;

	for (uint32_t i = 0; i < block_bytes / PATTERN_SECTOR; i++, s++) {
		uint64_t word = (serial * 64 + i) * 0x9e3779b97f4a7c15;
		s->magic = PATTERN_MAGIC;
		s->seed = seed;
		s->number = number;
		s->serial = serial;
		s->sector = i;
		s->crc = 0;
		for (size_t j = 0; j < ARRAY_LEN(s->filler); j++)
			s->filler[j] = word += 0xbf58476d1ce4e5b9;
		s->crc = crc32c(0, s, sizeof(*s));
	}
}

static bool pattern_is_zero(const struct pattern_sector *s)
{
	const uint64_t *words = (const void *)s;

	for (size_t i = 0; i < PATTERN_SECTOR / 8; i++)
		if (words[i])
			return false;
	return true;
}

enum pattern_kind pattern_look(const void *sector_bytes, uint64_t seed, uint64_t number,
			       uint32_t sector, uint64_t *ret_serial)
{
	struct pattern_sector s;

	memcpy(&s, sector_bytes, sizeof(s));
	if (s.magic != PATTERN_MAGIC) {
		if (!pattern_is_zero(&s))
			return PATTERN_BAD;
		*ret_serial = CHECK_ZEROS;
		return PATTERN_ALL_ZEROS;
	}
	uint32_t crc = s.crc;
	s.crc = 0;
	if (crc32c(0, &s, sizeof(s)) != crc)
		return PATTERN_BAD;
	if (s.seed != seed || s.number != number || s.sector != sector)
		return PATTERN_ELSEWHERE;
	*ret_serial = s.serial;
	return PATTERN_GOOD;
}
