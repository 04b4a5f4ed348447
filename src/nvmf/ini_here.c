// SPDX-License-Identifier: Apache-2.0
/*
 * ini_here - a URI that leads to a replica our own target serves: it is used directly, and its fence
 * is the same.
 *
 * Whatever is wrong with the URI, or with the name of the host, is for ini_open() to say.
 */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "nvmf/ini_priv.h"
#include "nvmf/tgt.h"
#include "reactor/fiber_io.h"

struct ini_here {
	struct ini_opts opts;
	struct io_addr addrs[INI_ADDRS_MAX];
};

int ini_is_here(struct fiber *f, const struct uri *uri, char ret_name[BDEV_NAME_MAX])
{
	const struct tgt *target = reactor_bdev_env(fiber_reactor(f))->target;
	CLEANUP(cleanup_mem) struct ini_here *here = NULL;
	const char *name;
	uint32_t count = 0;

	if (!target)
		return 0;
	here = mem_new(fiber_io(f), sizeof(*here));
	if (!here)
		return fiber_fail(f, -ENOMEM, "nvmf: no memory to look for a disk");
	if (ini_opts_where(f, uri, &here->opts) < 0 ||
	    fiber_resolve(f, here->opts.host, here->opts.port, here->addrs, INI_ADDRS_MAX, &count) <
		    0) {
		fiber_clear(f);
		return 0;
	}
	for (uint32_t i = 0; i < count; i++)
		if (tgt_leads_here(target, &here->addrs[i], here->opts.subnqn, here->opts.nsid,
				   &name)) {
			snprintf(ret_name, BDEV_NAME_MAX, "%s", name);
			return 1;
		}
	return 0;
}
