/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli - commands of the form `mayastor NOUN VERB OPERAND... [OPTION...] DISK...`, done to
 * pools that no node has imported.
 *
 * A noun is a table of verbs; what is typed is decoded against it into a struct cli, and
 * the verb's fiber runs on a node of one reactor. Whatever is wrong is one line on standard
 * error that names the thing and what was expected; nothing is opened before all of it is right.
 */
#ifndef BIN_CLI_H
#define BIN_CLI_H

#include <stdio.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

#define CLI_OPERANDS_MAX 2

enum cli_option {
	CLI_SIZE = 1 << 0,
	CLI_CLUSTER = 1 << 1,
	CLI_OVERCOMMIT = 1 << 2,
	CLI_UUID = 1 << 3,
	CLI_THICK = 1 << 4,
	CLI_FORCE = 1 << 5,
	CLI_QUIET = 1 << 6,
	CLI_USAGE = 1 << 7,
	CLI_NEW_DISK = 1 << 8,
};

struct cli {
	const struct cli_noun *noun;
	const struct cli_verb *verb;
	const char *operands[CLI_OPERANDS_MAX];
	char pool[POOL_NAME_LEN_MAX + 1]; /* the POOL of an operand POOL/NAME; "" if none */
	const char *name;		  /* its NAME, else the first operand */
	char **disks;			  /* URIs; owned, and each of them */
	unsigned operand_count, disk_count;
	unsigned given; /* enum cli_option */
	uint64_t size, cluster;
	uint64_t overcommit;
	struct uuid uuid;
	char *new_disk; /* URI; owned */
	bool thick, force, quiet, usage;
	struct mem_heap heap;
	struct pool_check_result checked;
};

struct cli_verb {
	const char *name;
	const char *operands;	 /* as the usage shows them: "POOL/NAME NEW" */
	unsigned options, needs; /* enum cli_option */
	const char *help;
	fiber_fn main; /* arg: struct cli */
};

struct cli_noun {
	const char *name, *help;
	const struct cli_verb *verbs;
	unsigned verb_count;
	void (*report)(const struct cli *cli); /* after a verb went well; may be NULL */
};

/* The exit code. argv[0] is the noun. */
int cli_main(const struct cli_noun *noun, int argc, char **argv);

/* Import the pool of the disks (it must be called cli->pool, if that is given), fn, export. */
typedef int (*cli_pool_fn)(struct fiber *f, struct pool *pool, struct cli *cli);
MUST_USE int cli_with_pool(struct fiber *f, struct cli *cli, bool read_only, cli_pool_fn fn);

/* Export it after r, which was done to it; the first error wins. */
MUST_USE int cli_leave(struct fiber *f, struct pool *pool, int r);

/* 0 or -EINVAL with a line on standard error. See cli_args.c. */
MUST_USE int cli_decode(struct cli *cli, int argc, char **argv);
void cli_usage(FILE *to, const struct cli_noun *noun);

#define CLI_SIZE_TEXT 24
/* "1.5 GiB" */
const char *cli_size(uint64_t bytes, char text[CLI_SIZE_TEXT]);

#endif
