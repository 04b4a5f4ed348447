// SPDX-License-Identifier: Apache-2.0
/*
 * state_json - the text of a node's state, by json-c.
 *
 *	{"version":1,
 *	 "pools":[{"name":"","uuid":UUID,"cluster_bytes":N,"disks":[URI...]}],
 *	 "disks":[{"uri":URI,"shared":bool,"hosts":[NQN...]}],
 *	 "nexuses":[{"name":"","uuid":UUID,"size_bytes":N,"children":[URI...],"shut":bool,
 *	    "shared":bool,"hosts":[NQN...],"info_key":"","cntlid":[MIN,MAX],"keys":[RESV,PREEMPT],
 *	    "resv_type":N or -1,"preempt_policy":N}],
 *	 "doors":[{"name":"","bdev":"","uri":URI,"description":"","read_only":bool,"nvmf":bool,
 *	    "hosts":[NQN...]}],
 *	 "making":[{"what":"pool|replica|nexus|disk","uuid":UUID,"pool":UUID,"name":"","disks":[URI...]}]}
 *
 * SJ1. Version 1 has these fields, all of them; a text with fewer, or of another version, is refused
 *      as a whole: a node that forgot half of what it serves is worse than one that does not start.
 */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "engine/doors.h"
#include "engine/engine_priv.h"
#include "reactor/fiber.h"

#define VERSION	  1
#define DEPTH_MAX 5

static const char *const making_names[] = {
	[MAKING_POOL] = "pool",
	[MAKING_REPLICA] = "replica",
	[MAKING_NEXUS] = "nexus",
	[MAKING_DISK] = "disk",
};

/* ---- out --------------------------------------------------------------------------- */

static void add(struct json_object *to, const char *name, struct json_object *value)
{
	json_object_object_add(to, name, value);
}

static void add_text(struct json_object *to, const char *name, const char *text)
{
	add(to, name, json_object_new_string(text));
}

static void add_u64(struct json_object *to, const char *name, uint64_t value)
{
	add(to, name, json_object_new_uint64(value));
}

static void add_bool(struct json_object *to, const char *name, bool value)
{
	add(to, name, json_object_new_boolean(value));
}

static void add_uuid(struct json_object *to, const char *name, const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	add_text(to, name, uuid_print(uuid, text));
}

static void add_texts(struct json_object *to, const char *name, const struct texts *texts)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < texts->count; i++)
		json_object_array_add(list, json_object_new_string(texts->at[i]));
	add(to, name, list);
}

static void add_pair(struct json_object *to, const char *name, uint64_t first, uint64_t second)
{
	struct json_object *list = json_object_new_array();

	json_object_array_add(list, json_object_new_uint64(first));
	json_object_array_add(list, json_object_new_uint64(second));
	add(to, name, list);
}

static struct json_object *pool_out(const struct engine_pool *ep)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "name", ep->name);
	add_uuid(object, "uuid", &ep->uuid);
	add_u64(object, "cluster_bytes", ep->cluster_bytes);
	add_texts(object, "disks", &ep->disks);
	return object;
}

static struct json_object *disk_out(const struct engine_disk *disk)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "uri", disk->uri);
	add_bool(object, "shared", disk->is_shared);
	add_texts(object, "hosts", &disk->hosts);
	return object;
}

static struct json_object *nexus_out(const struct engine_nexus *en)
{
	const struct engine_nexus_keys *keys = &en->keys;
	struct json_object *object = json_object_new_object();

	add_text(object, "name", en->name);
	add_uuid(object, "uuid", &en->uuid);
	add_u64(object, "size_bytes", en->size_bytes);
	add_texts(object, "children", &en->children);
	add_texts(object, "opened", &en->opened);
	add_bool(object, "shut", en->is_shut);
	add_bool(object, "shared", en->is_shared);
	add_texts(object, "hosts", &en->hosts);
	add_text(object, "info_key", en->info_key);
	add_pair(object, "cntlid", keys->cntlid_min, keys->cntlid_max);
	add_pair(object, "keys", keys->resv_key, keys->preempt_key);
	add(object, "resv_type",
	    json_object_new_int64(keys->has_resv_type ? (int64_t)keys->resv_type : -1));
	add_u64(object, "preempt_policy", keys->preempt_policy);
	return object;
}

static struct json_object *door_out(const struct engine_door *door)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "name", door->name);
	add_text(object, "bdev", door->bdev);
	add_text(object, "uri", door->uri);
	add_text(object, "description", door->description);
	add_bool(object, "read_only", door->read_only);
	add_bool(object, "nvmf", door->is_nvmf);
	add_texts(object, "hosts", &door->hosts);
	return object;
}

static struct json_object *making_out(const struct making *making)
{
	struct json_object *object = json_object_new_object();

	add_text(object, "what", making_names[making->what]);
	add_uuid(object, "uuid", &making->uuid);
	add_uuid(object, "pool", &making->pool);
	add_text(object, "name", making->name);
	add_texts(object, "disks", &making->disks);
	return object;
}

