/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain - owners that take a volume from one another, one after the other, and stale reads by those that were.
 *
 * nexus.pml has two owners, and the second waits for the first where it must. Here each may die at any
 * point, or only believe itself the owner; any member may be out of reach of anybody, at any time.
 * A write is one step: it reaches all members of its owner, or none. Owners n have the epoch n + 1.
 *
 * Rules (each can be switched off):
 *	EARLIER	 the record names owners that were, until somebody has waited for them; who takes over waits
 *		 for those that it names, and for the last owner if it lost a member
 *	SINCE	 who waits for an owner that lives counts only what that has seen since it was deposed
 *	AGAIN	 who does not serve yet need not look, but then it looks before it serves
 *	ENDS	 a lease that ended, and was renewed, is none before the record was read
 *
 * C1. No read through any owner gives less than what was acknowledged before.
 *
 * With QUIET nobody looks, and no lease lapses: a process lives, or is dead for good.
 */
#ifndef OWNERS
#define OWNERS 3
#endif
#ifndef WRITES
#define WRITES 1
#endif
#define MEMBERS 2
#define ALL ((1 << MEMBERS) - 1)
#define HAS(set, i) (((set) >> (i)) & 1)
#define WITH(set, i) ((set) | (1 << (i)))
#define WITHOUT(set, i) ((set) & ~(1 << (i)))

/* the record: epoch, members, owners that were (a set) */
byte epoch, members = ALL, earlier;
/* members: what they hold, and their fence */
byte block[MEMBERS], fence[MEMBERS];
byte acked;

/* owners */
bit alive[OWNERS], serving[OWNERS], lapsed[OWNERS], promised[OWNERS];
byte mine[OWNERS];		/* members as it knows them */
byte looked[OWNERS];		/* it has seen all since the record had this epoch */

#define EPOCH(n) ((n) + 1)
#define OWNS(n) (epoch == EPOCH(n))

/* LEASE: has it stopped, as far as the one who took over with epoch e can tell? */
#ifndef NO_SINCE
#define HAS_STOPPED(o, e) (!alive[o] || lapsed[o] || looked[o] >= (e))
#else
#define HAS_STOPPED(o, e) (!alive[o] || lapsed[o] || looked[o] > 0)
#endif

proctype Owner(byte n)
{
	byte i, awaited, last;
	bit lost;

	/* SEAL */
	atomic {
		last = epoch; /* of the owner that was, from 1; 0: none */
		awaited = earlier;
#ifndef NO_EARLIER
		if :: last > 0 -> earlier = WITH(earlier, last - 1) :: else -> skip fi;
#endif
		epoch = EPOCH(n); mine[n] = members; alive[n] = 1
	}
	/* FENCE */
	do
	:: i < MEMBERS && HAS(mine[n], i) ->
		if
		:: atomic { true -> if :: fence[i] > EPOCH(n) -> goto stop :: else -> fence[i] = EPOCH(n) fi }
		:: atomic { mine[n] != (1 << i) -> mine[n] = WITHOUT(mine[n], i); lost = 1 }
		fi;
		i++
	:: i < MEMBERS && !HAS(mine[n], i) -> i++
	:: i == MEMBERS -> i = 0; break
	od;
	if
	:: lost -> atomic { if :: OWNS(n) -> members = mine[n] :: else -> goto stop fi }
	:: else -> skip
	fi;
	/* LEASE */
	atomic { if :: lost && last > 0 -> awaited = WITH(awaited, last - 1) :: else -> skip fi };
	do
	:: i < OWNERS && HAS(awaited, i) ->
		if
		:: HAS_STOPPED(i, EPOCH(n)) -> i++
		:: goto stop
		fi
	:: i < OWNERS && !HAS(awaited, i) -> i++
	:: i == OWNERS -> i = 0; break
	od;
	atomic { if :: OWNS(n) -> earlier = 0 :: else -> goto stop fi };
	/* AGAIN */
#ifndef NO_AGAIN
	do
	:: atomic { promised[n] -> promised[n] = 0; if :: !OWNS(n) -> goto stop :: else -> skip fi }
	:: atomic { !promised[n] -> serving[n] = 1; break }
	od;
#else
	serving[n] = 1;
#endif
	do
	:: goto stop		/* a crash, or an order to stop */
	:: !serving[n] -> goto stop	/* deposed */
	:: atomic { serving[n] && acked < WRITES ->	/* a write: refused by one fence, it is deposed */
		if
		:: (HAS(mine[n], 0) && fence[0] > EPOCH(n)) || (HAS(mine[n], 1) && fence[1] > EPOCH(n)) -> goto stop
		:: else ->
			if :: HAS(mine[n], 0) -> block[0] = acked + 1 :: else -> skip fi;
			if :: HAS(mine[n], 1) -> block[1] = acked + 1 :: else -> skip fi;
			acked++
		fi }
	od;
stop:	atomic { serving[n] = 0; alive[n] = 0 }
}

#ifndef QUIET
/* The process of an owner: it keeps its lease, and looks at the record. */
proctype Keeper(byte n)
{
	byte since;

end:	do
	/* stopped for a while, or cut off: the lease ends, and begins anew */
	:: atomic { alive[n] && !lapsed[n] -> lapsed[n] = 1 }
	:: atomic { alive[n] && lapsed[n] -> lapsed[n] = 0;
#ifndef NO_ENDS
		if :: !OWNS(n) -> serving[n] = 0; promised[n] = 1 :: else -> skip fi
#endif
		}
	:: alive[n] && !lapsed[n] && epoch > looked[n] ->
		since = epoch;
		atomic { if
			:: serving[n] && !OWNS(n) -> serving[n] = 0
			:: serving[n] && OWNS(n) -> skip
			:: !serving[n] -> promised[n] = 1
			fi }
		atomic { looked[n] = since; since = 0 }
	od
}
#define KEEP(n) run Keeper(n)
#else
#define KEEP(n) skip
#endif

/* A client that stayed with whichever owner. */
#define READ(n, i) atomic { alive[n] && serving[n] && !lapsed[n] && HAS(mine[n], i) && fence[i] <= EPOCH(n) && block[i] < acked -> assert(false) }

proctype Reader()
{
end:	do
	:: READ(0, 0)
	:: READ(0, 1)
	:: READ(1, 0)
	:: READ(1, 1)
#if OWNERS > 2
	:: READ(2, 0)
	:: READ(2, 1)
#endif
	od
}

init {
	byte n;

	atomic { run Reader(); KEEP(0); run Owner(0) };
	for (n : 1 .. OWNERS - 1) {
		epoch >= n -> atomic { if :: n < OWNERS - 1 -> KEEP(n) :: else -> skip fi; run Owner(n) }
	}
}
