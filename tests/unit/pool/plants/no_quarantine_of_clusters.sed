# SPDX-License-Identifier: Apache-2.0
# space_apply.c: a cluster is free at once when its last mapping is gone (P3), and the next to be taken.
/^static int cluster_last/,/^}/s/return names_add(&pool->space.freed, pool->mem, cluster);/struct space_group *group = map_u64_get(\&pool->space.groups, g->key);\
\
	pool->space.quarantined--;\
	if (group) {\
		bitmap_clear(\&group->busy, cluster_index(cluster) % SPACE_GROUP);\
		group->busy_count--;\
	}\
	if (group == pool->space.here)\
		pool->space.cursor = cluster_index(cluster) % SPACE_GROUP;\
	return 0;/