static struct json_object *state_out(struct engine *e)
{
	struct json_object *object = json_object_new_object(), *pools = json_object_new_array(),
			   *disks = json_object_new_array(), *nexuses = json_object_new_array(),
			   *makings = json_object_new_array(), *doors = json_object_new_array();
	struct engine_door *door;
	struct engine_pool *ep;
	struct engine_disk *disk;
	struct engine_nexus *en;
	struct making *making;

	list_for_each(ep, &e->pools, link)
		json_object_array_add(pools, pool_out(ep));
	list_for_each(disk, &e->disks, link)
		json_object_array_add(disks, disk_out(disk));
	list_for_each(en, &e->nexuses, link)
		json_object_array_add(nexuses, nexus_out(en));
	list_for_each(door, &e->doors, link)
		json_object_array_add(doors, door_out(door));
	list_for_each(making, &e->makings, link)
		json_object_array_add(makings, making_out(making));
	add_u64(object, "version", VERSION);
	add(object, "pools", pools);
	add(object, "disks", disks);
	add(object, "nexuses", nexuses);
	add(object, "doors", doors);
	add(object, "making", makings);
	return object;
}

int state_encode(struct engine *e, char **ret_text, size_t *ret_len)
{
	struct json_object *object = state_out(e);
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	char *copy = mem_printf(e->io->mem, "%s\n", text);

	json_object_put(object);
	if (!copy)
		return -ENOMEM;
	*ret_text = copy;
	*ret_len = strlen(copy);
	return 0;
}

/* ---- in: the first thing that is wrong stays in `r` ----------------------------------- */

struct in {
	struct fiber *f;
	struct engine *e;
	struct mem *mem;
	int r;
};

static struct json_object *in_field(struct in *in, struct json_object *from, const char *name,
				    json_type type)
{
	struct json_object *value = NULL;

	if (in->r < 0)
		return NULL;
	if (!json_object_object_get_ex(from, name, &value) || !json_object_is_type(value, type)) {
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: '%s' is not a %s", name,
				   json_type_to_name(type));
		return NULL;
	}
	return value;
}

static const char *in_text(struct in *in, struct json_object *from, const char *name)
{
	struct json_object *value = in_field(in, from, name, json_type_string);

	return value ? json_object_get_string(value) : "";
}

static char *in_copy(struct in *in, struct json_object *from, const char *name)
{
	char *copy = mem_strdup(in->mem, in_text(in, from, name));

	if (!copy)
		in->r = -ENOMEM;
	return copy;
}

static void in_name(struct in *in, struct json_object *from, char ret[POOL_NAME_LEN_MAX + 1])
{
	const char *text = in_text(in, from, "name");

	if (strlen(text) > POOL_NAME_LEN_MAX)
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: name '%.20s...' is too long",
				   text);
	else
		memcpy(ret, text, strlen(text) + 1);
}

static uint64_t in_u64(struct in *in, struct json_object *from, const char *name)
{
	struct json_object *value = in_field(in, from, name, json_type_int);

	return value ? json_object_get_uint64(value) : 0;
}

static bool in_bool(struct in *in, struct json_object *from, const char *name)
{
	struct json_object *value = in_field(in, from, name, json_type_boolean);

	return value && json_object_get_boolean(value);
}

static void in_uuid(struct in *in, struct json_object *from, const char *name, struct uuid *ret)
{
	const char *text = in_text(in, from, name);

	if (in->r == 0 && uuid_parse(text, ret) < 0)
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: '%s' is not a uuid", name);
}

static void in_texts(struct in *in, struct json_object *from, const char *name, struct texts *ret)
{
	struct json_object *list = in_field(in, from, name, json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list) && in->r == 0; i++) {
		struct json_object *value = json_object_array_get_idx(list, i);

		in->r = json_object_is_type(value, json_type_string) ?
				texts_add(in->mem, ret, json_object_get_string(value)) :
				fiber_fail(in->f, -EUCLEAN, "the node's state: '%s' has no texts",
					   name);
	}
}

static void in_pair(struct in *in, struct json_object *from, const char *name, uint64_t *first,
		    uint64_t *second)
{
	struct json_object *list = in_field(in, from, name, json_type_array);

	if (!list)
		return;
	if (json_object_array_length(list) != 2) {
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: '%s' is no pair", name);
		return;
	}
	*first = json_object_get_uint64(json_object_array_get_idx(list, 0));
	*second = json_object_get_uint64(json_object_array_get_idx(list, 1));
}

/* Added to its list at once, so that whoever frees the engine frees it, too. */
static void pool_in(struct in *in, struct json_object *from)
{
	struct engine_pool *ep = mem_alloc(in->mem, sizeof(*ep));

	if (!ep) {
		in->r = -ENOMEM;
		return;
	}
	event_init(&ep->unpinned);
	list_add_tail(&in->e->pools, &ep->link);
	in_name(in, from, ep->name);
	in_uuid(in, from, "uuid", &ep->uuid);
	ep->cluster_bytes = (uint32_t)in_u64(in, from, "cluster_bytes");
	in_texts(in, from, "disks", &ep->disks);
}

