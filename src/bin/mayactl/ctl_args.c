// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_args - what was typed, against the table of verbs.
 *
 * Options may stand anywhere behind the verb, as --name VALUE or --name=VALUE; `--` ends them. Global ones
 * may stand before the noun as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/cursor.h"
#include "base/uri.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

/* ---- options -------------------------------------------------------------------------- */

static const struct option {
	const char *name, *value, *help; /* value NULL: it has none */
} options[] = {
	[CTL_UUID] = { "uuid", "UUID", "of what is made; else a new one" },
	[CTL_POOL] = { "pool", "POOL", "name or UUID of the pool it is in" },
	[CTL_SIZE] = { "size", "SIZE", "bytes, or as 10GiB" },
	[CTL_CLUSTER] = { "cluster", "SIZE", "unit of allocation, 16KiB to 1MiB" },
	[CTL_THICK] = { "thick", NULL, "take all of the space at once" },
	[CTL_SHARE] = { "share", "nvmf|none", "how others reach it" },
	[CTL_ALLOW] = { "allow", "NQN", "a host that may connect; again for more; none: all may" },
	[CTL_CHILD] = { "child", "URI", "of a replica or disk; once for each" },
	[CTL_ENTITY] = { "entity", "ID", "whose it is" },
	[CTL_ALL] = { "all", NULL, "also those that no pool can be made of" },
	[CTL_NO_REBUILD] = { "no-rebuild", NULL, "do not copy to it yet" },
	[CTL_NAME] = { "name", "NAME", "of what is made" },
	[CTL_READ_ONLY] = { "read-only", NULL, "nobody may write" },
	[CTL_FORCE] = { "force", NULL, "whatever it bears is lost" },
	[CTL_SINCE] = { "since", "NUMBER", "only what came after this event" },
	[CTL_NO_FOLLOW] = { "no-follow", NULL, "do not wait for new ones" },
	[CTL_REPLICA] = { "replica", "UUID", "only those of this replica" },
	[CTL_RESV_KEY] = { "resv-key", "NUMBER", "kept and told" },
	[CTL_CNTLID] = { "cntlid", "MIN-MAX", "controller ids of its subsystem" },
	[CTL_FOLLOW] = { "follow", NULL, "and the new ones, as they come" },
};

static const char *const global_help =
	"Global options:\n"
	"  --node TARGET       the node: HOST:PORT or unix:/PATH; again to list several\n"
	"                      (127.0.0.1:" CTL_PORT ")\n"
	"  -o table|wide|json  how it is shown\n"
	"  --watch[=SECONDS]   again and again, every 2 seconds\n"
	"  --timeout SECONDS   for an answer (60)\n"
	"  --ca FILE, --cert FILE, --key FILE\n"
	"                      TLS: who signs the node's certificate, and ours\n";

static int __attribute__((format(printf, 2, 3)))
wrong(const struct ctl *ctl, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "mayactl%s%s%s%s: ", ctl->verb ? " " : "", ctl->verb ? ctl->verb->noun : "",
		ctl->verb ? " " : "", ctl->verb ? ctl->verb->name : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return -EINVAL;
}

/* ---- usage -------------------------------------------------------------------------------- */

static void verb_line(FILE *to, const struct ctl_verb *verb)
{
	char line[120];

	snprintf(line, sizeof(line), "%s %s", verb->name, verb->operands);
	fprintf(to, "  %-28s %s\n", line, verb->help);
}

