// SPDX-License-Identifier: Apache-2.0
/*
 * volume_json - the text of a volume's record, by json-c.
 *
 *	{"version":1,"volume":UUID,"name":"...","size_bytes":N,"block_size":N,"epoch":N,"owner":UUID,
 *	 "clean":bool,"gen":[EPOCH,N],"members":[{"replica":UUID,"uri":"...","state":"in-sync",
 *	 "offline":bool,"reason":"..."}]}
 *
 * Version 2 has "earlier":[UUID,...] besides.
 *
 * VJ1. A version has these fields, all of them, and no others: what a newer program added must
 *	not get lost because an older one wrote the record back.
 * VJ2. A text is taken apart only if all of it is one JSON value, not deeper than it must be.
 * VJ3. Version 2 is written only while there are earlier owners: for the time of a takeover. A program that
 *	does not know them must not serve the volume then; at other times it reads what we write.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "store/volume.h"

#define VERSION_PLAIN	1
#define VERSION_EARLIER 2
#define DEPTH_MAX	4
#define RECORD_FIELDS	10 /* of version 1; 2 has one more */
#define MEMBER_FIELDS	5

/* ---- out --------------------------------------------------------------------------- */

static void add(struct json_object *to, const char *name, struct json_object *value)
{
	json_object_object_add(to, name, value);
}

static struct json_object *text_of(const char *text)
{
	return json_object_new_string(text);
}

static struct json_object *uuid_of(const struct uuid *uuid)
{
	char text[UUID_TEXT_SIZE];

	return text_of(uuid_print(uuid, text));
}

static struct json_object *member_of(const struct volume_member *member)
{
	struct json_object *object = json_object_new_object();

	add(object, "replica", uuid_of(&member->replica));
	add(object, "uri", text_of(member->uri));
	add(object, "state", text_of(volume_member_state_name(member->state)));
	add(object, "offline", json_object_new_boolean(member->is_offline));
	add(object, "reason", text_of(member->reason));
	return object;
}

static struct json_object *earlier_of(const struct volume_record *record)
{
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < record->earlier_count; i++)
		json_object_array_add(list, uuid_of(&record->earlier[i]));
	return list;
}

static struct json_object *record_of(const struct volume_record *record)
{
	struct json_object *object = json_object_new_object(), *gen = json_object_new_array(),
			   *members = json_object_new_array();

	add(object, "version",
	    json_object_new_int(record->earlier_count ? VERSION_EARLIER : VERSION_PLAIN)); /* VJ3 */
	add(object, "volume", uuid_of(&record->volume));
	add(object, "name", text_of(record->name));
	add(object, "size_bytes", json_object_new_uint64(record->size_bytes));
	add(object, "block_size", json_object_new_uint64(record->block_size));
	add(object, "epoch", json_object_new_uint64(record->epoch));
	add(object, "owner", uuid_of(&record->owner));
	add(object, "clean", json_object_new_boolean(record->clean));
	json_object_array_add(gen, json_object_new_uint64(record->gen_epoch));
	json_object_array_add(gen, json_object_new_uint64(record->gen_n));
	add(object, "gen", gen);
	for (unsigned i = 0; i < record->member_count; i++)
		json_object_array_add(members, member_of(&record->members[i]));
	add(object, "members", members);
	if (record->earlier_count > 0)
		add(object, "earlier", earlier_of(record));
	return object;
}

int volume_encode(const struct volume_record *record, char *ret_text, uint32_t size,
		  struct err *err)
{
	int r = volume_check(record, err);

