// SPDX-License-Identifier: Apache-2.0
/* history - see history.h. */
#include "history.h"

#include <stdio.h>
#include <string.h>

#include "base/lang.h"
#include "base/must.h"

static const struct when never = { .begin = HISTORY_NEVER, .end = HISTORY_NEVER };

struct when when_begin(struct history *h, unsigned life, uint64_t events)
{
	return (struct when){ .life = life, .begin = events, .end = HISTORY_NEVER,
			      .begin_at = ++h->clock, .end_at = HISTORY_NEVER };
}

void when_end(struct history *h, struct when *when, uint64_t events)
{
	when->end = events;
	when->end_at = ++h->clock;
}

bool when_had_begun(const struct when *when, const struct crash_at *at)
{
	return when->begin != HISTORY_NEVER && when->begin <= at->events[when->life];
}

bool when_had_ended(const struct when *when, const struct crash_at *at)
{
	return when->end != HISTORY_NEVER && when->end <= at->events[when->life];
}

/* ---- objects ---------------------------------------------------------------------------- */

unsigned history_index(const struct history *h, const struct object *o)
{
	return (unsigned)(o - h->objects);
}

struct object *history_find(struct history *h, const char *name)
{
	for (unsigned i = 0; i < h->object_count; i++)
		if (strcmp(h->objects[i].name, name) == 0)
			return &h->objects[i];
	return NULL;
}

bool object_is_alive(const struct object *o)
{
	return o->created.end != HISTORY_NEVER && o->destroyed.begin == HISTORY_NEVER &&
	       o->discarded.begin == HISTORY_NEVER;
}

uint32_t object_sectors(const struct object *o)
{
	return o->sizes[o->size_count - 1].sectors;
}

void object_resize(struct object *o, uint32_t sectors, struct when when)
{
	must(o->size_count < HISTORY_SIZES && sectors <= HISTORY_SECTORS);
	o->sizes[o->size_count].sectors = sectors;
	o->sizes[o->size_count++].when = when;
}

static bool change_covers(const struct change *c, unsigned object, uint32_t sector)
{
	return c->object == object && sector >= c->first && sector - c->first < c->count;
}

static void initial_add(struct object *o, uint32_t sector, uint32_t serial)
{
	for (unsigned i = 0; i < o->initial_count[sector]; i++)
		if (o->initial[sector][i] == serial)
			return;
	must(o->initial_count[sector] < HISTORY_SAME);
	o->initial[sector][o->initial_count[sector]++] = serial;
}

/* What may be read of it now, by somebody who reads alone. HI3. */
static void object_copy_sector(struct history *h, unsigned from, uint32_t sector, struct object *o)
{
	const struct object *source = &h->objects[from];
	uint64_t newest = 0;

	for (unsigned i = 0; i < h->change_count; i++) {
		const struct change *c = &h->changes[i];

		if (!c->maybe && change_covers(c, from, sector) && c->when.begin_at > newest)
			newest = c->when.begin_at;
	}
	for (unsigned i = 0; i < h->change_count; i++) {
		const struct change *c = &h->changes[i];

		if (change_covers(c, from, sector) && c->when.end_at >= newest)
			initial_add(o, sector, c->serial);
	}
	for (unsigned i = 0; newest == 0 && i < source->initial_count[sector]; i++)
		initial_add(o, sector, source->initial[sector][i]);
	if (newest == 0 && source->initial_count[sector] == 0 && o->initial_count[sector])
		initial_add(o, sector, 0);
}

struct object *history_object(struct history *h, const char *prefix, enum object_kind kind, int parent,
			      uint32_t sectors, struct when created)
{
	struct object *o = &h->objects[h->object_count];

	if (h->object_count == HISTORY_OBJECTS)
		return NULL;
	memset(o, 0, sizeof(*o));
	snprintf(o->name, sizeof(o->name), "%s%u", prefix, h->next_name++);
	o->kind = kind;
	o->parent = parent;
	o->created = created;
	o->destroyed = o->discarded = never;
	object_resize(o, sectors, created);
	for (uint32_t s = 0; parent >= 0 && s < sectors; s++)
		object_copy_sector(h, (unsigned)parent, s, o);
	h->object_count++;
	h->floor_valid = false;
	return o;
}

/* ---- changes ------------------------------------------------------------------------------ */

struct change *history_change(struct history *h, unsigned object, uint32_t first, uint32_t count,
			      bool zeros, struct when when)
{
	struct change *c = &h->changes[h->change_count];

	must(h->change_count < HISTORY_CHANGES);
	h->change_count++;
	*c = (struct change){ .object = object, .first = first, .count = count, .when = when,
			      .durable = never };
	c->serial = zeros ? 0 : ++h->serial;
	h->floor_valid = false;
	return c;
}

void history_acked(struct history *h, struct change *change, uint64_t events, bool durable)
{
	when_end(h, &change->when, events);
	if (durable || !h->is_volatile)
		change->durable = change->when;
	h->floor_valid = false;
}

void history_refused(struct history *h, struct change *change, uint64_t events)
{
	when_end(h, &change->when, events);
	change->maybe = true;
}

void history_flushed(struct history *h, int object, const struct when *flush)
{
	for (unsigned i = 0; i < h->change_count; i++) {
		struct change *c = &h->changes[i];

		if ((object >= 0 && c->object != (unsigned)object) || c->durable.end != HISTORY_NEVER ||
		    c->maybe || c->when.life != flush->life || c->when.end_at > flush->begin_at)
			continue;
		c->durable = *flush;
	}
	h->floor_valid = false;
}

