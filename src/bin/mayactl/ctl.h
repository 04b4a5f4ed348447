/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ctl - mayactl: what a node does, asked for on the command line.
 *
 *	mayactl [GLOBAL OPTION]... NOUN VERB OPERAND... [OPTION]...
 *
 * Files, from the bottom: ctl.h, ctl_json (a message as JSON), ctl_table (JSON as a table), ctl_request
 * (a message out of fields), ctl_call (a node, a call, an exit code), ctl_args (what was typed), then a file of verbs per noun, and
 * mayactl.c with the table of nouns.
 *
 * A verb makes a request, asks, and shows the reply: everything that is shown has been JSON
 * before, so that tables and `-o json` tell the same.
 *
 * CT1. Nothing is asked of a node before all that was typed is right.
 * CT2. A failure is one line on standard error, with a hint where there is one to give, and an exit code
 *	that scripts can tell apart.
 */
#ifndef BIN_MAYACTL_CTL_H
#define BIN_MAYACTL_CTL_H

#include <stdint.h>
#include <stdio.h>

#include "base/lang.h"
#include "base/list.h"
#include "base/mem.h"
#include "rpc/rpc.h"

struct ctl;
struct fiber;
struct json_object;
struct ProtobufCServiceDescriptor;

#define CTL_NODES_MAX	 16u
#define CTL_OPERANDS_MAX 64u
#define CTL_VALUES_MAX	 64u /* of an option that may be given again and again */
#define CTL_PORT	 "10124"
#define CTL_TIMEOUT_S	 60u

/* ---- exit codes ------------------------------------------------------------------------- */

enum ctl_exit {
	CTL_OK = 0,
	CTL_FOUND = 1,	/* it ran, and what it looked at is not in order */
	CTL_FAILED = 2, /* the node refused or could not */
	CTL_NOT_FOUND = 3,
	CTL_EXISTS = 4,
	CTL_UNREACHABLE = 5, /* no answer: no node there, or the time is over */
	CTL_USAGE = 64,
};

/* ---- what was typed ------------------------------------------------------------------------ */

enum ctl_opt {
	CTL_UUID,
	CTL_POOL,
	CTL_SIZE,
	CTL_CLUSTER,
	CTL_THICK,
	CTL_SHARE,
	CTL_ALLOW,
	CTL_CHILD,
	CTL_ENTITY,
	CTL_ALL,
	CTL_NO_REBUILD,
	CTL_NAME,
	CTL_READ_ONLY,
	CTL_FORCE,
	CTL_SINCE,
	CTL_NO_FOLLOW,
	CTL_REPLICA,
	CTL_RESV_KEY,
	CTL_CNTLID,
	CTL_FOLLOW,
	CTL_OPTS
};

#define CTL_BIT(opt) (1u << (opt))

enum ctl_format { CTL_TABLE, CTL_WIDE, CTL_JSON };

/* What main shows when the verb has run: rows, the fields of the first row, a line, nothing. */
enum ctl_shape { CTL_NOTHING, CTL_ROWS, CTL_FIELDS, CTL_LINE };

struct ctl_verb {
	const char *noun, *name;
	const char *operands;	 /* as usage shows them: "POOL DISK..." */
	unsigned options, needs; /* CTL_BIT()s */
	bool many_nodes;	 /* asks all nodes that were named */
	const char *help;
	int (*run)(struct fiber *f, struct ctl *ctl);
	bool is_default; /* the noun alone means this one, the first of its verbs */
};

struct ctl_node {
	char target[280];
	struct rpc_channel *channel; /* owned; NULL: not yet */
};

struct ctl {
	const struct ctl_verb *verb;
	const char *operands[CTL_OPERANDS_MAX];
	unsigned operand_count;
	const char *values[CTL_OPTS][CTL_VALUES_MAX];
	unsigned counts[CTL_OPTS];
	enum ctl_format format;
	uint64_t watch_ns, timeout_ns; /* watch 0: once */
	struct ctl_node nodes[CTL_NODES_MAX];
	unsigned node_count, node; /* node: the one that is asked */
	const char *ca, *cert, *key;
	struct rpc_tls *tls; /* owned */
	struct mem *mem;
	struct list allocs;	  /* of ctl_alloc() */
	struct json_object *rows; /* owned; an array, of all nodes so far */
	const struct ctl_table *table;
	enum ctl_shape shape;
	char line[600];	    /* CTL_LINE */
	enum rpc_code code; /* of the last call that failed */
	enum ctl_exit exit; /* of the verb, if it went well */
	unsigned rounds;    /* of --watch */
};

static inline const char *ctl_value(const struct ctl *ctl, enum ctl_opt opt)
{
	return ctl->counts[opt] ? ctl->values[opt][0] : NULL;
}

static inline bool ctl_given(const struct ctl *ctl, enum ctl_opt opt)
{
	return ctl->counts[opt] > 0;
}

/* 0; -EINVAL with a line on standard error; 1: help was asked for, and given. */
MUST_USE int ctl_decode(struct ctl *ctl, int argc, char **argv);
/* Of an option or operand; name: for words. */
MUST_USE int ctl_size(struct fiber *f, const char *name, const char *text, uint64_t *ret);
MUST_USE int ctl_number(struct fiber *f, const char *name, const char *text, uint64_t max,
			uint64_t *ret);