static void usage_all(FILE *to)
{
	fputs("Usage: mayactl [GLOBAL OPTION]... NOUN VERB [OPERAND]... [OPTION]...\n\n"
	      "Asks a storage node (mayastor), and tells it what to do.\n\nNouns and their verbs:\n",
	      to);
	for (const struct ctl_verb *const *noun = ctl_nouns; *noun; noun++) {
		fprintf(to, "  %-10s", (*noun)->noun);
		for (const struct ctl_verb *verb = *noun; verb->name; verb++)
			fprintf(to, "%s%s", verb == *noun ? "" : ", ", verb->name);
		fputc('\n', to);
	}
	fprintf(to,
		"\n%s\n'mayactl NOUN --help' tells a noun's verbs, 'mayactl NOUN VERB --help' one's "
		"options.\n\n"
		"Begin with:\n"
		"  mayactl device list\n"
		"  mayactl pool create tank /dev/sdb\n"
		"  mayactl replica create vol --pool tank --size 10GiB --share nvmf\n"
		"  mayactl nexus create data --size 10GiB --child nvmf://HOST:8420/NQN --child ...\n"
		"  mayactl nexus publish data\n",
		global_help);
}

static void usage_noun(FILE *to, const struct ctl_verb *verbs)
{
	fprintf(to, "Usage: mayactl %s VERB ...\n\n", verbs->noun);
	for (const struct ctl_verb *verb = verbs; verb->name; verb++)
		verb_line(to, verb);
}

static void usage_verb(FILE *to, const struct ctl_verb *verb)
{
	fprintf(to, "Usage: mayactl %s %s %s%s\n\n%s\n", verb->noun, verb->name, verb->operands,
		verb->options ? " [OPTION]..." : "", verb->help);
	if (verb->options)
		fputs("\nOptions:\n", to);
	for (unsigned i = 0; i < CTL_OPTS; i++) {
		char word[40];

		if (!(verb->options & CTL_BIT(i)))
			continue;
		snprintf(word, sizeof(word), "--%s %s", options[i].name,
			 options[i].value ? options[i].value : "");
		fprintf(to, "  %-19s %s%s\n", word, options[i].help,
			verb->needs & CTL_BIT(i) ? " (needed)" : "");
	}
	fprintf(to, "\n%s", global_help);
}

/* ---- values --------------------------------------------------------------------------------- */

int ctl_size(struct fiber *f, const char *name, const char *text, uint64_t *ret)
{
	if (uri_text_size(text, ret) == 0)
		return 0;
	return fiber_fail(f, -EINVAL, "%s is '%s', expected a size in bytes or as 10GiB", name,
			  text);
}

int ctl_number(struct fiber *f, const char *name, const char *text, uint64_t max, uint64_t *ret)
{
	if (uri_text_u64(text, ret) == 0 && *ret <= max)
		return 0;
	return fiber_fail(f, -EINVAL, "%s is '%s', expected a number up to %" PRIu64, name, text,
			  max);
}

/* A port is added where there is none. */
static int node_take(struct ctl *ctl, const char *text)
{
	const char *colon = strrchr(text, ':');
	const bool has_port = strncmp(text, "unix:", 5) == 0 || (colon && text[0] != '[') ||
			      (colon && colon[-1] == ']');
	struct ctl_node *node = &ctl->nodes[ctl->node_count];

	if (ctl->node_count == CTL_NODES_MAX)
		return wrong(ctl, "more than 16 nodes");
	if (!*text || strlen(text) + sizeof(CTL_PORT) >= sizeof(node->target))
		return wrong(ctl, "--node is '%.80s', expected HOST:PORT or unix:/PATH", text);
	snprintf(node->target, sizeof(node->target), "%s%s", text, has_port ? "" : ":" CTL_PORT);
	ctl->node_count++;
	return 0;
}

static int format_take(struct ctl *ctl, const char *text)
{
	static const char *const names[] = { "table", "wide", "json" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			ctl->format = (enum ctl_format)i;
			return 0;
		}
	return wrong(ctl, "-o is '%s', expected table, wide or json", text);
}

static int seconds_take(struct ctl *ctl, const char *name, const char *text, uint64_t *ret_ns)
{
	uint64_t seconds;

	if (uri_text_u64(text, &seconds) < 0 || seconds == 0 || seconds > 86400)
		return wrong(ctl, "--%s is '%s', expected seconds, 1 to 86400", name, text);
	*ret_ns = seconds * 1000000000;
	return 0;
}

/* ---- words ------------------------------------------------------------------------------------ */

struct words {
	char **argv;
	int argc, at;
};