void history_freeze(struct history *h)
{
	struct object *copy = &h->objects[HISTORY_OBJECTS - 1];

	must(h->object_count < HISTORY_OBJECTS);
	for (unsigned i = 0; i < h->object_count; i++) {
		struct object *o = &h->objects[i];
		uint32_t sectors = object_sectors(o);

		memset(copy, 0, sizeof(*copy));
		for (uint32_t s = 0; s < sectors; s++)
			object_copy_sector(h, i, s, copy);
		memcpy(o->initial, copy->initial, sizeof(o->initial));
		memcpy(o->initial_count, copy->initial_count, sizeof(o->initial_count));
		o->created = (struct when){ 0 };
		o->sizes[0].sectors = sectors;
		o->sizes[0].when = o->created;
		o->size_count = 1;
		if (o->destroyed.begin != HISTORY_NEVER)
			o->destroyed = (struct when){ 0 };
		if (o->discarded.begin != HISTORY_NEVER)
			o->discarded = (struct when){ 0 };
	}
	h->change_count = 0;
	h->floor_valid = false;
}

static void object_crashed(struct object *o, const struct found *found)
{
	const struct when past = { 0 };

	o->created = past;
	o->destroyed = found->sectors ? never : past;
	o->discarded = found->discarded ? past : never;
	o->size_count = 1;
	o->sizes[0].when = past;
	if (found->sectors)
		o->sizes[0].sectors = found->sectors;
	o->clones = 0;
}

static bool change_crashed(struct history *h, struct change *c, const struct crash_at *at)
{
	bool durable = when_had_ended(&c->durable, at);

	if (!when_had_begun(&c->when, at))
		return false;
	if (!when_had_ended(&c->when, at))
		c->when.end_at = h->clock;
	c->when.life = 0;
	c->when.begin = c->when.end = 0;
	c->durable = durable ? c->when : never;
	c->maybe = !durable;
	return true;
}

void history_crashed(struct history *h, const struct crash_at *at, const struct found *found)
{
	unsigned kept = 0;

	h->clock++;
	for (unsigned i = 0; i < h->change_count; i++)
		if (change_crashed(h, &h->changes[i], at))
			h->changes[kept++] = h->changes[i];
	h->change_count = kept;
	for (unsigned i = 0; i < h->object_count; i++)
		object_crashed(&h->objects[i], &found[i]);
	for (unsigned i = 0; i < h->object_count; i++)
		if (found[i].sectors && h->objects[i].kind == OBJECT_CLONE)
			h->objects[h->objects[i].parent].clones++;
	h->clock++;
	h->floor_valid = false;
}

/* ---- judging ---------------------------------------------------------------------------------- */

bool history_may_be(const struct object *o, const struct crash_at *at)
{
	return when_had_begun(&o->created, at) && !when_had_ended(&o->destroyed, at);
}

bool history_must_be(const struct object *o, const struct crash_at *at)
{
	return when_had_ended(&o->created, at) && !when_had_begun(&o->destroyed, at);
}

bool history_may_have_size(const struct object *o, uint32_t sectors, const struct crash_at *at)
{
	bool found = false;

	for (unsigned i = 0; i < o->size_count; i++) {
		if (when_had_ended(&o->sizes[i].when, at))
			found = false;
		if (when_had_begun(&o->sizes[i].when, at) && o->sizes[i].sectors == sectors)
			found = true;
	}
	return found;
}

/* For each sector when the newest durable change of it began. */
static void floor_make(struct history *h, const struct crash_at *at)
{
	if (h->floor_valid && memcmp(h->floor_at, at->events, sizeof(h->floor_at)) == 0)
		return;
	for (unsigned i = 0; i < h->object_count; i++)
		memset(h->floor[i], 0, object_sectors(&h->objects[i]) * sizeof(h->floor[i][0]));
	for (unsigned i = 0; i < h->change_count; i++) {
		const struct change *c = &h->changes[i];

		if (!when_had_ended(&c->durable, at))
			continue;
		for (uint32_t s = c->first; s < c->first + c->count; s++)
			if (h->floor[c->object][s] < c->when.begin_at)
				h->floor[c->object][s] = c->when.begin_at;
	}
	memcpy(h->floor_at, at->events, sizeof(h->floor_at));
	h->floor_valid = true;
}

static bool may_hold_initial(const struct object *o, uint32_t sector, uint32_t serial)
{
	for (unsigned i = 0; i < o->initial_count[sector]; i++)
		if (o->initial[sector][i] == serial)
			return true;
	return o->initial_count[sector] == 0 && serial == 0;
}

bool history_may_hold(struct history *h, const struct object *o, uint32_t sector, uint32_t serial,
		      const struct crash_at *at)
{
	unsigned object = history_index(h, o);
	uint64_t floor;

	floor_make(h, at);
	floor = h->floor[object][sector];
	if (floor == 0 && may_hold_initial(o, sector, serial))
		return true;
	for (unsigned i = 0; i < h->change_count; i++) {
		const struct change *c = &h->changes[i];

		if (c->serial == serial && change_covers(c, object, sector) && when_had_begun(&c->when, at) &&
		    c->when.end_at >= floor)
			return true;
	}
	return false;
}
