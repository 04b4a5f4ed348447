// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_ana - asymmetric namespace access (Base 2.0, sections 8.1, 5.16.1.13).
 *
 * Every group has one state for all controllers of the subsystem: another path is another
 * target's. The change count goes up by one with each change.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/le.h"
#include "base/must.h"
#include "nvmf/tgt_page_priv.h"
#include "reactor/fiber.h"

static bool state_is_good(enum tgt_ana_state state)
{
	return (state >= TGT_ANA_OPTIMIZED && state <= TGT_ANA_PERSISTENT_LOSS) ||
	       state == TGT_ANA_CHANGE;
}

static void ns_set(struct fiber *f, struct tgt_ns *ns)
{
	if (!tgt_ns_hold(f, ns))
		return;
	ns->rules.ana = ns->subsys->ana_state[ns->ana_group - 1]; /* the newest, whoever set it */
	if (ns->rules.is_visible)
		tgt_view_publish(f, ns);
	tgt_ns_drop(f, ns);
}

int tgt_ana_set(struct fiber *f, struct tgt_subsys *subsys, uint32_t group,
		enum tgt_ana_state state)
{
	if (group - 1 >= TGT_ANA_GROUPS_MAX || !state_is_good(state))
		return fiber_fail(f, -EINVAL, "ANA group %" PRIu32 ", state %d: there is no such",
				  group, (int)state);
	if (subsys->ana_state[group - 1] == state)
		return 0;
	subsys->ana_state[group - 1] = (uint8_t)state;
	subsys->ana_count++;
	for (unsigned i = 0; i < TGT_NAMESPACES_MAX; i++) {
		struct tgt_ns *ns = subsys->ns[i];

		if (ns && ns->ana_group == group)
			ns_set(f, ns);
	}
	tgt_event_ana(subsys);
	return 0;
}

/* ---- the log page --------------------------------------------------------------------------- */

static uint32_t group_namespaces(const struct tgt_subsys *subsys, uint32_t group,
				 const struct tgt_window *window, uint64_t at)
{
	uint32_t count = 0;

	for (unsigned i = 0; i < TGT_NAMESPACES_MAX; i++) {
		uint8_t bytes[4];

		if (!subsys->ns[i] || subsys->ns[i]->ana_group != group ||
		    !subsys->ns[i]->rules.is_visible)
			continue;
		le32_put(bytes, i + 1);
		if (window)
			tgt_window_put(window, at + 4 * (uint64_t)count, bytes, sizeof(bytes));
		count++;
	}
	return count;
}

/* Returns where the next one begins. */
static uint64_t group_put(const struct tgt_subsys *subsys, uint32_t group, bool groups_only,
			  const struct tgt_window *window, uint64_t at)
{
	uint8_t bytes[NVME_ANA_GROUP_BYTES] = { 0 };
	struct nvme_ana_group head = {
		.id = group,
		.change_count = subsys->ana_count,
		.state = subsys->ana_state[group - 1],
	};
	struct builder builder;

	if (!groups_only)
		head.nsid_count = group_namespaces(subsys, group, window, at + sizeof(bytes));
	builder_init(&builder, bytes, sizeof(bytes));
	must(nvme_ana_group_put(&builder, &head) == 0);
	tgt_window_put(window, at, bytes, sizeof(bytes));
	return at + sizeof(bytes) + 4 * (uint64_t)head.nsid_count;
}

/* Groups without namespaces are not told: a host would wait for what never comes. */
void tgt_ana_page(const struct tgt_subsys *subsys, bool groups_only,
		  const struct tgt_window *window)
{
	uint8_t bytes[NVME_ANA_HEAD_BYTES] = { 0 };
	uint64_t at = sizeof(bytes);
	struct builder builder;
	uint16_t groups = 0;

	for (uint32_t group = 1; group <= TGT_ANA_GROUPS_MAX; group++) {
		if (!group_namespaces(subsys, group, NULL, 0))
			continue;
		at = group_put(subsys, group, groups_only, window, at);
		groups++;
	}
	builder_init(&builder, bytes, sizeof(bytes));
	must(nvme_ana_head_put(&builder, subsys->ana_count, groups) == 0);
	tgt_window_put(window, 0, bytes, sizeof(bytes));
}
