// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_host - which hosts may connect to a subsystem. Names are all there is to know a host by.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "nvmf/tgt_page_priv.h"
#include "reactor/fiber.h"

static struct tgt_host *host_find(const struct tgt_subsys *subsys, const char *hostnqn)
{
	struct tgt_host *host;

	list_for_each(host, &subsys->hosts, link)
		if (strcmp(host->nqn, hostnqn) == 0)
			return host;
	return NULL;
}

bool tgt_host_may_connect(const struct tgt_subsys *subsys, const char *hostnqn)
{
	return subsys->is_discovery || subsys->allow_any_host || host_find(subsys, hostnqn);
}

int tgt_host_allow(struct fiber *f, struct tgt_subsys *subsys, const char *hostnqn)
{
	struct tgt_host *host;

	if (!tgt_nqn_is_good(hostnqn))
		return fiber_fail(f, -EINVAL, "'%s' is no NQN (nqn.yyyy-mm.domain:name)", hostnqn);
	if (host_find(subsys, hostnqn))
		return fiber_fail(f, -EEXIST, "host %s is on the list of %s", hostnqn, subsys->nqn);
	if (subsys->host_count >= TGT_HOSTS_MAX)
		return fiber_fail(f, -EMFILE,
				  "%u hosts are on the list of %s, the most there can be",
				  TGT_HOSTS_MAX, subsys->nqn);
	host = mem_new(subsys->tgt->io, sizeof(*host));
	if (!host)
		return fiber_fail(f, -ENOMEM, "no memory for host %s", hostnqn);
	snprintf(host->nqn, sizeof(host->nqn), "%s", hostnqn);
	list_add_tail(&subsys->hosts, &host->link);
	subsys->host_count++;
	tgt_discovery_changed(subsys->tgt);
	return 0;
}

static bool ctrl_is_of(const struct tgt_ctrl *ctrl, const void *hostnqn)
{
	return strcmp(ctrl->hostnqn, hostnqn) == 0;
}

int tgt_host_deny(struct fiber *f, struct tgt_subsys *subsys, const char *hostnqn)
{
	struct tgt_host *host = host_find(subsys, hostnqn);

	if (!host)
		return fiber_fail(f, -ENOENT, "host %s is not on the list of %s", hostnqn,
				  subsys->nqn);
	list_del(&host->link);
	subsys->host_count--;
	tgt_discovery_changed(subsys->tgt);
	if (!subsys->allow_any_host)
		tgt_ctrl_close_all(f, subsys, ctrl_is_of, host->nqn,
				   "host is not allowed any more");
	mem_free(host);
	return 0;
}
