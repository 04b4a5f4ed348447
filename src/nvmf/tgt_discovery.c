// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_discovery - the discovery log page (Base 2.0, section 5.16.1.23): what a host may
 * connect to, port by port, after the entry of the discovery subsystem it asks.
 *
 * A port that listens on all addresses is told with the one this host came by: that one it
 * can reach.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "io/addr.h"
#include "nvmf/tgt_conn_priv.h"
#include "nvmf/tgt_page_priv.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_status.h"

#define ADMIN_ENTRIES 32u /* of an admin queue, told to hosts (ASQSZ) */

static bool addr_is_any(const struct io_addr *addr)
{
	static const uint8_t zeros[16];

	return memcmp(addr->ip, zeros, addr->family == AF_INET6 ? 16 : 4) == 0;
}

static const struct io_addr *port_addr(const struct tgt_ctrl *ctrl, const struct tgt_port *port)
{
	if (!addr_is_any(&port->addr) || !ctrl->admin_conn)
		return &port->addr;
	return &ctrl->admin_conn->local;
}

/* "127.0.0.1:4420" and "[::1]:4420" without port and brackets. */
static void addr_put(const struct io_addr *addr, char *ret, size_t size)
{
	char text[IO_ADDR_TEXT_MAX];
	const char *from = text;
	char *end;

	io_addr_print(addr, text);
	end = strrchr(text, addr->family == AF_INET6 ? ']' : ':');
	if (end)
		*end = '\0';
	if (*from == '[')
		from++;
	snprintf(ret, size, "%s", from);
}

/* What is made of an entry: too big for a fiber's stack. */
struct page_scratch {
	struct nvme_discovery_entry entry;
	uint8_t bytes[NVME_DISCOVERY_BYTES];
};

struct page_walk {
	const struct tgt_ctrl *ctrl;
	const struct tgt_window *window;
	struct page_scratch *scratch;
	unsigned count;
};

static bool in_window(const struct tgt_window *window, uint64_t at)
{
	return at < window->offset + window->length && at + NVME_DISCOVERY_BYTES > window->offset;
}

static void entry_put(struct page_walk *walk, const struct tgt_port *port,
		      const struct tgt_subsys *subsys)
{
	const struct io_addr *addr = port_addr(walk->ctrl, port);
	uint64_t at = (1 + (uint64_t)walk->count++) * NVME_DISCOVERY_BYTES;
	struct nvme_discovery_entry *entry = &walk->scratch->entry;

	if (!in_window(walk->window, at))
		return;
	*entry = (struct nvme_discovery_entry){
		.trtype = NVME_TRTYPE_TCP,
		.adrfam = addr->family == AF_INET6 ? NVME_ADRFAM_IPV6 : NVME_ADRFAM_IPV4,
		.subtype = subsys->is_discovery ? NVME_SUBTYPE_CURRENT : NVME_SUBTYPE_NVM,
		.treq = NVME_TREQ_SECURE_NOT_REQUIRED,
		.portid = port->id,
		.cntlid = NVME_CNTLID_ANY,
		.asqsz = ADMIN_ENTRIES,
		.eflags = subsys->is_discovery ? NVME_EFLAGS_PERSISTENT : 0,
	};
	snprintf(entry->trsvcid, sizeof(entry->trsvcid), "%u", port->addr.port);
	snprintf(entry->subnqn, sizeof(entry->subnqn), "%s", subsys->nqn);
	addr_put(addr, entry->traddr, sizeof(entry->traddr));
	nvme_discovery_entry_encode(entry, walk->scratch->bytes);
	tgt_window_put(walk->window, at, walk->scratch->bytes, NVME_DISCOVERY_BYTES);
}

static void port_put(struct page_walk *walk, const struct tgt_port *port)
{
	const struct tgt_subsys *subsys;

	list_for_each(subsys, &port->tgt->subsystems, link)
		if (!subsys->is_removing && tgt_subsys_is_on(subsys, port) &&
		    tgt_host_may_connect(subsys, walk->ctrl->hostnqn))
			entry_put(walk, port, subsys);
}

static void head_put(const struct page_walk *walk)
{
	struct nvme_discovery_head head = {
		.generation = walk->ctrl->subsys->tgt->discovery_genctr,
		.records = walk->count,
	};

	nvme_discovery_head_encode(&head, walk->scratch->bytes);
	tgt_window_put(walk->window, 0, walk->scratch->bytes, NVME_DISCOVERY_BYTES);
}

uint16_t tgt_discovery_page(const struct tgt_ctrl *ctrl, const struct tgt_window *window,
			    uint64_t *ret_size)
{
	const struct tgt *tgt = ctrl->subsys->tgt;
	CLEANUP(cleanup_mem) struct page_scratch *scratch = mem_new(tgt->io, sizeof(*scratch));
	struct page_walk walk = { .ctrl = ctrl, .window = window, .scratch = scratch };
	const struct tgt_port *port;

	if (!scratch)
		return NVME_INTERNAL_ERROR;
	entry_put(&walk, ctrl->port, ctrl->subsys);
	list_for_each(port, &tgt->ports, link)
		port_put(&walk, port);
	head_put(&walk);
	*ret_size = (1 + (uint64_t)walk.count) * NVME_DISCOVERY_BYTES;
	return NVME_SUCCESS;
}
