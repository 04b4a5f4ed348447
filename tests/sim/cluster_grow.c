/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_grow - the volume of the scenario `cluster` grows, region by region, under load.
 *
 * CG1. A group of cells is used as soon as the disk that the client sees has both sides of its
 *      border; what is new reads as zeros until it is written.
 * CG2. A member in sync has what the record calls the volume's size.
 */
#include "cluster_world.h"

#include <inttypes.h>
#include <string.h>

#include "base/must.h"
#include "bdev/bdev.h"
#include "engine/publish.h"
#include "reactor/fiber.h"

uint64_t cw_groups(uint64_t bytes)
{
	return min_u64(bytes / CW_REGION, CW_GROUPS_MAX + 1) - 1;
}

uint64_t cw_groups_of(const struct bdev *bdev)
{
	return cw_groups(bdev->blocks * bdev->block_size);
}

void cw_grow(struct fiber *f, struct cw_cand *cand)
{
	struct cluster *c = cand->c;
	struct nexus_info *info = mem_new(fiber_io(f), sizeof(*info));
	uint64_t size_bytes;
	int r;

	must(info);
	nexus_info(cand->nexus, info);
	size_bytes = info->size_bytes + CW_REGION;
	mem_free(info);
	if (size_bytes > CW_BYTES_MAX)
		return;
	r = nexus_resize(f, cand->nexus, size_bytes);
	sim_trace(c->sim, "cand %u: grow to %" PRIu64 ": %d %s", cand->number, size_bytes, r,
		  fiber_words(f));
	if (r == 0)
		sim_fault_count(c->sim, SIM_STORY_RESIZE);
	if (r == 0 && cand->publish)
		r = publish_rescan(f, cand->publish);
	fiber_clear(f);
}