/* All verbs, NULL-terminated by name; a noun's stand together. */
extern const struct ctl_verb *const ctl_nouns[];
extern const struct ctl_verb ctl_pool_verbs[], ctl_replica_verbs[], ctl_snapshot_verbs[],
	ctl_nexus_verbs[], ctl_child_verbs[], ctl_rebuild_verbs[], ctl_bdev_verbs[],
	ctl_share_verbs[], ctl_volume_verbs[], ctl_device_verbs[], ctl_node_verbs[],
	ctl_stats_verbs[], ctl_events_verbs[];

/* ---- a message as JSON (ctl_json.c) ------------------------------------------------------- */

/* Field names as in the .proto; enums by name; times as text. NULL: no memory. */
struct json_object *ctl_json_of(const struct ProtobufCMessage *message);
/* "usage.allocated_bytes" of it; NULL: not there. */
struct json_object *ctl_json_at(struct json_object *from, const char *path);
uint64_t ctl_json_u64(struct json_object *from, const char *path);
const char *ctl_json_text(struct json_object *from, const char *path); /* "" if not there */

/* ---- JSON as a table (ctl_table.c) ---------------------------------------------------------- */

enum ctl_kind {
	CTL_TEXT,     /* lists with commas */
	CTL_BYTES,    /* "1.5 GiB" */
	CTL_COUNT,    /* right-aligned */
	CTL_WORD,     /* of an enum: without its prefix, in small letters */
	CTL_REASON,   /* such a word, or nothing if it is "none" */
	CTL_YES,      /* yes or nothing */
	CTL_NS,	      /* "12.3 us" */
	CTL_BAR,      /* percent */
	CTL_SHARE_OF, /* percent that `path` is of `of` */
	CTL_NS_EACH,  /* the time `path` of `of` things together, each */
};

struct ctl_column {
	const char *head, *path;
	enum ctl_kind kind;
	bool is_wide;			 /* only with -o wide */
	const char *of;			 /* CTL_SHARE_OF, CTL_NS_EACH */
	const char *child;		 /* path in a row below; NULL: nothing there */
	const char *strip, *child_strip; /* CTL_WORD: the prefix */
};

struct ctl_table {
	const struct ctl_column *columns;
	unsigned count;
	const char *children; /* path of rows below each; NULL: none */
	const char *none;     /* said if there are no rows: "no pools" */
};

/* What the verb has left in ctl: not on a fiber, whose stack is small. 0 or negative. */
MUST_USE int ctl_output(struct ctl *ctl);
/* A message as one line of JSON, at once. */
void ctl_json_line(struct json_object *message);
const char *ctl_bytes_text(uint64_t bytes, char text[24]);
/* "[#####---------------]  25 %" */
const char *ctl_bar_text(uint64_t percent, char text[64]);

/* ---- a request (ctl_request.c) ----------------------------------------------------------------- */

/* One call that will be made: its message is made up field by field, by name. */
struct ctl_call {
	struct ctl *ctl;
	char path[128]; /* "/mayastor.v1.PoolRpc/CreatePool" */
	const struct ProtobufCMessageDescriptor *out;
	struct ProtobufCMessage *in; /* with all it has: of ctl_alloc() */
	bool no_memory;		     /* found out when it is asked */
};

/* method: one of the service; its message is empty at first. */
struct ctl_call ctl_call(struct ctl *ctl, const struct ProtobufCServiceDescriptor *service,
			 const char *method);
/*
 * "name", or "limits.tasks" in a message within, which is made. text NULL: the field stays as it
 * is. A StringValue is a text, too.
 */
void ctl_set_text(struct ctl_call *call, const char *field, const char *text);
void ctl_set_texts(struct ctl_call *call, const char *field, const char *const *texts,
		   unsigned count);
/* Any number, enum or bool. */
void ctl_set(struct ctl_call *call, const char *field, uint64_t value);
/* The values of an option, as texts. */
void ctl_set_values(struct ctl_call *call, const char *field, enum ctl_opt opt);
/* Until the end of the round; NULL: no memory. Zeroed. */
void *ctl_alloc(struct ctl *ctl, size_t bytes);
void ctl_free(struct ctl *ctl); /* all of them */

/* ---- a node, a call (ctl_call.c) --------------------------------------------------------------- */

/* Ask the node at hand. The reply as JSON in *ret, owned by the caller; NULL: not wanted. */
MUST_USE int ctl_ask(struct fiber *f, struct ctl_call *call, struct json_object **ret);
/* Each message of a stream to `each` (which must not keep it), until it returns not 0. */
MUST_USE int ctl_follow(struct fiber *f, struct ctl_call *call,
			int (*each)(struct ctl *ctl, struct json_object *message));

/* What most verbs are: ask, and keep what is at `path` of the reply ("": itself) to be shown ... */
MUST_USE int ctl_list(struct fiber *f, struct ctl_call *call, const char *path,
		      const struct ctl_table *table);
MUST_USE int ctl_show(struct fiber *f, struct ctl_call *call, const char *path,
		      const struct ctl_table *table);
/* ... or say so: "pool 'a' destroyed"; with -o json the reply. */
MUST_USE int ctl_do(struct fiber *f, struct ctl_call *call, const char *say, ...)
	__attribute__((format(printf, 3, 4)));

/* ... with a reply that was asked for: it is given away. */
int ctl_say(struct ctl *ctl, struct json_object *reply, const char *say, ...)
	__attribute__((format(printf, 3, 4)));

/* A random UUID as text, of ctl_alloc(); or NULL. */
char *ctl_new_uuid(struct fiber *f, struct ctl *ctl);
int ctl_run(struct ctl *ctl); /* exit code */

#endif
