// SPDX-License-Identifier: Apache-2.0
/*
 * mayactl - tell a storage node what to do. See ctl.h.
 */
#include <string.h>

#include "bin/mayactl/ctl.h"

const struct ctl_verb *const ctl_nouns[] = {
	ctl_pool_verbs,	    ctl_replica_verbs,
	ctl_snapshot_verbs, ctl_nexus_verbs,
	ctl_child_verbs,    ctl_rebuild_verbs,
	ctl_share_verbs,    ctl_bdev_verbs,
	ctl_device_verbs,   ctl_volume_verbs,
	ctl_stats_verbs,    ctl_events_verbs,
	ctl_node_verbs,	    NULL,
};

int main(int argc, char **argv)
{
	struct mem_heap heap;
	struct ctl *ctl;
	int r, code = CTL_FAILED;

	mem_heap_init(&heap);
	ctl = mem_alloc(&heap.mem, sizeof(*ctl));
	if (ctl) {
		ctl->mem = &heap.mem;
		list_init(&ctl->allocs);
		r = ctl_decode(ctl, argc, argv);
		code = r == 0 ? ctl_run(ctl) : r > 0 ? (int)CTL_OK : (int)CTL_USAGE;
		mem_free(ctl);
	}
	mem_heap_fini(&heap);
	return code;
}