/* "--name=VALUE", or the next word. NULL: there is none. */
static const char *value_of(struct words *words, const char *word)
{
	const char *equals = strchr(word, '=');

	if (equals)
		return equals + 1;
	return words->at < words->argc ? words->argv[words->at++] : NULL;
}

static bool is_option(const char *word, const char *name)
{
	const size_t len = strlen(name);

	return strncmp(word, name, len) == 0 && (word[len] == 0 || word[len] == '=');
}

static int file_take(struct ctl *ctl, struct words *words, const char *word, const char **ret)
{
	*ret = value_of(words, word);
	return *ret ? 0 : wrong(ctl, "%s needs a file", word);
}

/* 1: it is one, and taken; 0: it is none. */
static int global_take(struct ctl *ctl, struct words *words, const char *word)
{
	const char *text;

	if (is_option(word, "--watch")) {
		const char *equals = strchr(word, '=');

		ctl->watch_ns = 2000000000;
		return equals && seconds_take(ctl, "watch", equals + 1, &ctl->watch_ns) < 0 ?
			       -EINVAL :
			       1;
	}
	if (is_option(word, "--ca"))
		return file_take(ctl, words, word, &ctl->ca) < 0 ? -EINVAL : 1;
	if (is_option(word, "--cert"))
		return file_take(ctl, words, word, &ctl->cert) < 0 ? -EINVAL : 1;
	if (is_option(word, "--key"))
		return file_take(ctl, words, word, &ctl->key) < 0 ? -EINVAL : 1;
	if (!is_option(word, "--node") && !is_option(word, "-o") && !is_option(word, "--output") &&
	    !is_option(word, "--timeout"))
		return 0;
	text = value_of(words, word);
	if (!text)
		return wrong(ctl, "%s needs a value", word);
	if (is_option(word, "--node"))
		return node_take(ctl, text) < 0 ? -EINVAL : 1;
	if (is_option(word, "--timeout"))
		return seconds_take(ctl, "timeout", text, &ctl->timeout_ns) < 0 ? -EINVAL : 1;
	return format_take(ctl, text) < 0 ? -EINVAL : 1;
}

static int option_take(struct ctl *ctl, struct words *words, const char *word)
{
	for (unsigned i = 0; i < CTL_OPTS; i++) {
		char name[40];
		const char *text = "";

		snprintf(name, sizeof(name), "--%s", options[i].name);
		if (!is_option(word, name) || !(ctl->verb->options & CTL_BIT(i)))
			continue;
		if (!options[i].value && strchr(word, '='))
			return wrong(ctl, "%s has no value, but '%s' was typed", name, word);
		if (options[i].value)
			text = value_of(words, word);
		if (!text || (options[i].value && !*text))
			return wrong(ctl, "%s needs %s", name, options[i].value);
		if (ctl->counts[i] == CTL_VALUES_MAX)
			return wrong(ctl, "more than 64 times %s", name);
		ctl->values[i][ctl->counts[i]++] = text;
		return 0;
	}
	return wrong(ctl, "there is no option '%s'; --help lists them", word);
}

static int operand_take(struct ctl *ctl, const char *word)
{
	if (ctl->operand_count == CTL_OPERANDS_MAX)
		return wrong(ctl, "'%s' is one too many", word);
	ctl->operands[ctl->operand_count++] = word;
	return 0;
}

/* "POOL [NAME] DISK...": 2 to any number of them. */
static int operands_check(const struct ctl *ctl)
{
	const char *spec = ctl->verb->operands;
	unsigned least = 0, most = 0;

	for (const char *word = spec; *word; word += strspn(word, " ")) {
		const size_t len = strcspn(word, " ");

		most++;
		least += word[0] != '[';
		if (len > 3 && strncmp(word + len - 3, "...", 3) == 0)
			most = CTL_OPERANDS_MAX;
		word += len;
	}
	if (ctl->operand_count < least)
		return wrong(ctl, "expected %s", spec);
	if (ctl->operand_count > most)
		return wrong(ctl, "'%s' is one too many, expected %s", ctl->operands[most],
			     most ? spec : "none");
	return 0;
}

