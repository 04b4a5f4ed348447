// SPDX-License-Identifier: Apache-2.0
/*
 * cli_args - from what was typed to a struct cli.
 *
 * Operands come first, in their order; what follows them, and every --disk, is a disk.
 * Options may stand anywhere, as `--name value` or `--name=value`.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/uri.h"
#include "bin/cli.h"

enum kind { KIND_FLAG, KIND_SIZE, KIND_PERCENT, KIND_UUID, KIND_DISK };

static const struct option {
	const char *name, *value, *help;
	enum kind kind;
	enum cli_option option; /* 0: every verb takes it */
	size_t offset;
} options[] = {
	{ "disk", "DISK", "one more disk of the pool", KIND_DISK, 0, 0 },
	{ "size", "SIZE", "of the replica: bytes, or as 10GiB", KIND_SIZE, CLI_SIZE,
	  offsetof(struct cli, size) },
	{ "cluster", "SIZE", "unit of allocation: 16KiB to 1MiB, a power of two (64KiB)", KIND_SIZE,
	  CLI_CLUSTER, offsetof(struct cli, cluster) },
	{ "overcommit", "PERCENT", "how much more than there is may be promised (200)",
	  KIND_PERCENT, CLI_OVERCOMMIT, offsetof(struct cli, overcommit) },
	{ "uuid", "UUID", "its identity (a new one)", KIND_UUID, CLI_UUID,
	  offsetof(struct cli, uuid) },
	{ "new", "DISK", "the disk to be added", KIND_DISK, CLI_NEW_DISK,
	  offsetof(struct cli, new_disk) },
	{ "thick", NULL, "reserve all its space at once", KIND_FLAG, CLI_THICK,
	  offsetof(struct cli, thick) },
	{ "force", NULL, "also where something is lost by it", KIND_FLAG, CLI_FORCE,
	  offsetof(struct cli, force) },
	{ "usage", NULL, "walk the maps: what is referenced, what is exclusive", KIND_FLAG,
	  CLI_USAGE, offsetof(struct cli, usage) },
	{ "quiet", NULL, "only the sum", KIND_FLAG, CLI_QUIET, offsetof(struct cli, quiet) },
};

static int PRINTF_LIKE(2, 3) wrong(const struct cli *cli, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "mayastor %s %s: ", cli->noun->name, cli->verb->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

/* ---- values -------------------------------------------------------------------------------- */

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("/._-~+,=@", c);
}

/* A path is a file:// URI; what means something in a URI is escaped. */
static char *path_uri(struct mem *mem, const char *path)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t len = strlen(path), n = 0;
	char *escaped = mem_alloc(mem, len * 3 + 1), *uri;

	if (!escaped)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)path[i];

		if (is_plain(path[i])) {
			escaped[n++] = path[i];
			continue;
		}
		escaped[n++] = '%';
		escaped[n++] = digits[c >> 4];
		escaped[n++] = digits[c & 15];
	}
	escaped[n] = '\0';
	uri = mem_printf(mem, "file://%s", escaped);
	mem_free(escaped);
	return uri;
}

static int disk_uri(struct cli *cli, const char *text, char **ret)
{
	if (text[0] != '/' && !strchr(text, ':'))
		return wrong(cli, "'%s': a path from the root or a URI of a disk is expected",
			     text);
	*ret = text[0] == '/' ? path_uri(&cli->heap.mem, text) : mem_strdup(&cli->heap.mem, text);
	return *ret ? 0 : wrong(cli, "no memory");
}

static int disk_take(struct cli *cli, const char *text)
{
	TRY(disk_uri(cli, text, &cli->disks[cli->disk_count]));
	cli->disk_count++;
	return 0;
}

static int value_take(struct cli *cli, const struct option *option, const char *text)
{
	void *to = (char *)cli + option->offset;

	switch (option->kind) {
	case KIND_FLAG:
		*(bool *)to = true;
		return 0;
	case KIND_SIZE:
		if (uri_text_size(text, to) == 0)
			return 0;
		return wrong(cli, "--%s is '%s', expected a size in bytes or as 10GiB",
			     option->name, text);
	case KIND_PERCENT:
		if (uri_text_u64(text, to) == 0)
			return 0;
		return wrong(cli, "--%s is '%s', expected a number of percent", option->name, text);
	case KIND_UUID:
		if (uuid_parse(text, to) == 0)
			return 0;
		return wrong(cli, "--%s is '%s', expected a UUID", option->name, text);
	default:
		return option->option ? disk_uri(cli, text, to) : disk_take(cli, text);
	}
}

