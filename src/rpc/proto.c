// SPDX-License-Identifier: Apache-2.0
/*
 * proto - protobuf-c with what it leaves to its callers.
 */
#include "rpc/proto_priv.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "rpc/text_priv.h"

/* ---- types ----------------------------------------------------------------------- */

struct type_step {
	const ProtobufCMessageDescriptor *type;
	unsigned field; /* the next one to look at */
};

static bool type_is_above(const struct type_step *steps, unsigned depth,
			  const ProtobufCMessageDescriptor *type)
{
	for (unsigned i = 0; i < depth; i++)
		if (steps[i].type == type)
			return true;
	return false;
}

int rpc_proto_type_check(const ProtobufCMessageDescriptor *type, struct err *err)
{
	struct type_step steps[RPC_TYPE_DEPTH_MAX] = { { .type = type } };
	unsigned depth = 1;

	while (depth) {
		struct type_step *step = &steps[depth - 1];

		if (step->field == step->type->n_fields) {
			depth--;
			continue;
		}
		const ProtobufCFieldDescriptor *field = &step->type->fields[step->field++];

		if (field->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (type_is_above(steps, depth, field->descriptor))
			return err_fail(
				err, -EINVAL, "message type '%s' contains itself, by '%s' of '%s'",
				((const ProtobufCMessageDescriptor *)field->descriptor)->name,
				field->name, step->type->name);
		if (depth == RPC_TYPE_DEPTH_MAX)
			return err_fail(
				err, -EINVAL,
				"message type '%s' is deeper than %u messages within messages",
				type->name, RPC_TYPE_DEPTH_MAX);
		steps[depth++] = (struct type_step){ .type = field->descriptor };
	}
	return 0;
}

/* ---- packed bytes ---------------------------------------------------------------- */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };

struct scan_level {
	const ProtobufCMessageDescriptor *type;
	const uint8_t *end;
};

struct scan {
	const uint8_t *at;
	struct scan_level levels[RPC_TYPE_DEPTH_MAX];
	unsigned depth;
	struct err *err;
};

static int scan_bad(struct scan *s, const ProtobufCFieldDescriptor *field, const char *what)
{
	const ProtobufCMessageDescriptor *type = s->levels[s->depth - 1].type;

	if (!field)
		return err_fail(s->err, -EINVAL, "the bytes are no '%s'", type->name);
	return err_fail(s->err, -EINVAL, "field '%s' of '%s' %s", field->name, type->short_name,
			what);
}

