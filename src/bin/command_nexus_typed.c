// SPDX-License-Identifier: Apache-2.0
/* command_nexus_typed - what is typed while a volume is served. docs/commands/nexus.md has the list. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/uri.h"
#include "bin/command_nexus.h"
#include "engine/publish.h"
#include "export/nbd.h"
#include "reactor/fiber.h"

typedef int (*child_fn)(struct fiber *f, struct nexus *nexus, const char *uri);

/* ---- children -------------------------------------------------------------------------------- */

static const struct child_verb {
	const char *name;
	child_fn fn;
} child_verbs[] = {
	{ "add", nexus_add_child },	    { "force", nexus_force_child },
	{ "remove", nexus_remove_child },   { "online", nexus_online_child },
	{ "offline", nexus_offline_child },
};

static int typed_child(struct fiber *f, struct nexus_serving *s, char **words)
{
	for (unsigned i = 0; words[1] && words[2] && i < ARRAY_LEN(child_verbs); i++)
		if (strcmp(words[1], child_verbs[i].name) == 0)
			return child_verbs[i].fn(f, s->nexus, words[2]);
	return fiber_fail(f, -EINVAL, "child add, force, remove, online or offline, and its URI");
}

static const struct child_verb rebuild_verbs[] = {
	{ "start", nexus_rebuild_start },
	{ "stop", nexus_rebuild_stop },
	{ "pause", nexus_rebuild_pause },
	{ "resume", nexus_rebuild_resume },
};

static int rebuild_limit(struct fiber *f, struct nexus_serving *s, const char *word)
{
	uint64_t limit = 0;

	if (strcmp(word, "0") != 0 && uri_text_size(word, &limit) < 0)
		return fiber_fail(f, -EINVAL, "rebuild limit: bytes a second, as 100MiB; 0: none");
	nexus_rebuild_limit(s->nexus, limit);
	return 0;
}

static int typed_rebuild(struct fiber *f, struct nexus_serving *s, char **words)
{
	if (words[1] && words[2] && strcmp(words[1], "limit") == 0)
		return rebuild_limit(f, s, words[2]);
	for (unsigned i = 0; words[1] && words[2] && i < ARRAY_LEN(rebuild_verbs); i++)
		if (strcmp(words[1], rebuild_verbs[i].name) == 0)
			return rebuild_verbs[i].fn(f, s->nexus, words[2]);
	return fiber_fail(f, -EINVAL,
			  "rebuild start, stop, pause or resume, and its URI; or rebuild limit");
}

/* The whole answer is a line for each. */
static int typed_history(struct fiber *f, struct nexus_serving *s, char **words)
{
	struct nexus_rebuild_record *list = mem_new(fiber_io(f), NEXUS_HISTORY_MAX * sizeof(*list));
	unsigned count;

	(void)words;
	if (!list)
		return fiber_fail(f, -ENOMEM, "no memory");
	count = nexus_history(s->nexus, list, NEXUS_HISTORY_MAX);
	for (unsigned i = 0; i < count; i++)
		nexus_print_rebuilt(s, &list[i]);
	mem_free(list);
	return 0;
}

static int typed_resize(struct fiber *f, struct nexus_serving *s, char **words)
{
	uint64_t size = 0;
	int r;

	if (!words[1] || uri_text_size(words[1], &size) < 0)
		return fiber_fail(f, -EINVAL, "resize SIZE: in bytes or as 10GiB");
	r = nexus_resize(f, s->nexus, size);
	if (r == 0 && s->publish)
		r = publish_rescan(f, s->publish);
	return r;
}

/* ---- clients ---------------------------------------------------------------------------------- */

static int published(struct fiber *f, const struct nexus_serving *s)
{
	return s->publish ? 0 : fiber_fail(f, -ENOENT, "it is not published");
}

static int typed_ana(struct fiber *f, struct nexus_serving *s, char **words)
{
	enum tgt_ana_state state;
	int r = published(f, s);

	if (r == 0 && (!words[1] || publish_ana_parse(words[1], &state) < 0))
		r = fiber_fail(f, -EINVAL, "ana optimized, non-optimized or inaccessible");
	return r < 0 ? r : publish_ana(f, s->publish, state);
}

