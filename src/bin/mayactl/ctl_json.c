// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_json - a protobuf-c message as JSON, by its descriptor.
 *
 * Like the JSON mapping of protobuf, but for three things that are easier to read and to script:
 * fields have the names they have in the .proto, 64-bit numbers are numbers, and what has its
 * zero value is told.
 */
#include <google/protobuf/timestamp.pb-c.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "bin/mayactl/ctl.h"

static struct json_object *time_of(const Google__Protobuf__Timestamp *stamp)
{
	time_t seconds = (time_t)stamp->seconds;
	char text[40];
	struct tm tm;
	size_t len;

	if (!gmtime_r(&seconds, &tm))
		return NULL;
	len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, sizeof(text) - len, ".%03dZ", stamp->nanos / 1000000);
	return json_object_new_string(text);
}

static struct json_object *enum_of(const ProtobufCFieldDescriptor *field, int value)
{
	const ProtobufCEnumValue *known =
		protobuf_c_enum_descriptor_get_value(field->descriptor, value);

	return known ? json_object_new_string(known->name) : json_object_new_int(value);
}

static struct json_object *message_of(const ProtobufCMessage *message)
{
	if (message->descriptor == &google__protobuf__timestamp__descriptor)
		return time_of((const Google__Protobuf__Timestamp *)message);
	return ctl_json_of(message);
}

/* One value of a field: at `at` lies what protobuf-c keeps for its type. */
static struct json_object *value_of(const ProtobufCFieldDescriptor *field, const void *at)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		return json_object_new_int(*(const int32_t *)at);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		return json_object_new_int64(*(const uint32_t *)at);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		return json_object_new_int64(*(const int64_t *)at);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return json_object_new_uint64(*(const uint64_t *)at);
	case PROTOBUF_C_TYPE_FLOAT:
		return json_object_new_double((double)*(const float *)at);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_object_new_double(*(const double *)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_object_new_boolean(*(const protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_of(field, *(const int *)at);
	case PROTOBUF_C_TYPE_STRING:
		return *(const char *const *)at ? json_object_new_string(*(const char *const *)at) :
						  NULL;
	case PROTOBUF_C_TYPE_MESSAGE:
		return *(const ProtobufCMessage *const *)at ?
			       message_of(*(const ProtobufCMessage *const *)at) :
			       NULL;
	default:
		return NULL; /* bytes: no message of ours has any */
	}
}

static size_t value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return 4;
	}
}

static struct json_object *array_of(const ProtobufCFieldDescriptor *field, size_t count,
				    const uint8_t *values)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, value_of(field, values + i * value_size(field->type)));
	return array;
}

struct json_object *ctl_json_of(const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	const uint8_t *base = (const uint8_t *)message;
	struct json_object *object = json_object_new_object();

	for (unsigned i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		const uint8_t *at = base + field->offset;
		struct json_object *value;

		if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
		    *(const uint32_t *)(base + field->quantifier_offset) != field->id)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			value = array_of(field, *(const size_t *)(base + field->quantifier_offset),
					 *(const uint8_t *const *)at);
		else
			value = value_of(field, at);
		if (value)
			json_object_object_add(object, field->name, value);
	}
	return object;
}

/* ---- looking into it ------------------------------------------------------------------------ */

struct json_object *ctl_json_at(struct json_object *from, const char *path)
{
	char name[64];

	while (*path && from) {
		size_t len = strcspn(path, ".");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		if (!json_object_is_type(from, json_type_object) ||
		    !json_object_object_get_ex(from, name, &from))
			return NULL;
		path += len + (path[len] == '.');
	}
	return from;
}

uint64_t ctl_json_u64(struct json_object *from, const char *path)
{
	struct json_object *value = ctl_json_at(from, path);

	return value ? json_object_get_uint64(value) : 0;
}

const char *ctl_json_text(struct json_object *from, const char *path)
{
	struct json_object *value = ctl_json_at(from, path);

	return value && json_object_is_type(value, json_type_string) ?
		       json_object_get_string(value) :
		       "";
}