static bool scan_varint(struct scan *s, uint64_t *ret)
{
	const uint8_t *end = s->levels[s->depth - 1].end;

	*ret = 0;
	for (unsigned shift = 0; shift < 70 && s->at < end; shift += 7) {
		uint8_t byte = *s->at++;

		*ret |= (uint64_t)(byte & 0x7f) << (shift < 64 ? shift : 63);
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static bool scan_skip(struct scan *s, uint64_t len)
{
	if (len > (uint64_t)(s->levels[s->depth - 1].end - s->at))
		return false;
	s->at += len;
	return true;
}

/* The field's bytes lie behind s->at, `len` of them. */
static int scan_field(struct scan *s, const ProtobufCFieldDescriptor *field, size_t len)
{
	if (field && field->type == PROTOBUF_C_TYPE_MESSAGE) {
		if (s->depth == RPC_TYPE_DEPTH_MAX)
			return scan_bad(s, field, "is too deep"); /* PR1: does not happen */
		s->levels[s->depth++] =
			(struct scan_level){ .type = field->descriptor, .end = s->at + len };
		return 0;
	}
	if (field && field->type == PROTOBUF_C_TYPE_STRING) {
		if (len && memchr(s->at, 0, len))
			return scan_bad(s, field, "contains a NUL character");
		if (rpc_utf8_len(s->at, len) != len)
			return scan_bad(s, field, "is not UTF-8");
	}
	s->at += len;
	return 0;
}

static int scan_one(struct scan *s)
{
	const struct scan_level *level = &s->levels[s->depth - 1];
	const ProtobufCFieldDescriptor *field;
	uint64_t tag, len;
	bool good = scan_varint(s, &tag) && tag >> 3 && tag >> 3 < UINT32_C(1) << 29;

	if (!good)
		return scan_bad(s, NULL, NULL);
	field = protobuf_c_message_descriptor_get_field(level->type, (unsigned)(tag >> 3));
	switch (tag & 7) {
	case WIRE_VARINT:
		good = scan_varint(s, &len);
		break;
	case WIRE_64:
		good = scan_skip(s, 8);
		break;
	case WIRE_32:
		good = scan_skip(s, 4);
		break;
	case WIRE_LEN:
		good = scan_varint(s, &len) && len <= (uint64_t)(level->end - s->at);
		if (good)
			return scan_field(s, field, (size_t)len);
		break;
	default: /* groups, and what there is not */
		good = false;
	}
	return good ? 0 : scan_bad(s, field, "is cut short or of no known wire type");
}

int rpc_proto_check(const ProtobufCMessageDescriptor *type, struct rpc_bytes bytes, struct err *err)
{
	struct scan s = { .at = bytes.data, .depth = 1, .err = err };
	int r = 0;

	if (!bytes.len)
		return 0;
	s.levels[0] = (struct scan_level){ .type = type, .end = s.at + bytes.len };
	while (r == 0 && s.depth) {
		if (s.at == s.levels[s.depth - 1].end)
			s.depth--;
		else
			r = scan_one(&s);
	}
	return r;
}

/* ---- messages -------------------------------------------------------------------- */

struct proto_mem {
	ProtobufCAllocator allocator; /* data: this */
	struct mem *mem;
	bool failed;
};

static void *proto_alloc(void *data, size_t size)
{
	struct proto_mem *pm = data;
	void *p = mem_alloc(pm->mem, size);

	if (!p)
		pm->failed = true;
	return p;
}

static void proto_free(void *data, void *p)
{
	mem_free(p);
}

int rpc_proto_unpack(struct mem *mem, const ProtobufCMessageDescriptor *type,
		     struct rpc_bytes bytes, ProtobufCMessage **ret, struct err *err)
{
	struct proto_mem pm = { .mem = mem };
	ProtobufCMessage *message;
	int r = rpc_proto_check(type, bytes, err);

	if (r < 0)
		return r;
	pm.allocator = (ProtobufCAllocator){ proto_alloc, proto_free, &pm };
	message = protobuf_c_message_unpack(type, &pm.allocator, bytes.len,
					    bytes.len ? bytes.data : (const uint8_t *)"");
	if (!message && pm.failed)
		return err_fail(err, -ENOMEM, "a message of %zu bytes takes too much memory",
				bytes.len);
	if (!message)
		return err_fail(err, -EINVAL, "the bytes are no '%s'", type->name);
	*ret = message;
	return 0;
}

int rpc_proto_new(struct mem *mem, const ProtobufCMessageDescriptor *type, ProtobufCMessage **ret)
{
	ProtobufCMessage *message = mem_alloc(mem, type->sizeof_message);

	if (!message)
		return -ENOMEM;
	type->message_init(message);
	*ret = message;
	return 0;
}

int rpc_proto_size(const ProtobufCMessage *message, size_t *ret_len, struct err *err)
{
	if (!protobuf_c_message_check(message))
		return err_fail(err, -EINVAL, "a '%s' was left incomplete",
				message->descriptor->name);
	*ret_len = protobuf_c_message_get_packed_size(message);
	return 0;
}

int rpc_proto_pack(const ProtobufCMessage *message, uint8_t *ret, size_t len, struct err *err)
{
	size_t packed = protobuf_c_message_pack(message, ret);

	if (packed != len)
		return err_fail(err, -EINVAL, "a '%s' changed while it was packed",
				message->descriptor->name);
	return rpc_proto_check(message->descriptor, (struct rpc_bytes){ ret, len }, err);
}
