// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_call - a node, a call, an exit code.
 */
#include <errno.h>
#include <json-c/json.h>
#include <protobuf-c/protobuf-c.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/uuid.h"
#include "bin/mayactl/ctl.h"
#include "engine/node.h"
#include "io/io.h"
#include "reactor/fiber.h"

/* ---- nodes ------------------------------------------------------------------------------ */

static int node_channel(struct fiber *f, struct ctl *ctl, struct rpc_channel **ret)
{
	struct ctl_node *node = &ctl->nodes[ctl->node];
	const struct rpc_tls_files files = { .ca = ctl->ca, .cert = ctl->cert, .key = ctl->key };
	int r = 0;

	if (ctl->ca && !ctl->tls)
		r = rpc_tls_new(f, &files, false, &ctl->tls);
	if (r == 0 && !node->channel)
		r = rpc_channel_new(f, node->target, &(struct rpc_channel_opts){ .tls = ctl->tls },
				    &node->channel);
	*ret = node->channel;
	return r;
}

static void nodes_close(struct fiber *f, struct ctl *ctl)
{
	for (unsigned i = 0; i < ctl->node_count; i++)
		if (ctl->nodes[i].channel)
			rpc_channel_free(f, steal(ctl->nodes[i].channel));
	if (ctl->tls)
		rpc_tls_free(steal(ctl->tls));
}

/* ---- words ---------------------------------------------------------------------------------- */

static const char *hint_of(const struct ctl *ctl, const char *words)
{
	switch (ctl->code) {
	case RPC_UNAVAILABLE:
		if (strstr(words, "TLS:"))
			return "--ca, --cert and --key name the certificates";
		if (strstr(words, "the server closed it") && !ctl->ca)
			return "does it want TLS? --ca names who signed its certificate";
		return "is mayastor running there? --node HOST:PORT names another";
	case RPC_UNIMPLEMENTED:
		return "the node is older than this mayactl, or does not serve that";
	case RPC_DEADLINE_EXCEEDED:
		return "--timeout SECONDS waits longer";
	case RPC_UNAUTHENTICATED:
		return "--ca, --cert and --key name the certificates";
	default:
		return NULL;
	}
}

