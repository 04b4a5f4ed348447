// SPDX-License-Identifier: Apache-2.0
/* nvmf_control - what is typed while `mayastor export nvmf` serves. */
#include "bin/nvmf_control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bin/typed.h"
#include "nvmf/tgt.h"
#include "reactor/fiber.h"

struct nvmf_control {
	struct tgt *tgt;
	struct tgt_subsys *subsys;
	struct typed *typed;
};

static int ns_add(struct fiber *f, struct nvmf_control *c, char **words)
{
	struct tgt_ns_args args = { .uri = words[2] };
	struct tgt_ns *ns;
	int r = words[3] ? typed_number(f, words[3], &args.nsid) : 0;

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
	r = typed_number(f, words[2], &nsid);
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
	int r = typed_number(f, words[1], &group);

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

static int command(struct fiber *f, void *ctx, char *words[TYPED_WORDS_MAX + 1])
{
	struct nvmf_control *c = ctx;

	if (words[0] && strcmp(words[0], "ns") == 0)
		return ns_command(f, c, words);
	if (words[0] && strcmp(words[0], "ana") == 0)
		return ana_command(f, c, words);
	if (words[0] && strcmp(words[0], "stats") == 0)
		return stats_command(f, c);
	return fiber_fail(f, -EINVAL, "ns, ana or stats");
}

int nvmf_control_start(struct fiber *f, struct tgt *tgt, struct tgt_subsys *subsys,
		       struct nvmf_control **ret)
{
	struct nvmf_control *c = mem_new(fiber_io(f), sizeof(*c));
	const struct typed_opts opts = { .run = command, .ctx = c };
	int r;

	if (!c)
		return fiber_fail(f, -ENOMEM, "no memory");
	c->tgt = tgt;
	c->subsys = subsys;
	r = typed_start(f, &opts, &c->typed);
	if (r < 0)
		mem_free(c);
	else
		*ret = c;
	return r;
}

void nvmf_control_stop(struct fiber *f, struct nvmf_control *c)
{
	typed_stop(f, c->typed);
	mem_free(c);
}
