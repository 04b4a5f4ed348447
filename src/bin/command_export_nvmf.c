// SPDX-License-Identifier: Apache-2.0
/* command_export_nvmf - the NVMe/TCP door of `mayastor export`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bin/export_door.h"
#include "bin/nvmf_control.h"
#include "io/addr.h"
#include "nvmf/tgt.h"
#include "reactor/fiber.h"

struct opened {
	struct tgt *tgt;
	struct nvmf_control *control;
	struct tgt_port *ports[EXPORT_ADDRS_MAX];
	struct tgt_subsys *subsystems[EXPORT_NQNS_MAX];
	struct tgt_ns *namespaces[EXPORT_SHARES_MAX];
};

/* ---- options ----------------------------------------------------------------------------- */

static int option_wrong(const char *words, const char *value)
{
	fprintf(stderr, "mayastor export nvmf: %s%s\n", words, value);
	return -1;
}

static int take_nqn(struct export_command *cmd, const char *value)
{
	if (cmd->nqn_count == EXPORT_NQNS_MAX)
		return option_wrong("too many subsystems: ", value);
	cmd->nqns[cmd->nqn_count++] = value;
	return 1;
}

static int take_ns(struct export_command *cmd, const char *value)
{
	if (cmd->nqn_count == 0)
		return option_wrong("a namespace comes after the --nqn it belongs to: ", value);
	if (cmd->share_count == EXPORT_SHARES_MAX)
		return option_wrong("too many namespaces: ", value);
	cmd->shares[cmd->share_count++] =
		(struct export_share){ .uri = value, .group = cmd->nqn_count - 1 };
	return 1;
}

/* What a nexus elsewhere has as a member. */
static int take_replica(struct export_command *cmd, const char *value)
{
	int r = take_ns(cmd, value);

	if (r > 0)
		cmd->is_replica[cmd->nqn_count - 1] = true;
	return r;
}

static int take_host(struct export_command *cmd, const char *value)
{
	if (cmd->nqn_count == 0)
		return option_wrong("a host comes after the --nqn it may connect to: ", value);
	if (cmd->host_count == EXPORT_HOSTS_MAX)
		return option_wrong("too many hosts: ", value);
	cmd->hosts[cmd->host_count++] =
		(struct export_host){ .nqn = value, .group = cmd->nqn_count - 1 };
	return 1;
}

static int take_listen(struct export_command *cmd, const char *value)
{
	if (cmd->addr_count == EXPORT_ADDRS_MAX)
		return option_wrong("too many addresses: ", value);
	cmd->addrs[cmd->addr_count++] = value;
	return 1;
}

static const char *const digest_names[] = {
	[TGT_DIGEST_ALLOW] = "allow",
	[TGT_DIGEST_OFF] = "off",
	[TGT_DIGEST_REQUIRE] = "require",
};

static int digest_find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_LEN(digest_names); i++)
		if (strcmp(digest_names[i], name) == 0)
			return (int)i;
	return -1;
}

static int take_digest(struct export_command *cmd, const char *value)
{
	if (digest_find(value) < 0)
		return option_wrong("--digest allow, off or require, not ", value);
	cmd->digest = value;
	return 1;
}

static int take_paths(struct export_command *cmd, const char *value)
{
	cmd->is_one_path = strcmp(value, "one") == 0;
	if (!cmd->is_one_path && strcmp(value, "many") != 0)
		return option_wrong("--paths one or many, not ", value);
	return 1;
}

static int nvmf_option(struct export_command *cmd, const char *name, const char *value)
{
	if (strcmp(name, "--nqn") == 0)
		return take_nqn(cmd, value);
	if (strcmp(name, "--ns") == 0)
		return take_ns(cmd, value);
	if (strcmp(name, "--replica") == 0)
		return take_replica(cmd, value);
	if (strcmp(name, "--allow-host") == 0)
		return take_host(cmd, value);
	if (strcmp(name, "--listen") == 0)
		return take_listen(cmd, value);
	if (strcmp(name, "--digest") == 0)
		return take_digest(cmd, value);
	if (strcmp(name, "--paths") == 0)
		return take_paths(cmd, value);
	return 0;
}

