// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_subsys - subsystems come, are linked to ports, and go.
 *
 * A serial number nobody gave is made from the NQN: the first 80 bits of
 * uuid_from_name(subsys_space, NQN) as hexadecimal digits. It is the same after a restart and
 * on every node that serves the same subsystem.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "nvmf/tgt_page_priv.h"
#include "reactor/fiber.h"

/* 6d617961-7374-6f72-8000-7375-6273797374 in letters: "mayastor" "subsys". */
static const struct uuid subsys_space = { { 'm', 'a', 'y', 'a', 's', 't', 'o', 'r', 0x80, 0, 's',
					    'u', 'b', 's', 'y', 's' } };

/* ---- names ---------------------------------------------------------------------------------- */

static bool digits_at(const char *text, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

/* Base 2.0, section 4.5: nqn.yyyy-mm.domain[:text]. */
bool tgt_nqn_is_good(const char *nqn)
{
	size_t len = strnlen(nqn, NVME_NQN_MAX + 1);

	if (len > NVME_NQN_MAX || len < strlen("nqn.2014-08.a") || strncmp(nqn, "nqn.", 4) != 0)
		return false;
	if (!digits_at(nqn + 4, 4) || nqn[8] != '-' || !digits_at(nqn + 9, 2) || nqn[11] != '.')
		return false;
	for (size_t i = 12; i < len; i++)
		if ((unsigned char)nqn[i] <= ' ' || nqn[i] == 0x7f)
			return false;
	return nqn[12] != ':' && nqn[12] != '.';
}

void tgt_subsys_serial(const char *nqn, char ret[TGT_SERIAL_MAX + 1])
{
	struct uuid uuid = uuid_from_name(&subsys_space, nqn, strlen(nqn));

	for (unsigned i = 0; i < TGT_SERIAL_MAX / 2; i++)
		snprintf(ret + 2 * (size_t)i, 3, "%02x", uuid.bytes[i]);
}

/* ASCII strings of identify data (Base 2.0, section 1.4.2). */
static bool text_is_good(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	for (size_t i = 0; i < len; i++)
		if (text[i] < ' ' || text[i] > '~')
			return false;
	return len > 0 && len <= max;
}

/* ---- find ----------------------------------------------------------------------------------- */

struct tgt_subsys *tgt_subsys_find(struct tgt *tgt, const char *nqn)
{
	struct tgt_subsys *subsys;

	if (tgt->discovery && strcmp(nqn, tgt->discovery->nqn) == 0)
		return tgt->discovery;
	list_for_each(subsys, &tgt->subsystems, link)
		if (strcmp(nqn, subsys->nqn) == 0)
			return subsys;
	return NULL;
}

bool tgt_subsys_is_on(const struct tgt_subsys *subsys, const struct tgt_port *port)
{
	return subsys->is_discovery || subsys->on_all_ports || subsys->ports & tgt_port_bit(port);
}

/* ---- add ------------------------------------------------------------------------------------ */

static int args_check(struct fiber *f, struct tgt *tgt, const struct tgt_subsys_args *args)
{
	uint16_t min = args->cntlid_min ? args->cntlid_min : 1;
	uint16_t max = args->cntlid_max ? args->cntlid_max : NVME_CNTLID_MAX;

	if (!args->nqn || !tgt_nqn_is_good(args->nqn))
		return fiber_fail(f, -EINVAL, "'%s' is no NQN (nqn.yyyy-mm.domain:name)",
				  args->nqn ? args->nqn : "");
	if (tgt_subsys_find(tgt, args->nqn))
		return fiber_fail(f, -EEXIST, "subsystem %s exists", args->nqn);
	if (tgt->subsystem_count >= TGT_SUBSYSTEMS_MAX)
		return fiber_fail(f, -EMFILE, "there are %u subsystems, the most there can be",
				  TGT_SUBSYSTEMS_MAX);
	if (args->serial && !text_is_good(args->serial, TGT_SERIAL_MAX))
		return fiber_fail(f, -EINVAL, "serial number '%s': 1 to %u printable characters",
				  args->serial, TGT_SERIAL_MAX);
	if (args->model && !text_is_good(args->model, TGT_MODEL_MAX))
		return fiber_fail(f, -EINVAL, "model '%s': 1 to %u printable characters",
				  args->model, TGT_MODEL_MAX);
	if (min > max || max > NVME_CNTLID_MAX)
		return fiber_fail(f, -EINVAL, "controller ids %u to %u: 1 to %u are wanted", min,
				  max, NVME_CNTLID_MAX);
	return 0;
}

static void args_take(struct tgt_subsys *subsys, const struct tgt_subsys_args *args)
{
	if (args->serial)
		snprintf(subsys->serial, sizeof(subsys->serial), "%s", args->serial);
	else
		tgt_subsys_serial(args->nqn, subsys->serial);
	snprintf(subsys->model, sizeof(subsys->model), "%s",
		 args->model ? args->model : TGT_MODEL_DEFAULT);
	subsys->cntlid_min = args->cntlid_min ? args->cntlid_min : 1;
	subsys->cntlid_max = args->cntlid_max ? args->cntlid_max : NVME_CNTLID_MAX;
	subsys->cntlid_next = subsys->cntlid_min;
	subsys->allow_any_host = args->allow_any_host;
	subsys->multipath = args->multipath;
	subsys->fence = args->fence;
	subsys->no_reservations = args->no_reservations;
	subsys->ana_count = args->ana_count;
	subsys->vendor = args->vendor;
	subsys->on_all_ports = true;
	for (unsigned i = 0; i < TGT_ANA_GROUPS_MAX; i++)
		subsys->ana_state[i] = TGT_ANA_OPTIMIZED;
}

int tgt_subsys_add(struct fiber *f, struct tgt *tgt, const struct tgt_subsys_args *args,
		   struct tgt_subsys **ret)
{
	struct tgt_subsys *subsys;
	int r = args_check(f, tgt, args);

	if (r < 0)
		return r;
	subsys = tgt_subsys_new(tgt, args->nqn);
	if (!subsys)
		return fiber_fail(f, -ENOMEM, "no memory for subsystem %s", args->nqn);
	args_take(subsys, args);
	r = tgt_view_tables(f, subsys);
	if (r == 0 && tgt_subsys_find(tgt, args->nqn)) /* meanwhile */
		r = fiber_fail(f, -EEXIST, "subsystem %s exists", args->nqn);
	if (r < 0) {
		tgt_view_tables_free(subsys);
		tgt_subsys_free(subsys);
		return r;
	}
	list_add_tail(&tgt->subsystems, &subsys->link);
	tgt->subsystem_count++;
	tgt_discovery_changed(tgt);
	*ret = subsys;
	return 0;
}

/* ---- remove --------------------------------------------------------------------------------- */

void tgt_subsys_remove(struct fiber *f, struct tgt_subsys *subsys)
{
	struct tgt *tgt = subsys->tgt;
	struct tgt_host *host;

	subsys->is_removing = true;
	tgt_ctrl_close_all(f, subsys, NULL, NULL, "subsystem removed");
	for (unsigned i = 0; i < TGT_NAMESPACES_MAX; i++)
		while (subsys->ns[i]) {
			tgt_ns_remove(f, subsys->ns[i]);
			fiber_yield(f); /* if somebody else does it */
		}
	while ((host = list_pop_front(&subsys->hosts, struct tgt_host, link)))
		mem_free(host);
	list_del(&subsys->link);
	tgt->subsystem_count--;
	tgt_view_tables_free(subsys);
	tgt_subsys_free(subsys);
	tgt_discovery_changed(tgt);
}

void tgt_subsys_remove_all(struct fiber *f, struct tgt *tgt)
{
	struct tgt_subsys *subsys;

	while ((subsys = list_first(&tgt->subsystems, struct tgt_subsys, link)))
		tgt_subsys_remove(f, subsys);
}

/* ---- ports ---------------------------------------------------------------------------------- */

int tgt_port_link(struct fiber *f, struct tgt_port *port, struct tgt_subsys *subsys)
{
	if (!subsys->on_all_ports && subsys->ports & tgt_port_bit(port))
		return fiber_fail(f, -EEXIST, "subsystem %s is on port %u", subsys->nqn, port->id);
	subsys->on_all_ports = false;
	subsys->ports |= tgt_port_bit(port);
	tgt_discovery_changed(subsys->tgt);
	return 0;
}

static bool ctrl_came_by(const struct tgt_ctrl *ctrl, const void *arg)
{
	return ctrl->port == arg;
}

void tgt_port_unlink(struct fiber *f, struct tgt_port *port, struct tgt_subsys *subsys)
{
	struct tgt_port *other;

	if (subsys->on_all_ports) /* on all but this one, then */
		list_for_each(other, &port->tgt->ports, link)
			subsys->ports |= tgt_port_bit(other);
	subsys->on_all_ports = false;
	subsys->ports &= ~tgt_port_bit(port);
	tgt_discovery_changed(subsys->tgt);
	tgt_ctrl_close_all(f, subsys, ctrl_came_by, port, "subsystem left the port");
}