static int typed_host(struct fiber *f, struct nexus_serving *s, char **words,
		      int (*fn)(struct fiber *f, struct publish *p, const char *nqn))
{
	int r = published(f, s);

	if (r == 0 && !words[1])
		r = fiber_fail(f, -EINVAL, "the NQN of a host is expected");
	return r < 0 ? r : fn(f, s->publish, words[1]);
}

static int typed_allow(struct fiber *f, struct nexus_serving *s, char **words)
{
	return typed_host(f, s, words, publish_allow);
}

static int typed_deny(struct fiber *f, struct nexus_serving *s, char **words)
{
	return typed_host(f, s, words, publish_deny);
}

static int typed_publish(struct fiber *f, struct nexus_serving *s, char **words)
{
	(void)words;
	return nexus_serve_publish(f, s);
}

static int typed_unpublish(struct fiber *f, struct nexus_serving *s, char **words)
{
	int r = published(f, s);

	(void)words;
	if (r == 0)
		nexus_serve_unpublish(f, s);
	return r;
}

/* ---- looking ------------------------------------------------------------------------------------ */

static int typed_state(struct fiber *f, struct nexus_serving *s, char **words)
{
	struct nexus_info *info = mem_new(fiber_io(f), sizeof(*info));

	if (!info)
		return fiber_fail(f, -ENOMEM, "no memory");
	nexus_info(s->nexus, info);
	nexus_print_state(s, info, s->cmd->json || (words[1] && strcmp(words[1], "json") == 0));
	mem_free(info);
	return 0;
}

static int stats_nvmf(struct fiber *f, const struct nexus_serving *s)
{
	struct tgt_stats t;
	int r = tgt_stats(f, s->tgt, &t);

	if (r == 0)
		printf(s->cmd->json ? "{\"controllers\":%" PRIu64 ",\"commands\":%" PRIu64
				      ",\"refused\":%" PRIu64 ",\"timeouts\":%" PRIu64 "}\n" :
				      "controllers %" PRIu64 " commands %" PRIu64
				      " refused %" PRIu64 " timeouts %" PRIu64 "\n",
		       t.controllers, t.commands, t.refused, t.timeouts);
	return r;
}

static int stats_nbd(struct fiber *f, const struct nexus_serving *s)
{
	struct nbd_stats n;

	nbd_server_stats(f, s->nbd, &n);
	printf(s->cmd->json ? "{\"connections\":%" PRIu64 ",\"requests\":%" PRIu64
			      ",\"errors\":%" PRIu64 "}\n" :
			      "connections %" PRIu64 " requests %" PRIu64 " errors %" PRIu64 "\n",
	       n.conns_now, n.requests, n.errors);
	return 0;
}

static int typed_stats(struct fiber *f, struct nexus_serving *s, char **words)
{
	(void)words;
	if (s->tgt)
		return stats_nvmf(f, s);
	return s->nbd ? stats_nbd(f, s) : fiber_fail(f, -ENOENT, "there is no door");
}

static int typed_settle(struct fiber *f, struct nexus_serving *s, char **words)
{
	(void)words;
	return nexus_settle(f, s->nexus);
}

static int typed_quit(struct fiber *f, struct nexus_serving *s, char **words)
{
	(void)f;
	(void)words;
	service_quit(&s->cmd->service);
	return 0;
}

/* ---- the table ---------------------------------------------------------------------------------- */

static const struct typed_verb {
	const char *name;
	int (*fn)(struct fiber *f, struct nexus_serving *s, char **words);
} verbs[] = {
	{ "child", typed_child },     { "rebuild", typed_rebuild },
	{ "history", typed_history }, { "settle", typed_settle },
	{ "resize", typed_resize },   { "ana", typed_ana },
	{ "allow", typed_allow },     { "deny", typed_deny },
	{ "publish", typed_publish }, { "unpublish", typed_unpublish },
	{ "state", typed_state },     { "stats", typed_stats },
	{ "quit", typed_quit },
};

int nexus_typed_run(struct fiber *f, void *ctx, char *words[TYPED_WORDS_MAX + 1])
{
	struct nexus_serving *s = ctx;

	for (unsigned i = 0; words[0] && i < ARRAY_LEN(verbs); i++)
		if (strcmp(words[0], verbs[i].name) == 0)
			return verbs[i].fn(f, s, words);
	return fiber_fail(f, -EINVAL,
			  "child, rebuild, history, settle, resize, ana, allow, deny, publish, "
			  "unpublish, state, stats or quit");
}
