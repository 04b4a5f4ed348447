// SPDX-License-Identifier: Apache-2.0
/*
 * command_nexus - `mayastor nexus VERB ...`: a volume out of several disks, here or elsewhere.
 *
 * What is typed is decoded against the tables of verbs and options into a struct
 * nexus_command; whatever is wrong is one line on standard error, and nothing is opened then.
 */
#include "bin/command_nexus.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/uri.h"
#include "bin/commands.h"
#include "store/lease.h"

enum option_bit {
	STORE = 1 << 0,
	SIZE = 1 << 1,
	UUID = 1 << 2,
	FORCE = 1 << 3,
	JSON = 1 << 4,
	LISTEN = 1 << 5,
	NQN = 1 << 6,
	HOST = 1 << 7,
	NBD = 1 << 8,
	LEASE = 1 << 9,
	POOL = 1 << 10,
	REACTORS = 1 << 11,
	PIN = 1 << 12,
	CHILD_TIMEOUT = 1 << 13,
	RETRY = 1 << 14,
	IDENTITY = 1 << 15,
};

static const struct nexus_option {
	const char *name, *value, *help;
	enum option_bit bit;
} options[] = {
	{ "--store", "URI", "where volumes are recorded: sqlite:///path", STORE },
	{ "--pool", "DISK[,DISK]", "import the pool on these disks first; once a pool", POOL },
	{ "--size", "SIZE", "of the volume (what its smallest child has)", SIZE },
	{ "--uuid", "UUID", "its identity (a new one)", UUID },
	{ "--listen", "ADDR:PORT", "over NVMe/TCP; again for more ports", LISTEN },
	{ "--nqn", "NQN", "its name there (nqn.2019-05.io.openebs: and its uuid)", NQN },
	{ "--allow-host", "NQN", "only this host may connect; again for more", HOST },
	{ "--nbd-socket", "PATH", "over NBD", NBD },
	{ "--lease-ms", "N", "how long we count as alive without saying so (10000)", LEASE },
	{ "--identity", "FILE", "of this process: who starts with it again ends its lease",
	  IDENTITY },
	{ "--child-timeout-ms", "N", "a child that does not answer so long has failed (8000)",
	  CHILD_TIMEOUT },
	{ "--retry-ms", "N", "until a child that failed is tried again, at first (1000)", RETRY },
	{ "--reactors", "N", "threads; default 1", REACTORS },
	{ "--pin", NULL, "one core each", PIN },
	{ "--force", NULL, "a child whatever it bears; a volume whose owner cannot be fenced",
	  FORCE },
	{ "--json", NULL, "lines of JSON", JSON },
};

#define NODE_OPTIONS (STORE | POOL | REACTORS | PIN)

static const struct nexus_verb verbs[] = {
	{ .name = "create",
	  .operands = "NAME URI...",
	  .help = "record a volume of these children",
	  .options = NODE_OPTIONS | SIZE | UUID | FORCE | JSON,
	  .words_min = 2,
	  .words = 1 + NEXUS_CHILDREN_MAX,
	  .open = nexus_create_open },
	{ .name = "serve",
	  .operands = "NAME",
	  .help = "own it, publish it, and tell what happens to it",
	  .options = NODE_OPTIONS | LISTEN | NQN | HOST | NBD | LEASE | IDENTITY | CHILD_TIMEOUT |
		     RETRY | FORCE | JSON,
	  .words_min = 1,
	  .words = 1,
	  .lasts = true,
	  .open = nexus_serve_open,
	  .hangup = nexus_serve_hangup,
	  .close = nexus_serve_close },
	{ .name = "list",
	  .operands = "",
	  .help = "what is recorded",
	  .options = STORE | JSON,
	  .open = nexus_list_open },
	{ .name = "show",
	  .operands = "NAME",
	  .help = "one volume, with its members",
	  .options = STORE | JSON,
	  .words_min = 1,
	  .words = 1,
	  .open = nexus_show_open },
	{ .name = "destroy",
	  .operands = "NAME",
	  .help = "forget a volume; its children keep their data",
	  .options = NODE_OPTIONS,
	  .words_min = 1,
	  .words = 1,
	  .open = nexus_destroy_open },
};

