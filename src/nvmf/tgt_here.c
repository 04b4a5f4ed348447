// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_here - does an address and a name lead to a replica that this very target serves?
 *
 * A port that listens on any address has all of this machine: an address is one of those if
 * something can be made to listen there.
 */
#include <string.h>

#include "base/err.h"
#include "bdev/bdev_driver.h"
#include "nvmf/tgt_priv.h"

static void here_accepted(void *ctx, int res, struct io_sock *sock)
{
	(void)ctx;
	(void)res;
	if (sock)
		io_sock_close(sock);
}

static bool here_is_local(const struct tgt *tgt, const struct io_addr *addr)
{
	const struct io_sock_opts opts = { 0 };
	struct io_addr any_port = *addr;
	struct io_listener *listener;
	struct err err = { 0 };

	any_port.port = 0;
	if (io_listen(tgt->io, &any_port, &opts, here_accepted, NULL, &listener, &err) < 0)
		return false;
	io_listener_close(listener);
	return true;
}

static bool here_has(const struct tgt_port *port, const struct io_addr *addr)
{
	static const uint8_t any[sizeof(addr->ip)];

	if (port->addr.family != addr->family || port->addr.port != addr->port)
		return false;
	if (memcmp(port->addr.ip, any, sizeof(any)) == 0)
		return here_is_local(port->tgt, addr);
	return memcmp(port->addr.ip, addr->ip, sizeof(any)) == 0;
}

static const struct tgt_ns *here_ns(const struct tgt_subsys *subsys, uint32_t nsid)
{
	for (uint32_t i = 0; i < TGT_NAMESPACES_MAX; i++) {
		const struct tgt_ns *ns = subsys->ns[i];

		if (ns && ns->rules.is_visible && ns->bdev && (nsid == 0 || ns->nsid == nsid))
			return ns->bdev->driver->replica ? ns : NULL;
	}
	return NULL;
}

bool tgt_leads_here(const struct tgt *tgt, const struct io_addr *addr, const char *nqn,
		    uint32_t nsid, const char **ret_name)
{
	const struct tgt_subsys *subsys;
	const struct tgt_port *port;
	const struct tgt_ns *ns = NULL;

	list_for_each(subsys, &tgt->subsystems, link)
		if (subsys->fence && !subsys->is_removing && strcmp(subsys->nqn, nqn) == 0)
			ns = here_ns(subsys, nsid);
	if (!ns)
		return false;
	list_for_each(port, &tgt->ports, link) {
		if (!tgt_subsys_is_on(ns->subsys, port) || !here_has(port, addr))
			continue;
		*ret_name = ns->bdev->name;
		return true;
	}
	return false;
}