	if (r < 0)
		return r;
	struct json_object *object = record_of(record);
	const char *text = json_object_to_json_string_ext(
		object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (strlen(text) > STORE_VALUE_MAX || strlen(text) >= size)
		r = err_fail(err, -E2BIG, "the record of volume '%s' is longer than %u bytes",
			     record->name, STORE_VALUE_MAX);
	else
		memcpy(ret_text, text, strlen(text) + 1);
	json_object_put(object);
	return r;
}

/* ---- in ---------------------------------------------------------------------------- */

static int bad(struct err *err, const char *name, const char *expected)
{
	return err_fail(err, -EUCLEAN, "volume record: '%s' is not %s", name, expected);
}

static struct json_object *field(struct json_object *from, const char *name, json_type type)
{
	struct json_object *value;

	return json_object_object_get_ex(from, name, &value) && json_object_is_type(value, type) ?
		       value :
		       NULL;
}

static int get_u64(struct json_object *value, const char *name, uint64_t *ret, struct err *err)
{
	if (!value || (json_object_get_int64(value) < 0 && json_object_get_uint64(value) == 0))
		return bad(err, name, "a number from 0 on");
	*ret = json_object_get_uint64(value);
	return 0;
}

static int get_bool(struct json_object *from, const char *name, bool *ret, struct err *err)
{
	struct json_object *value = field(from, name, json_type_boolean);

	if (!value)
		return bad(err, name, "true or false");
	*ret = json_object_get_boolean(value);
	return 0;
}

static int get_text(struct json_object *from, const char *name, char *ret, size_t size,
		    struct err *err)
{
	struct json_object *value = field(from, name, json_type_string);