static bool nvmf_check(struct export_command *cmd)
{
	if (cmd->nqn_count == 0)
		fputs("mayastor export nvmf: what are they called? --nqn NQN\n", stderr);
	else if (cmd->addr_count == 0)
		fputs("mayastor export nvmf: where? --listen ADDRESS:PORT\n", stderr);
	else
		return true;
	return false;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool has_hosts(const struct export_command *cmd, unsigned group)
{
	for (unsigned i = 0; i < cmd->host_count; i++)
		if (cmd->hosts[i].group == group)
			return true;
	return false;
}

static int fill_subsystems(struct fiber *f, const struct export_command *cmd, struct opened *o)
{
	int r = 0;

	for (unsigned i = 0; i < cmd->nqn_count && r == 0; i++) {
		const struct tgt_subsys_args args = {
			.nqn = cmd->nqns[i],
			.allow_any_host = !has_hosts(cmd, i),
			.multipath = cmd->addr_count > 1 && !cmd->is_one_path,
			.fence = cmd->is_replica[i],
			.vendor = cmd->is_replica[i],
		};

		r = tgt_subsys_add(f, o->tgt, &args, &o->subsystems[i]);
	}
	for (unsigned i = 0; i < cmd->host_count && r == 0; i++)
		r = tgt_host_allow(f, o->subsystems[cmd->hosts[i].group], cmd->hosts[i].nqn);
	for (unsigned i = 0; i < cmd->share_count && r == 0; i++) {
		const struct export_share *share = &cmd->shares[i];
		const struct tgt_ns_args args = { .uri = share->uri,
						  .read_only = share->read_only };

		r = tgt_ns_add(f, o->subsystems[share->group], &args, &o->namespaces[i]);
	}
	return r;
}

/* Last, so that who connects finds all of it. */
static int fill_ports(struct fiber *f, const struct export_command *cmd, struct opened *o)
{
	for (unsigned i = 0; i < cmd->addr_count; i++) {
		struct tgt_port_args args = { 0 };
		int r = io_addr_parse(cmd->addrs[i], &args.addr, fiber_fail_err(f));

		if (r == 0)
			r = tgt_port_add(f, o->tgt, &args, &o->ports[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int nvmf_fill(struct fiber *f, const struct export_command *cmd, struct opened *o)
{
	int r = fill_subsystems(f, cmd, o);

	if (r == 0)
		r = fill_ports(f, cmd, o);
	if (r == 0)
		r = nvmf_control_start(f, o->tgt, o->subsystems[0], &o->control);
	return r;
}

static int nvmf_open(struct fiber *f, struct export_command *cmd, void **ret)
{
	const enum tgt_digest digest = cmd->digest ? (enum tgt_digest)digest_find(cmd->digest) :
						     TGT_DIGEST_ALLOW;
	const struct tgt_opts opts = {
		.reactors = cmd->service.reactors,
		.hdgst = digest,
		.ddgst = digest,
	};
	struct opened *o = mem_new(fiber_io(f), sizeof(*o));
	int r;

	if (!o)
		return fiber_fail(f, -ENOMEM, "no memory");
	r = tgt_open(f, &opts, &o->tgt);
	if (r == 0) {
		r = nvmf_fill(f, cmd, o);
		if (r < 0)
			tgt_close(f, o->tgt);
	}
	if (r < 0)
		mem_free(o);
	else
		*ret = o;
	return r;
}

/* ---- while it is open -------------------------------------------------------------------------- */

static void print_connect(const struct export_command *cmd, const struct tgt_port *port,
			  unsigned group)
{
	char text[IO_ADDR_TEXT_MAX], *end;
	struct io_addr addr;

	tgt_port_addr(port, &addr);
	end = strrchr(io_addr_print(&addr, text) ? text : "", ':');
	if (end)
		*end = '\0';
	printf("  nvme connect -t tcp -a %s -s %u -n %s", text, addr.port, cmd->nqns[group]);
	for (unsigned i = 0; i < cmd->host_count; i++) {
		if (cmd->hosts[i].group == group) {
			printf(" -q %s", cmd->hosts[i].nqn);
			break;
		}
	}
	puts("");
}

static void nvmf_print(const struct export_command *cmd, void *arg)
{
	const struct opened *o = arg;

	for (unsigned i = 0; i < cmd->nqn_count; i++) {
		printf("NVMe/TCP: %s\n", cmd->nqns[i]);
		for (unsigned j = 0; j < cmd->share_count; j++)
			if (cmd->shares[j].group == i)
				printf("  namespace %u is %s\n", tgt_ns_nsid(o->namespaces[j]),
				       cmd->shares[j].uri);
		for (unsigned j = 0; j < cmd->addr_count; j++)
			print_connect(cmd, o->ports[j], i);
	}
	puts("ready");
}

static void nvmf_hangup(struct fiber *f, void *arg)
{
	const struct opened *o = arg;

	for (unsigned i = 0; i < EXPORT_NQNS_MAX; i++)
		for (uint32_t nsid = 1; o->subsystems[i] && nsid <= TGT_NAMESPACES_MAX; nsid++) {
			struct tgt_ns *ns = tgt_ns_find(o->subsystems[i], nsid);

			if (ns && tgt_ns_rescan(f, ns) < 0) {
				fprintf(stderr, "mayastor export nvmf: %s\n", fiber_words(f));
				fiber_clear(f);
			}
		}
}

static void nvmf_close(struct fiber *f, void *arg)
{
	struct opened *o = arg;

	nvmf_control_stop(f, o->control);
	tgt_close(f, o->tgt);
	mem_free(o);
}

const struct export_door export_nvmf = {
	.name = "nvmf",
	.help = "disks as NVMe/TCP namespaces, for Linux and other hosts",
	.options =
		"Subsystems, each begun by --nqn (instead of --uri: --ns):\n"
		"  --nqn NQN            its name; nqn.2019-05.io.openebs:x, for instance\n"
		"  --ns URI             a namespace of it\n"
		"  --replica URI        its only namespace, for nexuses: with fence and replica control\n"
		"  --allow-host NQN     only this host may connect; again for more; none: all may\n"
		"Where:\n"
		"  --listen ADDR:PORT   numeric; again for more ports; port 4420 is usual, 0 is any free\n"
		"  --paths WHAT         with several ports a host may use: many at a time (default), one\n"
		"  --digest WHAT        allow (as hosts ask; default), off, require\n",
	.option = nvmf_option,
	.check = nvmf_check,
	.open = nvmf_open,
	.print = nvmf_print,
	.hangup = nvmf_hangup,
	.close = nvmf_close,
};