/* ---- words -------------------------------------------------------------------------------- */

static const struct option *option_find(const char *name, size_t len)
{
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
			return &options[i];
	return NULL;
}

/* `--name`, with its value behind '=' or in the next word; *ret_used: how many words. */
static int option_take(struct cli *cli, const char *word, const char *next, int *ret_used)
{
	size_t len = strcspn(word + 2, "=");
	const char *value = word[2 + len] ? word + 2 + len + 1 : NULL;
	const struct option *option = option_find(word + 2, len);

	if (!option || (option->option && !(cli->verb->options & option->option)))
		return wrong(cli, "there is no option '%s' here; 'mayastor %s --help' lists them",
			     word, cli->noun->name);
	if (cli->given & option->option)
		return wrong(cli, "--%s is given twice", option->name);
	cli->given |= option->option;
	*ret_used = 1;
	if (option->kind == KIND_FLAG && value)
		return wrong(cli, "--%s takes no value", option->name);
	if (option->kind != KIND_FLAG && !value) {
		value = next;
		*ret_used = 2;
	}
	if (option->kind != KIND_FLAG && !value)
		return wrong(cli, "--%s: %s is expected behind it", option->name, option->value);
	return value_take(cli, option, value);
}

static unsigned words_in(const char *text)
{
	unsigned n = *text != '\0';

	for (; *text; text++)
		n += *text == ' ';
	return n;
}

/* POOL/NAME: both are checked by whom they are for; here only that there are two. */
static int pool_name_take(struct cli *cli)
{
	const char *slash;

	cli->name = cli->operands[0];
	if (strncmp(cli->verb->operands, "POOL/", 5) != 0)
		return 0;
	slash = strchr(cli->name, '/');
	if (!slash || slash == cli->name || (size_t)(slash - cli->name) > POOL_NAME_LEN_MAX ||
	    !slash[1] || strchr(slash + 1, '/'))
		return wrong(cli, "'%s': %.*s is expected", cli->name,
			     (int)strcspn(cli->verb->operands, " "), cli->verb->operands);
	memcpy(cli->pool, cli->name, (size_t)(slash - cli->name));
	cli->name = slash + 1;
	return 0;
}

static int check_complete(struct cli *cli, unsigned wanted)
{
	unsigned missing = cli->verb->needs & ~cli->given;

	if (cli->operand_count < wanted)
		return wrong(cli, "%s is expected", cli->verb->operands);
	for (unsigned i = 0; i < ARRAY_LEN(options); i++)
		if (missing & options[i].option)
			return wrong(cli, "--%s %s is expected", options[i].name, options[i].value);
	if (cli->disk_count == 0)
		return wrong(cli, "the disks of the pool are expected");
	return wanted ? pool_name_take(cli) : 0;
}

int cli_decode(struct cli *cli, int argc, char **argv)
{
	unsigned wanted = words_in(cli->verb->operands);

	cli->disks = mem_alloc_array(&cli->heap.mem, (size_t)argc + 1, sizeof(*cli->disks));
	if (!cli->disks)
		return wrong(cli, "no memory");
	for (int i = 0, used; i < argc; i += used) {
		used = 1;
		if (strncmp(argv[i], "--", 2) == 0)
			TRY(option_take(cli, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &used));
		else if (cli->operand_count < wanted)
			cli->operands[cli->operand_count++] = argv[i];
		else
			TRY(disk_take(cli, argv[i]));
	}
	return check_complete(cli, wanted);
}

void cli_usage(FILE *to, const struct cli_noun *noun)
{
	fprintf(to, "Usage: mayastor %s VERB [OPERAND]... [OPTION]... DISK...\n\n%s\n\nVerbs:\n",
		noun->name, noun->help);
	for (unsigned i = 0; i < noun->verb_count; i++)
		fprintf(to, "  %-9s%-22s%s\n", noun->verbs[i].name, noun->verbs[i].operands,
			noun->verbs[i].help);
	fputs("\nOptions:\n", to);
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		unsigned all = options[i].option == 0;

		for (unsigned v = 0; v < noun->verb_count; v++)
			all |= noun->verbs[v].options & options[i].option;
		if (all)
			fprintf(to, "  --%s %-*s%s\n", options[i].name,
				(int)(24 - strlen(options[i].name)),
				options[i].value ? options[i].value : "", options[i].help);
	}
	fputs("\nDISK is a path or the URI of a block device; all disks of the pool, in any order.\n"
	      "Exit codes: 0 done, 1 errors were found, 2 could not be done, 64 wrong usage.\n",
	      to);
}
