// SPDX-License-Identifier: Apache-2.0
/*
 * share - NVMe/TCP doors of replicas and disks: a subsystem each, on the replicas' port.
 *
 * SH1. The NQN is made of the thing's name, which is unique on the node among what is shared.
 * SH2. A replica's door offers replica control, and the replica's fence decides who writes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_priv.h"
#include "reactor/fiber.h"

#define NQN_HEAD "nqn."

int share_check_hosts(struct fiber *f, const char *const *hosts, unsigned count)
{
	if (count > REPLICA_HOSTS_MAX)
		return fiber_fail(f, -EINVAL, "%u hosts are allowed, at most %u can be", count,
				  REPLICA_HOSTS_MAX);
	for (unsigned i = 0; i < count; i++)
		if (strncmp(hosts[i], NQN_HEAD, strlen(NQN_HEAD)) != 0 ||
		    strlen(hosts[i]) > REPLICA_HOST_LEN_MAX)
			return fiber_fail(f, -EINVAL, "allowed host '%.64s' is not an NQN",
					  hosts[i]);
	return 0;
}

void share_uri(const struct engine *e, const char *name, const struct uuid *uuid,
	       char ret[ENGINE_URI_MAX])
{
	bool is_ipv6 = strchr(e->opts.host, ':');
	char text[UUID_TEXT_SIZE];
	int len = snprintf(ret, ENGINE_URI_MAX, "nvmf://%s%s%s:%u/" ENGINE_NQN_PREFIX "%s",
			   is_ipv6 ? "[" : "", e->opts.host, is_ipv6 ? "]" : "",
			   e->replica_addr.port, name);

	if (uuid && len > 0 && (size_t)len < ENGINE_URI_MAX)
		snprintf(ret + len, ENGINE_URI_MAX - (size_t)len, "?uuid=%s",
			 uuid_print(uuid, text));
}

static void nqn_of(const char *name, char nqn[PUBLISH_NQN_MAX + 1])
{
	snprintf(nqn, PUBLISH_NQN_MAX + 1, ENGINE_NQN_PREFIX "%s", name);
}

struct share *share_find(struct engine *e, const char *name)
{
	char nqn[PUBLISH_NQN_MAX + 1];
	struct share *share;

	nqn_of(name, nqn);
	list_for_each(share, &e->shares, link)
		if (strcmp(share->nqn, nqn) == 0)
			return share;
	return NULL;
}

static int share_fill(struct fiber *f, struct engine *e, struct share *share,
		      const struct share_args *args)
{
	const struct tgt_ns_args ns = { .nsid = 1,
					.uri = args->uri,
					.uuid = args->uuid ? *args->uuid : (struct uuid){ { 0 } },
					.read_only = args->read_only,
					.is_door = args->is_door };
	int r = 0;

	for (unsigned i = 0; i < args->host_count && r == 0; i++)
		r = tgt_host_allow(f, share->subsys, args->hosts[i]);
	if (r == 0)
		r = tgt_port_link(f, e->ports[0], share->subsys);
	return r < 0 ? r : tgt_ns_add(f, share->subsys, &ns, &share->ns);
}

int share_open(struct fiber *f, struct engine *e, const struct share_args *args)
{
	struct share *share;
	struct tgt_subsys_args subsys = {
		.allow_any_host = args->host_count == 0,
		.fence = args->is_replica, /* SH2 */
		.vendor = args->is_replica,
	};
	int r;

	if (share_find(e, args->name))
		return fiber_fail(f, -EEXIST, "'%s' is shared already", args->name);
	share = mem_new(e->io, sizeof(*share));
	if (!share)
		return fiber_fail(f, -ENOMEM, "no memory");
	nqn_of(args->name, share->nqn);
	subsys.nqn = share->nqn;
	r = tgt_subsys_add(f, e->tgt, &subsys, &share->subsys);
	if (r < 0) {
		mem_free(share);
		return r;
	}
	list_add_tail(&e->shares, &share->link);
	r = share_fill(f, e, share, args);
	if (r < 0)
		share_close(f, share);
	return r;
}

void share_close(struct fiber *f, struct share *share)
{
	if (!share)
		return;
	list_del(&share->link);
	tgt_subsys_remove(f, share->subsys);
	mem_free(share);
}

int share_rescan(struct fiber *f, struct share *share)
{
	return share ? tgt_ns_rescan(f, share->ns) : 0;
}

/* The list is another one: hosts that are on both stay connected only if both lists have names. */
int share_hosts(struct fiber *f, struct engine *e, const struct share_args *args)
{
	share_close(f, share_find(e, args->name));
	return share_open(f, e, args);
}