static void disk_in(struct in *in, struct json_object *from)
{
	struct engine_disk *disk = mem_alloc(in->mem, sizeof(*disk));

	if (!disk) {
		in->r = -ENOMEM;
		return;
	}
	list_add_tail(&in->e->disks, &disk->link);
	disk->uri = in_copy(in, from, "uri");
	disk->is_shared = in_bool(in, from, "shared");
	in_texts(in, from, "hosts", &disk->hosts);
}

static void nexus_in(struct in *in, struct json_object *from)
{
	struct engine_nexus *en = mem_alloc(in->mem, sizeof(*en));
	uint64_t cntlid_min = 0, cntlid_max = 0;
	struct json_object *type;

	if (!en) {
		in->r = -ENOMEM;
		return;
	}
	latch_init(&en->turn);
	event_init(&en->unused);
	list_add_tail(&in->e->nexuses, &en->link);
	en->name = in_copy(in, from, "name");
	en->info_key = in_copy(in, from, "info_key");
	in_uuid(in, from, "uuid", &en->uuid);
	en->size_bytes = in_u64(in, from, "size_bytes");
	in_texts(in, from, "children", &en->children);
	in_texts(in, from, "opened", &en->opened);
	if (in->r == 0 && en->children.count != en->opened.count)
		in->r = fiber_fail(in->f, -EUCLEAN,
				   "the node's state: 'children' and 'opened' are no pairs");
	en->is_shut = in_bool(in, from, "shut");
	en->is_shared = in_bool(in, from, "shared");
	in_texts(in, from, "hosts", &en->hosts);
	in_pair(in, from, "cntlid", &cntlid_min, &cntlid_max);
	in_pair(in, from, "keys", &en->keys.resv_key, &en->keys.preempt_key);
	en->keys.cntlid_min = (uint32_t)cntlid_min;
	en->keys.cntlid_max = (uint32_t)cntlid_max;
	type = in_field(in, from, "resv_type", json_type_int);
	en->keys.has_resv_type = type && json_object_get_int64(type) >= 0;
	en->keys.resv_type = en->keys.has_resv_type ? (uint32_t)json_object_get_int64(type) : 0;
	en->keys.preempt_policy = (uint32_t)in_u64(in, from, "preempt_policy");
}

static void door_in(struct in *in, struct json_object *from)
{
	struct engine_door *door = mem_alloc(in->mem, sizeof(*door));

	if (!door) {
		in->r = -ENOMEM;
		return;
	}
	list_add_tail(&in->e->doors, &door->link);
	door->name = in_copy(in, from, "name");
	door->bdev = in_copy(in, from, "bdev");
	door->uri = in_copy(in, from, "uri");
	door->description = in_copy(in, from, "description");
	door->read_only = in_bool(in, from, "read_only");
	door->is_nvmf = in_bool(in, from, "nvmf");
	in_texts(in, from, "hosts", &door->hosts);
}

static void making_in(struct in *in, struct json_object *from)
{
	struct making *making = mem_alloc(in->mem, sizeof(*making));
	const char *what = in_text(in, from, "what");
	unsigned i = 0;

	if (!making) {
		in->r = -ENOMEM;
		return;
	}
	list_add_tail(&in->e->makings, &making->link);
	while (i < ARRAY_LEN(making_names) && strcmp(making_names[i], what) != 0)
		i++;
	making->what = (enum making_what)i;
	making->is_left = true;
	if (in->r == 0 && i == ARRAY_LEN(making_names))
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: half made is a '%s'", what);
	in_uuid(in, from, "uuid", &making->uuid);
	in_uuid(in, from, "pool", &making->pool);
	in_name(in, from, making->name);
	in_texts(in, from, "disks", &making->disks);
	if (in->r == 0 && making->what == MAKING_DISK && making->disks.count != 1)
		in->r = fiber_fail(in->f, -EUCLEAN, "the node's state: half made is no one disk");
}

static void in_each(struct in *in, struct json_object *from, const char *name,
		    void (*fn)(struct in *in, struct json_object *from))
{
	struct json_object *list = in_field(in, from, name, json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list) && in->r == 0; i++)
		fn(in, json_object_array_get_idx(list, i));
}

static int state_in(struct fiber *f, struct engine *e, struct json_object *from)
{
	struct in in = { .f = f, .e = e, .mem = e->io->mem };
	uint64_t version = in_u64(&in, from, "version");

	if (in.r == 0 && version != VERSION)
		return fiber_fail(f, -EUCLEAN, "the node's state is of version %llu, not %d",
				  (unsigned long long)version, VERSION);
	in_each(&in, from, "pools", pool_in);
	in_each(&in, from, "disks", disk_in);
	in_each(&in, from, "nexuses", nexus_in);
	in_each(&in, from, "doors", door_in);
	in_each(&in, from, "making", making_in);
	return in.r;
}

int state_decode(struct fiber *f, struct engine *e, const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;
	int r;

	if (!tokener)
		return fiber_fail(f, -ENOMEM, "no memory to read the node's state");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)len);
	if (!json_object_is_type(object, json_type_object))
		r = fiber_fail(f, -EUCLEAN, "the node's state is not a JSON object");
	else
		r = state_in(f, e, object);
	json_object_put(object);
	json_tokener_free(tokener);
	return r;
}
