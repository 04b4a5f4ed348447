// SPDX-License-Identifier: Apache-2.0
/* names - a growing array of cluster or page names. */
#include "pool/names_priv.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"

#define NAMES_ROOM_MIN 64u

int names_add(struct names *names, struct mem *mem, uint64_t name)
{
	if (names->count == names->room) {
		uint32_t room = max_u32(NAMES_ROOM_MIN, names->room * 2);
		uint64_t *at;

		if (room > NAMES_MAX)
			return -ENOSPC;
		at = mem_alloc_array(mem, room, sizeof(*at));
		if (!at)
			return -ENOMEM;
		if (names->count)
			memcpy(at, names->at, names->count * sizeof(*at));
		mem_free(names->at);
		names->at = at;
		names->room = room;
	}
	names->at[names->count++] = name;
	return 0;
}

void names_free(struct names *names)
{
	mem_free(names->at);
	*names = (struct names){ 0 };
}

void names_take(struct names *to, struct names *from)
{
	must(to->count == 0);
	mem_free(to->at);
	*to = *from;
	*from = (struct names){ 0 };
}
