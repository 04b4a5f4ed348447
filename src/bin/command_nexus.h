/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_nexus - what the files of `mayastor nexus` share.
 *
 *	command_nexus.c		verbs and options
 *	command_nexus_record.c	create, list, show, destroy: the record of a volume
 *	command_nexus_serve.c	serve: own it, publish it, tell what happens
 *	command_nexus_typed.c	what is typed meanwhile
 *	command_nexus_text.c	a volume and its members as text and as JSON
 */
#ifndef BIN_COMMAND_NEXUS_H
#define BIN_COMMAND_NEXUS_H

#include "bin/service.h"
#include "bin/typed.h"
#include "nexus/nexus.h"

#define NEXUS_LISTEN_MAX 16u
#define NEXUS_HOSTS_MAX	 64u

struct nexus_command;
struct nexus_serving;
struct publish;
struct tgt;

struct nexus_verb {
	const char *name, *operands, *help;
	unsigned options;			 /* 1 << index of command_nexus.c's table */
	unsigned words_min, words;		 /* operands */
	bool lasts;				 /* until it is interrupted */
	int (*open)(struct fiber *f, void *ctx); /* ctx: struct nexus_command */
	void (*hangup)(struct fiber *f, void *ctx);
	void (*close)(struct fiber *f, void *ctx);
};

struct nexus_command {
	const struct nexus_verb *verb;
	char who[32]; /* for words */
	struct service service;
	const char *name; /* of the volume, or its uuid */
	const char *uris[NEXUS_CHILDREN_MAX + 1];
	unsigned uri_count, listen_count, host_count;
	const char *store;
	const char *listens[NEXUS_LISTEN_MAX], *hosts[NEXUS_HOSTS_MAX];
	const char *nqn, *nbd_socket, *identity;
	struct io_file *identity_file; /* owned, while it has a table; NULL: no --identity */
	uint64_t size_bytes;
	struct uuid uuid;
	unsigned lease_ms, child_timeout_ms, retry_ms;
	bool force, json;
	struct nexus_serving *serving; /* owned by command_nexus_serve.c */
};

/* ---- command_nexus_record.c ----------------------------------------------------------------- */

int nexus_create_open(struct fiber *f, void *ctx);
int nexus_list_open(struct fiber *f, void *ctx);
int nexus_show_open(struct fiber *f, void *ctx);
int nexus_destroy_open(struct fiber *f, void *ctx);

MUST_USE int nexus_store_open(struct fiber *f, const struct nexus_command *cmd, struct store **ret);
/* A table of this process, with a new instance; the node knows it then. */
MUST_USE int nexus_join(struct fiber *f, struct nexus_command *cmd, struct store *store,
			struct nexus_table **ret);
void nexus_leave(struct fiber *f, struct nexus_command *cmd, struct nexus_table *table);
/* The volume of that name or uuid. -ENOENT. */
MUST_USE int nexus_record_find(struct fiber *f, struct store *store, const char *name,
			       struct volume_record *ret);

/* ---- command_nexus_serve.c ------------------------------------------------------------------ */

#define NEXUS_TOLD_MAX 64u /* changes that wait to be printed; more are only counted */

/* A change of a state. */
struct nexus_told {
	uint64_t now_ns;
	char uri[VOLUME_URI_MAX + 1]; /* "": the nexus */
	char was[16], is[16], reason[64];
};

struct nexus_serving {
	struct nexus_command *cmd;
	struct io *io;
	struct store *store;
	struct nexus_table *table;
	struct nexus *nexus;
	struct tgt *tgt;	 /* NULL: not over NVMe/TCP */
	struct nbd_server *nbd;	 /* NULL: not over NBD */
	struct publish *publish; /* NULL: unpublished */
	struct tgt_port *ports[NEXUS_LISTEN_MAX];
	struct typed *typed;
	struct fiber *watcher;
	struct event wake; /* of it */
	struct nexus_watch watch;
	bool is_over, is_watching;
	uint64_t start_ns;
	struct nexus_info info;
	uint64_t rebuilt[NEXUS_CHILDREN_MAX];	/* told of so far */
	struct nexus_told told[NEXUS_TOLD_MAX]; /* a ring: to be printed */
	unsigned told_count, printed_count, lost_count;
};

int nexus_serve_open(struct fiber *f, void *ctx);
void nexus_serve_hangup(struct fiber *f, void *ctx);
void nexus_serve_close(struct fiber *f, void *ctx);
MUST_USE int nexus_serve_publish(struct fiber *f, struct nexus_serving *s);
void nexus_serve_unpublish(struct fiber *f, struct nexus_serving *s);

/* ---- command_nexus_typed.c ------------------------------------------------------------------ */

int nexus_typed_run(struct fiber *f, void *ctx, char *words[TYPED_WORDS_MAX + 1]);

/* ---- command_nexus_text.c ------------------------------------------------------------------- */

void nexus_print_record(const struct volume_record *rec, bool json);
void nexus_print_row(const struct volume_record *rec); /* NULL: the heading */
void nexus_print_state(const struct nexus_serving *s, const struct nexus_info *info, bool json);
void nexus_print_rebuilt(const struct nexus_serving *s, const struct nexus_rebuild_record *rec);
void nexus_print_change(const struct nexus_serving *s, const struct nexus_told *told);
/* A line for each rebuild that went on. */
void nexus_print_progress(struct nexus_serving *s, uint64_t now_ns);

#endif
