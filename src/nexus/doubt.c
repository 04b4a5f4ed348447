// SPDX-License-Identifier: Apache-2.0
/*
 * doubt - a member whose disk failed when nobody else was left: it stays, and is not quite believed.
 *
 * The last member is kept whatever it does (LASTONE). But a disk that failed to write, or to flush, may
 * read what it will forget with the power, and no later flush covers it: once others are in sync again,
 * and say that they are equal, they would not be after the next power cut.
 *
 *	last one fails ---> in doubt, in the record ---> another is in sync ---> it leaves ---> copied whole
 *
 * DB1. The record says so, as the reason of a member in sync, before the volume serves again.
 * DB2. When another member is in sync and in no doubt, it leaves, in the same record (RB6). However it leaves
 *	it has no map: what it will lack is not known.
 * DB3. Only for what its disk says (EIO): who could not be reached has lost nothing by that.
 * DB4. Of members that all are in doubt those that a takeover has written again, and flushed, are not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nexus/failure_priv.h"
#include "nexus/nexus_priv.h"
#include "nexus/owner_priv.h"

#define DOUBT "in doubt: EIO when it was the last"

static bool doubt_is(const struct volume_member *member)
{
	return member->state == VOLUME_IN_SYNC && strcmp(member->reason, DOUBT) == 0;
}

bool doubt_leaves(struct nexus_child *child)
{
	if (!doubt_is(child_member(child)))
		return false;
	child->left_in_doubt = true;
	return true;
}

static bool doubt_note(struct nexus *n, nexus_mask last)
{
	bool is_new = false;

	nexus_each_child(n, child) {
		struct volume_member *member = child_member(child);

		if (!nexus_has(last, child->index) || child->error != -EIO ||
		    member->state != VOLUME_IN_SYNC || doubt_is(member))
			continue;
		snprintf(member->reason, sizeof(member->reason), "%s", DOUBT);
		is_new = true;
	}
	return is_new;
}

int doubt_record(struct fiber *f, struct nexus *n, nexus_mask last)
{
	return doubt_note(n, last) ? owner_put_surely(f, n) : 0; /* DB1 */
}

void doubt_resynced(struct nexus *n, const struct nexus_child *source)
{
	nexus_each_child(n, child)
		if (child != source && doubt_is(child_member(child)))
			child_member(child)->reason[0] = 0; /* DB4 */
}

void doubt_settle(struct nexus *n)
{
	bool is_sure = false;

	nexus_each_child(n, child)
		is_sure = is_sure || (nexus_has(n->needed, child->index) &&
				      child->state == NEXUS_CHILD_IN_SYNC &&
				      child_member(child)->state == VOLUME_IN_SYNC &&
				      !doubt_is(child_member(child)));
	nexus_each_child(n, child)
		if (is_sure && child->state == NEXUS_CHILD_IN_SYNC && doubt_is(child_member(child)))
			retire(child, -EIO);
}
