/* SPDX-License-Identifier: Apache-2.0 */
/* mask_priv - a set of a nexus's children. */
#ifndef NEXUS_MASK_PRIV_H
#define NEXUS_MASK_PRIV_H

#include "base/lang.h"
#include "nexus/nexus.h"

typedef uint8_t nexus_mask; /* bit i: child i */

_Static_assert(NEXUS_CHILDREN_MAX <= 8, "a bit for each child");

static inline bool nexus_has(nexus_mask mask, unsigned i)
{
	return mask >> i & 1;
}

#endif
