// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_request - the message of a call, made up by the names of its fields.
 *
 * The descriptors that protoc-c made know where a field lies and what it is, so that a verb says
 * ctl_set_text(&call, "name", ...) and no more. A name that the message has not is a mistake
 * of ours, found by the first run (must).
 */
#include <protobuf-c/protobuf-c.h>
#include <string.h>
#include <string.h>

#include "base/must.h"
#include "bin/mayactl/ctl.h"

struct alloc {
	struct list_link link; /* ctl->allocs */
	max_align_t data[];
};

void *ctl_alloc(struct ctl *ctl, size_t bytes)
{
	struct alloc *alloc = mem_alloc(ctl->mem, sizeof(*alloc) + bytes);

	if (!alloc)
		return NULL;
	list_add_tail(&ctl->allocs, &alloc->link);
	return alloc->data;
}

void ctl_free(struct ctl *ctl)
{
	struct alloc *alloc;

	while ((alloc = list_pop_front(&ctl->allocs, struct alloc, link)))
		mem_free(alloc);
}

struct ctl_call ctl_call(struct ctl *ctl, const ProtobufCServiceDescriptor *service,
			 const char *method)
{
	const ProtobufCMethodDescriptor *found =
		protobuf_c_service_descriptor_get_method_by_name(service, method);
	struct ctl_call call = { .ctl = ctl };

	must(found);
	call.out = found->output;
	snprintf(call.path, sizeof(call.path), "/%s/%s", service->name, method);
	call.in = ctl_alloc(ctl, found->input->sizeof_message);
	if (call.in)
		found->input->message_init(call.in);
	call.no_memory = !call.in;
	return call;
}

/* Where a field lies; a oneof says from now on that it is this one. */
static void *field_of(ProtobufCMessage *message, const char *name,
		      const ProtobufCFieldDescriptor **ret_field)
{
	const ProtobufCFieldDescriptor *field =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);

	must(field);
	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		*(uint32_t *)((uint8_t *)message + field->quantifier_offset) = field->id;
	*ret_field = field;
	return (uint8_t *)message + field->offset;
}

/* The message in a field, made if it is not there. NULL: no memory. */
static ProtobufCMessage *message_in(struct ctl_call *call, const ProtobufCFieldDescriptor *field,
				    ProtobufCMessage **at)
{
	const ProtobufCMessageDescriptor *type = field->descriptor;

	must(field->type == PROTOBUF_C_TYPE_MESSAGE && field->label != PROTOBUF_C_LABEL_REPEATED);
	if (!*at) {
		*at = ctl_alloc(call->ctl, type->sizeof_message);
		if (*at)
			type->message_init(*at);
		call->no_memory |= !*at;
	}
	return *at;
}

/* "a.b": b in the message a. NULL: no memory. */
static void *field_at(struct ctl_call *call, const char *path,
		      const ProtobufCFieldDescriptor **ret_field)
{
	ProtobufCMessage *in = call->no_memory ? NULL : call->in;
	const char *dot;
	char name[64];
	void *at;

	for (; in && (dot = strchr(path, '.')); path = dot + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)(dot - path), path);
		at = field_of(in, name, ret_field);
		in = message_in(call, *ret_field, at);
	}
	return in ? field_of(in, path, ret_field) : NULL;
}

void ctl_set(struct ctl_call *call, const char *name, uint64_t value)
{
	const ProtobufCFieldDescriptor *field;
	void *at = field_at(call, name, &field);

	if (!at)
		return;
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT64:
		*(uint64_t *)at = value;
		return;
	default:
		must(field->type == PROTOBUF_C_TYPE_UINT32 || field->type == PROTOBUF_C_TYPE_ENUM ||
		     field->type == PROTOBUF_C_TYPE_BOOL);
		must(value <= INT32_MAX);
		*(uint32_t *)at = (uint32_t)value;
	}
}

/* A message of one text, as google.protobuf.StringValue is. */
static void wrapper_set(struct ctl_call *call, const ProtobufCFieldDescriptor *field, void *at,
			const char *text)
{
	ProtobufCMessage *wrapper = message_in(call, field, at);

	if (!wrapper)
		return;
	must(wrapper->descriptor->n_fields == 1 &&
	     wrapper->descriptor->fields[0].type == PROTOBUF_C_TYPE_STRING);
	*(const char **)((uint8_t *)wrapper + wrapper->descriptor->fields[0].offset) = text;
}

void ctl_set_text(struct ctl_call *call, const char *name, const char *text)
{
	const ProtobufCFieldDescriptor *field;
	void *at = text ? field_at(call, name, &field) : NULL;

	if (!at)
		return;
	if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
		wrapper_set(call, field, at, text);
		return;
	}
	must(field->type == PROTOBUF_C_TYPE_STRING);
	*(const char **)at = text;
}

void ctl_set_texts(struct ctl_call *call, const char *name, const char *const *texts,
		   unsigned count)
{
	const ProtobufCFieldDescriptor *field;
	void *at = field_at(call, name, &field);

	if (!at)
		return;
	must(field->label == PROTOBUF_C_LABEL_REPEATED && field->type == PROTOBUF_C_TYPE_STRING);
	*(const char *const **)at = texts;
	*(size_t *)((uint8_t *)call->in + field->quantifier_offset) = count;
}

void ctl_set_values(struct ctl_call *call, const char *name, enum ctl_opt opt)
{
	ctl_set_texts(call, name, call->ctl->values[opt], call->ctl->counts[opt]);
}
