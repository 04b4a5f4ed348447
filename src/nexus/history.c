// SPDX-License-Identifier: Apache-2.0
/*
 * history - the rebuilds of a volume that ended, the last NEXUS_HISTORY_MAX of them.
 *
 * HI1. A try is told of if it got as far as the record: a child that cannot be had is not a rebuild.
 */
#include <errno.h>
#include <stdio.h>

#include "nexus/nexus_priv.h"

int history_init(struct nexus *n)
{
	n->history.records =
		mem_alloc_array(n->mem, NEXUS_HISTORY_MAX, sizeof(*n->history.records));
	return n->history.records ? 0 : -ENOMEM;
}

void history_fini(struct nexus *n)
{
	mem_free(n->history.records);
}

void history_add(struct nexus_child *child, int result)
{
	struct nexus *n = child->nexus;
	const struct nexus_rebuild *rb = &child->rebuild;
	struct nexus_rebuild_record *rec =
		&n->history.records[n->history.count++ % NEXUS_HISTORY_MAX];

	*rec = (struct nexus_rebuild_record){
		.start_ns = rb->start_wall_ns,
		.end_ns = io_wall(n->io),
		.is_partial = rb->is_partial,
		.result = result,
		.total_bytes = rb->total,
		.recovered_bytes = rb->recovered,
		.transferred_bytes = child->copied,
	};
	snprintf(rec->uri, sizeof(rec->uri), "%s", child_member(child)->uri);
}

unsigned nexus_history(struct nexus *n, struct nexus_rebuild_record *ret, unsigned max)
{
	uint64_t count = min_u64(n->history.count, NEXUS_HISTORY_MAX);

	count = min_u64(count, max);
	for (uint64_t i = 0; i < count; i++)
		ret[i] = n->history.records[(n->history.count - count + i) % NEXUS_HISTORY_MAX];
	return (unsigned)count;
}