/* The words of a call that failed: where, what, and a hint (CT2). */
static int call_failed(struct fiber *f, struct ctl *ctl, int error, enum rpc_code code)
{
	const char *hint;
	struct err said = *fiber_err(f);

	ctl->code = code;
	hint = hint_of(ctl, err_words(&said));
	fiber_clear(f);
	return fiber_fail(f, error, "%s: %s%s%s%s", ctl->nodes[ctl->node].target, err_words(&said),
			  hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
}

/* ---- calls ---------------------------------------------------------------------------------- */

static int call_ready(struct fiber *f, struct ctl_call *call, struct rpc_channel **ret)
{
	if (call->no_memory)
		return fiber_fail(f, -ENOMEM, "no memory for a request");
	return node_channel(f, call->ctl, ret);
}

int ctl_ask(struct fiber *f, struct ctl_call *call, struct json_object **ret)
{
	const struct rpc_ask ask = { .timeout_ns = call->ctl->timeout_ns };
	struct rpc_reply reply = { 0 };
	struct rpc_channel *channel;
	int r;

	TRY(call_ready(f, call, &channel));
	r = rpc_ask_message(f, channel, call->path, &ask, call->in, call->out, &reply);
	if (r < 0)
		r = call_failed(f, call->ctl, r, reply.code);
	else if (ret)
		*ret = ctl_json_of(reply.message);
	rpc_reply_free(&reply);
	return r;
}

/* One message, if there is one. 1: go on; 0: the end, or enough. */
static int follow_one(struct fiber *f, struct ctl *ctl, struct rpc_stream *stream,
		      int (*each)(struct ctl *ctl, struct json_object *message))
{
	struct rpc_reply reply = { 0 };
	int r = rpc_next(f, stream, &reply);

	if (r > 0) {
		struct json_object *message = ctl_json_of(reply.message);

		r = !each(ctl, message);
		json_object_put(message);
	} else if (r < 0) {
		r = call_failed(f, ctl, r, reply.code);
	}
	rpc_reply_free(&reply);
	return r;
}

int ctl_follow(struct fiber *f, struct ctl_call *call,
	       int (*each)(struct ctl *ctl, struct json_object *message))
{
	struct rpc_stream *stream;
	struct rpc_channel *channel;
	int r;

	TRY(call_ready(f, call, &channel));
	r = rpc_open_message(f, channel, call->path, NULL, call->in, call->out, &stream);
	if (r < 0)
		return call_failed(f, call->ctl, r, rpc_code_of_errno(r));
	do {
		r = follow_one(f, call->ctl, stream, each);
	} while (r > 0);
	rpc_close(f, stream);
	return r;
}

/* ---- what verbs are made of -------------------------------------------------------------------- */

/* Rows know their node where several were asked. */
static void row_keep(struct ctl *ctl, struct json_object *row)
{
	if (!row)
		return;
	if (ctl->node_count > 1)
		json_object_object_add(row, "node",
				       json_object_new_string(ctl->nodes[ctl->node].target));
	json_object_array_add(ctl->rows, json_object_get(row));
}

int ctl_list(struct fiber *f, struct ctl_call *call, const char *path,
	     const struct ctl_table *table)
{
	struct json_object *reply, *rows;

	TRY(ctl_ask(f, call, &reply));
	rows = ctl_json_at(reply, path);
	for (size_t i = 0; rows && i < json_object_array_length(rows); i++)
		row_keep(call->ctl, json_object_array_get_idx(rows, i));
	json_object_put(reply);
	call->ctl->table = table;
	call->ctl->shape = CTL_ROWS;
	return 0;
}

int ctl_show(struct fiber *f, struct ctl_call *call, const char *path,
	     const struct ctl_table *table)
{
	struct ctl *ctl = call->ctl;
	struct json_object *reply;

	TRY(ctl_ask(f, call, &reply));
	row_keep(ctl, ctl_json_at(reply, path));
	json_object_put(reply);
	ctl->table = table;
	ctl->shape = json_object_array_length(ctl->rows) ? CTL_FIELDS : CTL_NOTHING;
	return 0;
}

__attribute__((format(printf, 3, 0))) static void say_line(struct ctl *ctl,
							   struct json_object *reply,
							   const char *say, va_list args)
{
	vsnprintf(ctl->line, sizeof(ctl->line), say, args);
	ctl->shape = CTL_LINE;
	row_keep(ctl, reply);
	json_object_put(reply);
}

int ctl_say(struct ctl *ctl, struct json_object *reply, const char *say, ...)
{
	va_list args;

	va_start(args, say);
	say_line(ctl, reply, say, args);
	va_end(args);
	return 0;
}

int ctl_do(struct fiber *f, struct ctl_call *call, const char *say, ...)
{
	struct json_object *reply;
	va_list args;

	TRY(ctl_ask(f, call, &reply));
	va_start(args, say);
	say_line(call->ctl, reply, say, args);
	va_end(args);
	return 0;
}

char *ctl_new_uuid(struct fiber *f, struct ctl *ctl)
{
	char *text = ctl_alloc(ctl, UUID_TEXT_SIZE);
	uint8_t random[16];
	struct uuid uuid;

	if (!text)
		return NULL;
	io_random(fiber_io(f), random, sizeof(random));
	uuid = uuid_v4(random);
	return uuid_print(&uuid, text);
}

/* ---- failures ------------------------------------------------------------------------------------ */

static void failure_tell(const struct ctl *ctl, const char *words)
{
	fprintf(stderr, "mayactl %s %s: %s\n", ctl->verb->noun, ctl->verb->name, words);
}

/* No call was made yet: something that was typed is wrong. */
static enum ctl_exit exit_of(const struct ctl *ctl, int error)
{
	switch (ctl->code) {
	case RPC_OK:
		return error == -EINVAL ? CTL_USAGE : CTL_FAILED;
	case RPC_NOT_FOUND:
		return CTL_NOT_FOUND;
	case RPC_ALREADY_EXISTS:
		return CTL_EXISTS;
	case RPC_UNAVAILABLE:
	case RPC_DEADLINE_EXCEEDED:
		return CTL_UNREACHABLE;
	default:
		return CTL_FAILED;
	}
}

/* ---- a run ------------------------------------------------------------------------------------------ */

static int ctl_main(struct fiber *f, void *arg)
{
	struct ctl *ctl = arg;
	int r = ctl->rounds > 0 ? fiber_sleep(f, ctl->watch_ns) : 0;

	for (ctl->node = 0; ctl->node < ctl->node_count && r == 0; ctl->node++) {
		r = ctl->verb->run(f, ctl);
		if (r < 0 && ctl->node_count > 1) { /* the others are shown */
			failure_tell(ctl, fiber_words(f));
			fiber_clear(f);
			ctl->exit = exit_of(ctl, r);
			r = 0;
		}
	}
	nodes_close(f, ctl);
	return r;
}

static int ctl_round(struct ctl *ctl)
{
	const struct node_opts opts = { .reactors = 1 };
	struct err err = { 0 };
	struct node node;
	int r;

	ctl->rows = json_object_new_array();
	ctl->exit = CTL_OK;
	ctl->code = RPC_OK;
	r = node_run(&node, &opts, ctl_main, ctl, &err);
	if (r == 0)
		r = ctl_output(ctl);
	else
		failure_tell(ctl, err_words(&err));
	json_object_put(ctl->rows);
	ctl_free(ctl);
	fflush(stdout);
	return r < 0 ? exit_of(ctl, r) : ctl->exit;
}

int ctl_run(struct ctl *ctl)
{
	int code;

	do {
		code = ctl_round(ctl);
		ctl->rounds++;
	} while (ctl->watch_ns && code == CTL_OK);
	return code;
}
