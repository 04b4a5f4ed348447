// SPDX-License-Identifier: Apache-2.0
/* names - a growing array of cluster or page names: quarantine and work lists. */
#ifndef POOL_NAMES_PRIV_H
#define POOL_NAMES_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

struct mem;

#define NAMES_MAX (UINT32_C(1) << 26)

struct names {
	uint64_t *at; /* owned */
	uint32_t count, room;
};

/* 0, -ENOMEM, -ENOSPC (NAMES_MAX). */
MUST_USE int names_add(struct names *names, struct mem *mem, uint64_t name);
void names_free(struct names *names);
/* to gets all of from, which becomes empty; to was empty. */
void names_take(struct names *to, struct names *from);

#endif