	if (!value || strlen(json_object_get_string(value)) >= size ||
	    strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		return bad(err, name, "a text of that length");
	memcpy(ret, json_object_get_string(value), strlen(json_object_get_string(value)) + 1);
	return 0;
}

static int get_uuid_of(struct json_object *value, const char *name, struct uuid *ret,
		       struct err *err)
{
	if (!json_object_is_type(value, json_type_string) ||
	    uuid_parse(json_object_get_string(value), ret) < 0)
		return bad(err, name, "a uuid");
	return 0;
}

static int get_uuid(struct json_object *from, const char *name, struct uuid *ret, struct err *err)
{
	return get_uuid_of(field(from, name, json_type_string), name, ret, err);
}

static int get_state(struct json_object *from, enum volume_member_state *ret, struct err *err)
{
	struct json_object *value = field(from, "state", json_type_string);

	for (int state = VOLUME_IN_SYNC; value && state <= VOLUME_OUT; state++) {
		*ret = (enum volume_member_state)state;
		if (strcmp(json_object_get_string(value), volume_member_state_name(*ret)) == 0)
			return 0;
	}
	return bad(err, "state", "in-sync, rebuilding or out");
}

static int get_member(struct json_object *from, struct volume_member *ret, struct err *err)
{
	if (!json_object_is_type(from, json_type_object) ||
	    json_object_object_length(from) != MEMBER_FIELDS) /* VJ1 */
		return bad(err, "members", "a list of members as version 1 has them");
	int r = get_uuid(from, "replica", &ret->replica, err);
	if (r == 0)
		r = get_text(from, "uri", ret->uri, sizeof(ret->uri), err);
	if (r == 0)
		r = get_state(from, &ret->state, err);
	if (r == 0)
		r = get_bool(from, "offline", &ret->is_offline, err);
	if (r == 0)
		r = get_text(from, "reason", ret->reason, sizeof(ret->reason), err);
	return r;
}

static int get_members(struct json_object *from, struct volume_record *ret, struct err *err)
{
	struct json_object *list = field(from, "members", json_type_array);
	int r = 0;

	if (!list || json_object_array_length(list) > VOLUME_MEMBERS_MAX)
		return bad(err, "members", "a list of at most 16");
	ret->member_count = (unsigned)json_object_array_length(list);
	for (unsigned i = 0; i < ret->member_count && r == 0; i++)
		r = get_member(json_object_array_get_idx(list, i), &ret->members[i], err);
	return r;
}

static int get_earlier(struct json_object *from, struct volume_record *ret, struct err *err)
{
	struct json_object *list = field(from, "earlier", json_type_array);
	int r = 0;

	if (!list || json_object_array_length(list) == 0 ||
	    json_object_array_length(list) > VOLUME_EARLIER_MAX)
		return bad(err, "earlier", "a list of 1 to 4 uuids");
	ret->earlier_count = (unsigned)json_object_array_length(list);
	for (unsigned i = 0; i < ret->earlier_count && r == 0; i++)
		r = get_uuid_of(json_object_array_get_idx(list, i), "earlier", &ret->earlier[i],
				err);
	return r;
}

static int get_gen(struct json_object *from, struct volume_record *ret, struct err *err)
{
	struct json_object *gen = field(from, "gen", json_type_array);

	if (!gen || json_object_array_length(gen) != 2 ||
	    !json_object_is_type(json_object_array_get_idx(gen, 0), json_type_int) ||
	    !json_object_is_type(json_object_array_get_idx(gen, 1), json_type_int))
		return bad(err, "gen", "two numbers");
	int r = get_u64(json_object_array_get_idx(gen, 0), "gen", &ret->gen_epoch, err);
	return r < 0 ? r : get_u64(json_object_array_get_idx(gen, 1), "gen", &ret->gen_n, err);
}

static int get_number(struct json_object *from, const char *name, uint64_t *ret, struct err *err)
{
	return get_u64(field(from, name, json_type_int), name, ret, err);
}

/* VJ1. */
static int get_version(struct json_object *from, uint64_t *ret, struct err *err)
{
	int fields = json_object_object_length(from);
	int r = get_number(from, "version", ret, err);

	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (r < 0 || (*ret == VERSION_PLAIN && fields == RECORD_FIELDS) ||
	    (*ret == VERSION_EARLIER && fields == RECORD_FIELDS + 1))
		return r;
	return err_fail(err, -EUCLEAN,
			"volume record: version %llu with %d fields, not %d with %d or %d with %d",
			(unsigned long long)*ret, fields, VERSION_PLAIN, RECORD_FIELDS,
			VERSION_EARLIER, RECORD_FIELDS + 1);
}

static int get_record(struct json_object *from, struct volume_record *ret, struct err *err)
{
	uint64_t version, block_size = 0;

	if (!json_object_is_type(from, json_type_object))
		return err_fail(err, -EUCLEAN, "volume record: not a JSON object");
	int r = get_version(from, &version, err);
	if (r == 0 && version == VERSION_EARLIER)
		r = get_earlier(from, ret, err);
	if (r == 0)
		r = get_uuid(from, "volume", &ret->volume, err);
	if (r == 0)
		r = get_text(from, "name", ret->name, sizeof(ret->name), err);
	if (r == 0)
		r = get_number(from, "size_bytes", &ret->size_bytes, err);
	if (r == 0)
		r = get_number(from, "block_size", &block_size, err);
	ret->block_size = block_size > UINT32_MAX ? 0 : (uint32_t)block_size;
	if (r == 0)
		r = get_number(from, "epoch", &ret->epoch, err);
	if (r == 0)
		r = get_uuid(from, "owner", &ret->owner, err);
	if (r == 0)
		r = get_bool(from, "clean", &ret->clean, err);
	if (r == 0)
		r = get_gen(from, ret, err);
	return r < 0 ? r : get_members(from, ret, err);
}

int volume_decode(const char *text, uint32_t len, struct volume_record *ret, struct err *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *object;
	int r;

	if (!tokener)
		return err_fail(err, -ENOMEM, "no memory to read a volume's record");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)len);
	*ret = (struct volume_record){ 0 };
	if (!object || json_tokener_get_parse_end(tokener) != len) /* VJ2 */
		r = err_fail(err, -EUCLEAN, "volume record: not one JSON value");
	else
		r = get_record(object, ret, err);
	if (r == 0 && volume_check(ret, err) < 0)
		r = -EUCLEAN;
	json_object_put(object);
	json_tokener_free(tokener);
	return r;
}