static int all_check(const struct ctl *ctl)
{
	for (unsigned i = 0; i < CTL_OPTS; i++) {
		if (ctl->verb->needs & CTL_BIT(i) && !ctl->counts[i])
			return wrong(ctl, "--%s %s is missing", options[i].name, options[i].value);
		if (ctl->counts[i] > 1 && i != CTL_ALLOW && i != CTL_CHILD)
			return wrong(ctl, "--%s was given twice", options[i].name);
	}
	if (ctl->node_count > 1 && !ctl->verb->many_nodes)
		return wrong(ctl, "one node at a time");
	if ((ctl->cert || ctl->key) && (!ctl->ca || !ctl->cert || !ctl->key))
		return wrong(ctl, "--cert and --key belong together, and to --ca");
	return operands_check(ctl);
}

static const struct ctl_verb *noun_find(const char *name)
{
	for (const struct ctl_verb *const *noun = ctl_nouns; *noun; noun++)
		if (strcmp(name, (*noun)->noun) == 0)
			return *noun;
	return NULL;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The noun and the verb. 1: help was given. */
static int verb_take(struct ctl *ctl, struct words *words)
{
	const struct ctl_verb *noun;
	const char *name;

	if (words->at == words->argc) {
		usage_all(stderr);
		return -EINVAL;
	}
	name = words->argv[words->at++];
	if (is_help(name) || strcmp(name, "help") == 0) {
		usage_all(stdout);
		return 1;
	}
	noun = noun_find(name);
	if (!noun)
		return wrong(ctl, "there is no '%s'; 'mayactl --help' lists what there is", name);
	ctl->verb = noun;
	if (noun->is_default && (words->at == words->argc || (words->argv[words->at][0] == '-' &&
							      !is_help(words->argv[words->at]))))
		return 0;
	ctl->verb = NULL;
	if (words->at == words->argc || is_help(words->argv[words->at])) {
		usage_noun(words->at == words->argc ? stderr : stdout, noun);
		return words->at == words->argc ? -EINVAL : 1;
	}
	name = words->argv[words->at++];
	for (ctl->verb = noun; ctl->verb->name; ctl->verb++)
		if (strcmp(name, ctl->verb->name) == 0)
			return 0;
	ctl->verb = NULL;
	return wrong(ctl, "%s: there is no '%s'; --help lists what there is", noun->noun, name);
}

static int rest_take(struct ctl *ctl, struct words *words)
{
	bool only_operands = false;

	while (words->at < words->argc) {
		const char *word = words->argv[words->at++];
		int r;

		if (only_operands || word[0] != '-' || !word[1]) {
			TRY(operand_take(ctl, word));
			continue;
		}
		if (strcmp(word, "--") == 0) {
			only_operands = true;
			continue;
		}
		if (is_help(word)) {
			usage_verb(stdout, ctl->verb);
			return 1;
		}
		r = global_take(ctl, words, word);
		if (r == 0)
			r = option_take(ctl, words, word);
		if (r < 0)
			return r;
	}
	return 0;
}

int ctl_decode(struct ctl *ctl, int argc, char **argv)
{
	struct words words = { argv, argc, 1 };
	int r = 1;

	ctl->timeout_ns = CTL_TIMEOUT_S * UINT64_C(1000000000);
	while (words.at < argc && argv[words.at][0] == '-' && !is_help(argv[words.at]) && r > 0) {
		const char *word = argv[words.at++];

		r = global_take(ctl, &words, word);
		if (r == 0)
			return wrong(ctl, "there is no option '%s'; --help lists them", word);
	}
	if (r < 0)
		return r;
	r = verb_take(ctl, &words);
	if (r == 0)
		r = rest_take(ctl, &words);
	if (r != 0)
		return r;
	if (ctl->node_count == 0)
		TRY(node_take(ctl, "127.0.0.1"));
	return all_check(ctl);
}
