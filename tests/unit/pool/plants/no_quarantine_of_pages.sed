# SPDX-License-Identifier: Apache-2.0
# refs.c: a page is free at once when its last pointer is gone (P3).
s/int r = names_add(&refs->freed, pool->mem, page);/int r = 0;\
\
		busy_clear(rc, place);\
		refs->free_pages++;\
		if (rc->free++ == 0)\
			list_add_tail(\&refs->free_clusters, \&rc->free_link);/