/* ---- help ------------------------------------------------------------------------------ */

static void usage(FILE *to)
{
	fputs("Usage: mayastor nexus VERB [NAME] [OPTION]...\n\n"
	      "A volume out of several disks: written to all, read from one.\n\nVerbs:\n",
	      to);
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(to, "  %-8s %-12s %s\n", verbs[i].name, verbs[i].operands, verbs[i].help);
	fputs("\nOptions:\n", to);
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		fprintf(to, "  %s %-*s %s\n", options[i].name, (int)(24 - strlen(options[i].name)),
			options[i].value ? options[i].value : "", options[i].help);
	fputs("\nNAME is a volume's name or uuid; URI is any disk: pool:///POOL/REPLICA,\n"
	      "nvmf://HOST:PORT/NQN, file:///path, malloc:///x?size_mb=64 ...\n"
	      "Exit codes: 0 done, 2 could not be done, 64 wrong usage.\n",
	      to);
}

/* ---- what was typed ----------------------------------------------------------------------- */

static bool PRINTF_LIKE(2, 3) wrong(const struct nexus_command *cmd, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", cmd->who);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return false;
}

static bool take_list(struct nexus_command *cmd, const char *what, const char *value,
		      const char **list, unsigned max, unsigned *count)
{
	if (*count == max)
		return wrong(cmd, "%s: at most %u times", what, max);
	list[(*count)++] = value;
	return true;
}

static bool take_text(struct nexus_command *cmd, const char *what, const char *value,
		      const char **ret)
{
	if (*ret)
		return wrong(cmd, "%s is given twice", what);
	*ret = value;
	return true;
}

static bool take_flag(struct nexus_command *cmd, enum option_bit bit)
{
	cmd->force |= bit == FORCE;
	cmd->json |= bit == JSON;
	cmd->service.pin |= bit == PIN;
	return true;
}

static bool take_value(struct mem *mem, struct nexus_command *cmd,
		       const struct nexus_option *option, const char *value)
{
	const char *name = option->name;

	switch (option->bit) {
	case STORE:
		return take_text(cmd, name, value, &cmd->store);
	case NQN:
		return take_text(cmd, name, value, &cmd->nqn);
	case NBD:
		return take_text(cmd, name, value, &cmd->nbd_socket);
	case IDENTITY:
		return take_text(cmd, name, value, &cmd->identity);
	case LISTEN:
		return take_list(cmd, name, value, cmd->listens, NEXUS_LISTEN_MAX,
				 &cmd->listen_count);
	case HOST:
		return take_list(cmd, name, value, cmd->hosts, NEXUS_HOSTS_MAX, &cmd->host_count);
	case POOL:
		return service_take_pool(&cmd->service, mem, value);
	case REACTORS:
		return service_take_number(&cmd->service, value, REACTORS_MAX,
					   &cmd->service.reactors);
	case LEASE:
		return service_take_number(&cmd->service, value, LEASE_TTL_MS_MAX, &cmd->lease_ms);
	case CHILD_TIMEOUT:
		return service_take_number(&cmd->service, value, NEXUS_CHILD_TIMEOUT_MS_MAX,
					   &cmd->child_timeout_ms);
	case RETRY:
		return service_take_number(&cmd->service, value, NEXUS_RETRY_MS_MAX,
					   &cmd->retry_ms);
	case SIZE:
		return uri_text_size(value, &cmd->size_bytes) == 0 ||
		       wrong(cmd, "--size is '%s', expected a size in bytes or as 10GiB", value);
	case UUID:
		return uuid_parse(value, &cmd->uuid) == 0 ||
		       wrong(cmd, "--uuid is '%s', expected a UUID", value);
	default:
		return take_flag(cmd, option->bit);
	}
}

