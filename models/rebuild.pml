/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rebuild - child B is copied from member A while writes go on (one block).
 *
 *	ATTACH	B joins the write set before the copy begins
 *	LOCK	the range is locked, and writes in it drained, while it is read from A and written to B
 *	FINAL	before B is admitted it becomes required for acknowledgements, the writes issued before
 *		that drain, and no write to it has failed since its copy
 *
 * A write goes to its children in either order with time between; that to B may fail until B is
 * required. (The drain after ATTACH is implied by LOCK here: switching it off alone is no mutant.)
 *
 * R1. Once admitted and at rest, B equals A, and neither is older than what was acknowledged.
 */
#ifndef W
#define W 3			/* writes */
#endif

byte a, b, acked;		/* the block on A, on B; the last write acknowledged */
bit attached, required, admitted, b_failed, locked;
byte writes, writes_without_b;	/* in flight */
byte ended;

inline write_b(k, with_b, needs_b)
{
	if
	:: with_b ->
		if
		:: atomic { !b_failed -> b = k }
		:: atomic { !admitted || !needs_b -> b_failed = 1 }
		fi
	:: else -> skip
	fi
}

proctype Writer()
{
	byte k = 1;
	bit with_b, needs_b;

	do
	:: k > W -> break
	:: else ->
		atomic {
#ifndef NO_LOCK
			!locked;
#endif
			with_b = attached && !b_failed; needs_b = required;
			writes++; writes_without_b = writes_without_b + !with_b
		}
		if
		:: a = k; write_b(k, with_b, needs_b)
		:: write_b(k, with_b, needs_b); a = k
		fi;
		atomic { acked = k; writes--; writes_without_b = writes_without_b - !with_b; k++ }
	od;
	ended++
}

proctype Rebuild()
{
	byte copy;

#ifndef NO_ATTACH
	attached = 1;
	writes_without_b == 0;
#endif
#ifndef NO_LOCK
	atomic { !locked -> locked = 1 };
	writes == 0;
#endif
	copy = a;
	b = copy;
#ifndef NO_LOCK
	locked = 0;
#endif
#ifdef NO_ATTACH
	attached = 1;
#endif
#ifndef NO_FINAL
	required = 1;
	writes == 0 || ended == 1;
#endif
	atomic {
#ifndef NO_FINAL
		if :: b_failed -> goto out :: else -> skip fi;
#endif
		admitted = 1; required = 1
	};
out:	ended++
}

proctype Check()
{
	ended == 2;
	assert(!admitted || (b == a && a >= acked)) /* R1 */
}

init { atomic { run Writer(); run Rebuild(); run Check() } }
