// SPDX-License-Identifier: Apache-2.0
/*
 * nvmf_control - commands on standard input. They are read a byte at a time, when there is one:
 * a person types them, and a read that waits could not be ended.
 */
#include "bin/nvmf_control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvmf/tgt.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/wait.h"

#define LINE_MAX_BYTES 1024
#define WORDS_MAX      4

struct nvmf_control {
	struct tgt *tgt;
	struct tgt_subsys *subsys;
	struct io_watch *watch;
	struct io_file *input;
	struct fiber *fiber;
	struct event event; /* a byte is there, or it is over */
	bool is_over;
	unsigned len;
	char line[LINE_MAX_BYTES];
};

/* ---- commands --------------------------------------------------------------------------- */

static int number_take(struct fiber *f, const char *word, uint32_t *ret)
{
	char *end = NULL;
	unsigned long n = word ? strtoul(word, &end, 10) : 0;

	if (!word || *end || end == word || n == 0 || n > UINT32_MAX)
		return fiber_fail(f, -EINVAL, "a number is expected");
	*ret = (uint32_t)n;
	return 0;
}

static int ns_add(struct fiber *f, struct nvmf_control *c, char **words)
{
	struct tgt_ns_args args = { .uri = words[2] };
	struct tgt_ns *ns;
	int r = words[3] ? number_take(f, words[3], &args.nsid) : 0;

	if (!words[2])
		return fiber_fail(f, -EINVAL, "ns add URI [NSID]");
	return r < 0 ? r : tgt_ns_add(f, c->subsys, &args, &ns);
}

static int ns_command(struct fiber *f, struct nvmf_control *c, char **words)
{
	const char *verb = words[1] ? words[1] : "";
	struct tgt_ns *ns;
	uint32_t nsid;
	int r;

	if (strcmp(verb, "add") == 0)
		return ns_add(f, c, words);
	r = number_take(f, words[2], &nsid);
	if (r < 0)
		return r;
	ns = tgt_ns_find(c->subsys, nsid);
	if (!ns)
		return fiber_fail(f, -ENOENT, "there is no namespace %u", nsid);
	if (strcmp(verb, "rescan") == 0)
		return tgt_ns_rescan(f, ns);
	if (strcmp(verb, "remove") == 0)
		tgt_ns_remove(f, ns);
	else if (strcmp(verb, "pause") == 0)
		tgt_ns_pause(f, ns);
	else if (strcmp(verb, "resume") == 0)
		tgt_ns_resume(f, ns);
	else
		return fiber_fail(f, -EINVAL, "ns add, remove, rescan, pause or resume");
	return 0;
}

static const struct ana_name {
	const char *name;
	enum tgt_ana_state state;
} ana_names[] = {
	{ "optimized", TGT_ANA_OPTIMIZED },
	{ "non-optimized", TGT_ANA_NON_OPTIMIZED },
	{ "inaccessible", TGT_ANA_INACCESSIBLE },
	{ "persistent-loss", TGT_ANA_PERSISTENT_LOSS },
	{ "change", TGT_ANA_CHANGE },
};

static int ana_command(struct fiber *f, struct nvmf_control *c, char **words)
{
	uint32_t group;
	int r = number_take(f, words[1], &group);

	if (r < 0)
		return r;
	for (unsigned i = 0; words[2] && i < ARRAY_LEN(ana_names); i++)
		if (strcmp(words[2], ana_names[i].name) == 0)
			return tgt_ana_set(f, c->subsys, group, ana_names[i].state);
	return fiber_fail(f, -EINVAL, "no such ANA state");
}

static int stats_command(struct fiber *f, struct nvmf_control *c)
{
	struct tgt_stats s;
	int r = tgt_stats(f, c->tgt, &s);

	if (r == 0)
		printf("connections %" PRIu64 " controllers %" PRIu64 " accepted %" PRIu64
		       " refused %" PRIu64 " faults %" PRIu64 " timeouts %" PRIu64
		       " commands %" PRIu64 " waits %" PRIu64 " bytes %" PRIu64 " high %" PRIu64
		       "\n",
		       s.connections, s.controllers, s.accepted, s.refused, s.faults, s.timeouts,
		       s.commands, s.data_waits, s.data_bytes, s.data_bytes_high);
	return r;
}

static int command(struct fiber *f, struct nvmf_control *c)
{
	char *words[WORDS_MAX + 1] = { NULL }, *save = NULL;

	for (unsigned i = 0; i < WORDS_MAX; i++) {
		words[i] = strtok_r(i ? NULL : c->line, " \t", &save);
		if (!words[i])
			break;
	}
	if (words[0] && strcmp(words[0], "ns") == 0)
		return ns_command(f, c, words);
	if (words[0] && strcmp(words[0], "ana") == 0)
		return ana_command(f, c, words);
	if (words[0] && strcmp(words[0], "stats") == 0)
		return stats_command(f, c);
	return fiber_fail(f, -EINVAL, "ns, ana or stats");
}

/* ---- lines ------------------------------------------------------------------------------- */

static void line_done(struct fiber *f, struct nvmf_control *c)
{
	c->line[c->len] = '\0';
	c->len = 0;
	if (command(f, c) == 0)
		puts("ok");
	else
		printf("error: %s\n", fiber_words(f));
	fflush(stdout);
	fiber_clear(f);
}

static void input_ready(void *ctx, unsigned events)
{
	struct nvmf_control *c = ctx;

	io_watch_set(c->watch, 0);
	event_set(&c->event);
}

static int control_main(struct fiber *f, void *arg)
{
	struct nvmf_control *c = arg;
	char byte;

	for (;;) {
		event_wait_always(f, &c->event);
		event_clear(&c->event);
		if (c->is_over)
			return 0;
		if (fiber_read(f, c->input, &byte, 1, 0) != 1)
			return 0; /* the end of input */
		if (byte == '\n')
			line_done(f, c);
		else if (c->len < LINE_MAX_BYTES - 1)
			c->line[c->len++] = byte;
		if (!c->is_over)
			io_watch_set(c->watch, IO_READABLE);
	}
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static void control_free(struct fiber *f, struct nvmf_control *c)
{
	if (c->watch)
		io_watch_free(c->watch);
	if (c->input)
		fiber_close(f, c->input);
	mem_free(c);
}

int nvmf_control_start(struct fiber *f, struct tgt *tgt, struct tgt_subsys *subsys,
		       struct nvmf_control **ret)
{
	struct nvmf_control *c = mem_new(fiber_io(f), sizeof(*c));

	*ret = NULL;
	if (!c)
		return fiber_fail(f, -ENOMEM, "no memory");
	c->tgt = tgt;
	c->subsys = subsys;
	event_init(&c->event);
	if (fiber_open(f, "/dev/stdin", IO_OPEN_READ, 0, &c->input) < 0 ||
	    io_watch_fd(fiber_io(f), 0, IO_READABLE, input_ready, c, &c->watch) < 0) {
		fiber_clear(f); /* closed, or nothing that one types at */
		control_free(f, c);
		return 0;
	}
	if (fiber_start(fiber_reactor(f), "nvmf-control", control_main, c, &c->fiber) < 0) {
		control_free(f, c);
		return fiber_fail(f, -ENOMEM, "no memory");
	}
	*ret = c;
	return 0;
}

void nvmf_control_stop(struct fiber *f, struct nvmf_control *c)
{
	if (!c)
		return;
	c->is_over = true;
	event_set(&c->event);
	(void)fiber_join(f, c->fiber);
	control_free(f, c);
}