static const struct nexus_option *option_find(const struct nexus_command *cmd, const char *word)
{
	size_t len = strcspn(word, "=");

	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, word, len) == 0 &&
		    cmd->verb->options & options[i].bit)
			return &options[i];
	return NULL;
}

/* `--name value` or `--name=value`; *ret_used: how many words. */
static bool take_option(struct mem *mem, struct nexus_command *cmd, const char *word,
			const char *next, int *ret_used)
{
	const struct nexus_option *option = option_find(cmd, word);
	const char *value = strchr(word, '=');

	if (!option)
		return wrong(cmd,
			     "there is no option '%s' here; 'mayastor nexus --help' lists them",
			     word);
	if (!option->value && value)
		return wrong(cmd, "%s takes no value", option->name);
	*ret_used = option->value && !value ? 2 : 1;
	value = value ? value + 1 : next;
	if (option->value && !value)
		return wrong(cmd, "%s: %s is expected behind it", option->name, option->value);
	return take_value(mem, cmd, option, value);
}

static bool take_word(struct nexus_command *cmd, const char *word, unsigned count)
{
	if (count == cmd->verb->words)
		return wrong(cmd, "'%s' is too much: expected %s", word, cmd->verb->operands);
	if (count == 0)
		cmd->name = word;
	else
		cmd->uris[cmd->uri_count++] = word;
	return true;
}

static bool check_doors(const struct nexus_command *cmd)
{
	if (cmd->listen_count && cmd->nbd_socket)
		return wrong(cmd, "a volume is published once: --listen or --nbd-socket");
	if (!cmd->listen_count && (cmd->nqn || cmd->host_count))
		return wrong(cmd, "--nqn and --allow-host are of NVMe/TCP: --listen is expected");
	if (cmd->lease_ms && cmd->lease_ms < LEASE_TTL_MS_MIN)
		return wrong(cmd, "--lease-ms is %u, expected %u to %u", cmd->lease_ms,
			     LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX);
	return true;
}

static bool take_all(struct mem *mem, struct nexus_command *cmd, int argc, char **argv)
{
	unsigned words = 0;

	for (int i = 2, used; i < argc; i += used) {
		used = 1;
		if (strncmp(argv[i], "--", 2) == 0) {
			if (!take_option(mem, cmd, argv[i], i + 1 < argc ? argv[i + 1] : NULL,
					 &used))
				return false;
		} else if (!take_word(cmd, argv[i], words++)) {
			return false;
		}
	}
	if (words < cmd->verb->words_min)
		return wrong(cmd, "%s is expected", cmd->verb->operands);
	if (!cmd->store)
		return wrong(cmd, "--store URI is expected");
	return check_doors(cmd);
}

/* ---- running ---------------------------------------------------------------------------------- */

static int run(const struct nexus_verb *verb, int argc, char **argv)
{
	struct nexus_command *cmd;
	struct mem_heap heap;
	int code = EXIT_FAILED;

	mem_heap_init(&heap);
	cmd = mem_alloc(&heap.mem, sizeof(*cmd));
	if (cmd) {
		cmd->verb = verb;
		snprintf(cmd->who, sizeof(cmd->who), "mayastor nexus %s", verb->name);
		cmd->service = (struct service){ .who = cmd->who,
						 .reactors = 1,
						 .open = verb->open,
						 .hangup = verb->hangup,
						 .close = verb->close,
						 .ctx = cmd };
		code = EXIT_USAGE;
		if (take_all(&heap.mem, cmd, argc, argv))
			code = service_run(&cmd->service);
		service_free_pools(&cmd->service);
		mem_free(cmd);
	}
	mem_heap_fini(&heap);
	return code;
}

int command_nexus(int argc, char **argv)
{
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return run(&verbs[i], argc, argv);
	fprintf(stderr,
		"mayastor nexus: there is no '%s'; 'mayastor nexus --help' lists what there is\n",
		argv[1]);
	return EXIT_USAGE;
}
