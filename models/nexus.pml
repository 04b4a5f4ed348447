/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nexus - a mirrored block over takeovers: the volume's record, seal, fence, resync, sessions.
 *
 * One client writes 1, 2, ... WRITES to one block, through one nexus after the other; each successor
 * may be started on a false suspicion, the old one still alive. Messages to replicas are delayed
 * for ever or delivered in any order; links, the store and every nexus may fail at any time.
 *
 * Rules (each can be switched off):
 *	SEAL	 takeover bumps the epoch in the record; the record changes only under its own epoch
 *	FENCE	 a replica refuses tokens older than its fence; a new owner fences before it serves
 *	LEASE	 a member could not be fenced: wait until every older owner has stopped serving
 *	RESYNC	 all members are made equal to one of them before the first request
 *	PERSIST	 a failed child leaves the record before the write is acknowledged (off: ACK_FIRST)
 *	READDROP it is not read from, already before that
 *	LASTONE	 the last member is never removed
 *	SESSION	 a dropped child comes back only under a larger token, fenced before the copy
 *
 * N1. A read gives nothing older than what was acknowledged or read before, nothing never written.
 * N2. With STRANGER: nor does a read through the oldest nexus, at any time, by a client that
 *     stayed with it.
 * N3. An acknowledgement needs a member.
 *
 * Not in it: more than one block; reads in steps; resync and copy in steps; snapshots; resize.
 */
#ifndef REPLICAS
#define REPLICAS 2		/* 2 or 3 */
#endif
#ifndef NEXUSES
#define NEXUSES 2		/* 2 or 3 */
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef SLOTS
#define SLOTS 2			/* messages under way to a replica: 1 or 2 */
#endif

#define SESSIONS 4
#define TOKEN(e, s) ((e) * SESSIONS + (s))
#define ALL ((1 << REPLICAS) - 1)
#define HAS(set, i) (((set) >> (i)) & 1)
#define WITH(set, i) ((set) | (1 << (i)))
#define WITHOUT(set, i) ((set) & ~(1 << (i)))
#define NOTHING 255

#ifndef NO_FENCE
#define STALE(token, r) ((token) < fence[r])
#else
#define STALE(token, r) (false)
#endif
#ifndef NO_SEAL
#define OWNS(n) (record_epoch == epoch[n])
#else
#define OWNS(n) (true)		/* as if the record were simply put */
#endif


/* of a write to one child */
#define PENDING 0
#define DONE 1
#define CONFLICT 2
#define UNSENT 3

typedef Message { bit live; byte nexus; byte token; byte value };
typedef Link { Message slot[SLOTS] };
typedef PerReplica { byte at[REPLICAS] };

/* replicas, and what is under way to them */
byte block[REPLICAS], fence[REPLICAS];
Link link[REPLICAS];

/* the record */
byte record_epoch, record_members = ALL;

/* the nexuses */
bit alive[NEXUSES], serving[NEXUSES];
byte epoch[NEXUSES], session[NEXUSES];
byte members[NEXUSES], unread[NEXUSES];	/* as it knows them; of them, not read from */
PerReplica token[NEXUSES], result[NEXUSES];
byte request[NEXUSES], answer[NEXUSES];

/* the client */
byte acked, seen, issued;	/* seen: the newest that was acknowledged or read */

/* ---- the network ---------------------------------------------------------- */

inline put(n, r, s, v)
{
	link[r].slot[s].live = 1; link[r].slot[s].nexus = n;
	link[r].slot[s].token = token[n].at[r]; link[r].slot[s].value = v
}

inline send(n, r, v)
{
	if
	:: !link[r].slot[0].live -> put(n, r, 0, v)
#if SLOTS > 1
	:: link[r].slot[0].live && !link[r].slot[1].live -> put(n, r, 1, v)
	:: link[r].slot[0].live && link[r].slot[1].live -> result[n].at[r] = UNSENT
#else
	:: link[r].slot[0].live -> skip
#endif
	fi
}

/* Does the one who sent it still wait for it? */
#define AWAITED(r, s) (alive[from] && token[from].at[r] == link[r].slot[s].token && request[from] == link[r].slot[s].value)

inline deliver(r, s)
{
	atomic { link[r].slot[s].live ->
		from = link[r].slot[s].nexus;
		if
		:: STALE(link[r].slot[s].token, r) ->
			if :: AWAITED(r, s) -> result[from].at[r] = CONFLICT :: else -> skip fi
		:: else ->
			block[r] = link[r].slot[s].value;
			if
			:: AWAITED(r, s) && result[from].at[r] == PENDING -> result[from].at[r] = DONE
			:: else -> skip
			fi
		fi;
		link[r].slot[s].live = 0; link[r].slot[s].nexus = 0;
		link[r].slot[s].token = 0; link[r].slot[s].value = 0; from = 0 }
}

proctype Network()
{
	byte from;

end:	do
	:: deliver(0, 0)
	:: deliver(1, 0)
#if REPLICAS > 2
	:: deliver(2, 0)
#endif
#if SLOTS > 1
	:: deliver(0, 1)
	:: deliver(1, 1)
#if REPLICAS > 2
	:: deliver(2, 1)
#endif
#endif
	od
}

/* ---- a nexus -------------------------------------------------------------- */

inline any_member(n, r)
{
	if
	:: HAS(members[n], 0) -> r = 0
	:: HAS(members[n], 1) -> r = 1
#if REPLICAS > 2
	:: HAS(members[n], 2) -> r = 2
#endif
	fi
}

/* SEAL */
inline take_over(n)
{
	atomic {
		record_epoch++; epoch[n] = record_epoch;
		members[n] = record_members; alive[n] = 1;
		for (i : 0 .. REPLICAS - 1) { token[n].at[i] = TOKEN(epoch[n], 0) }
		i = 0
	}
}

/* FENCE: whom it cannot reach leaves the set. */
inline fence_members(n)
{
	do
	:: i < REPLICAS && HAS(members[n], i) ->
		if
		:: atomic { true -> if :: fence[i] < token[n].at[i] -> fence[i] = token[n].at[i] :: else -> skip fi }
		:: atomic { true -> members[n] = WITHOUT(members[n], i); unfenced = 1 }
		fi;
		i++
	:: i < REPLICAS && !HAS(members[n], i) -> i++
	:: i == REPLICAS -> i = 0; break
	od
}

#define OLDER_STOPPED(n) (((n) == 0 || !alive[(n) - 1]) && ((n) < 2 || !alive[0]))

/* RESYNC */
inline resync(n)
{
	atomic { any_member(n, source) }
	do
	:: i < REPLICAS && HAS(members[n], i) && i != source ->
		atomic {
			if :: STALE(token[n].at[i], i) || STALE(token[n].at[source], source) -> goto stop :: else -> skip fi;
			block[i] = block[source]
		}
		i++
	:: i < REPLICAS && (!HAS(members[n], i) || i == source) -> i++
	:: i == REPLICAS -> i = 0; break
	od
}

inline submit(n, v)
{
	atomic {
		for (i : 0 .. REPLICAS - 1) {
			result[n].at[i] = PENDING;
			if :: HAS(members[n], i) -> send(n, i, v) :: else -> skip fi
		}
		i = 0
	}
}

/* The record without child i; is_ok 0: deposed, or no store in time. */
inline record_without(n, i, is_ok)
{
	atomic {
		if
		:: OWNS(n) -> record_members = WITHOUT(record_members, i); is_ok = 1
		:: !OWNS(n) -> is_ok = 0
		:: is_ok = 0
		fi
	}
}

/* A child failed. READDROP, PERSIST, LASTONE, SESSION. */
inline drop(n, i)
{
#ifndef NO_LASTONE
	if :: members[n] == 1 << i -> goto stop :: else -> skip fi;
#endif
#ifndef ACK_FIRST
#ifndef NO_READDROP
	unread[n] = WITH(unread[n], i);
#endif
	record_without(n, i, is_ok);
	if :: !is_ok -> goto stop :: else -> skip fi;
#endif
	members[n] = WITHOUT(members[n], i);
#ifndef NO_SESSION
	atomic {
		if :: session[n] < SESSIONS - 1 -> session[n]++ :: else -> goto stop fi;
		token[n].at[i] = TOKEN(epoch[n], session[n])
	}
#endif
}

inline collect(n)
{
	do
	:: i < REPLICAS && (!HAS(members[n], i) || result[n].at[i] == DONE) -> i++
	:: i < REPLICAS && HAS(members[n], i) && result[n].at[i] == CONFLICT -> goto stop
	:: i < REPLICAS && HAS(members[n], i) && (result[n].at[i] == PENDING || result[n].at[i] == UNSENT) -> drop(n, i); i++
	:: i == REPLICAS -> i = 0; break
	od
}

/* A dropped child comes back, between two writes: fence, copy, record. */
inline rebuild(n)
{
	atomic { do :: i < REPLICAS && HAS(members[n], i) -> i++ :: else -> break od }
	if
	:: i < REPLICAS ->
		if :: true :: goto stop fi;
		atomic {
#ifndef NO_FENCE
			if :: fence[i] > token[n].at[i] -> goto stop :: else -> fence[i] = token[n].at[i] fi
#else
			skip
#endif
		}
		atomic {
			any_member(n, source);
			if :: STALE(token[n].at[source], source) -> goto stop :: else -> skip fi;
			block[i] = block[source]
		}
		atomic {
			if :: OWNS(n) -> skip :: else -> goto stop fi;
			record_members = WITH(record_members, i);
			members[n] = WITH(members[n], i); unread[n] = WITHOUT(unread[n], i)
		}
	:: else -> skip
	fi;
	i = 0
}

proctype Nexus(byte n)
{
	byte i, source, value;
	bit is_ok, unfenced;

	take_over(n);
	fence_members(n);
	if :: members[n] == 0 -> goto stop :: else -> skip fi;
	if
	:: unfenced ->
		atomic { if :: record_epoch == epoch[n] -> record_members = members[n] :: else -> goto stop fi }
#ifndef NO_LEASE
		atomic { OLDER_STOPPED(n) }
#endif
	:: else -> skip
	fi;
#ifndef NO_RESYNC
	resync(n);
#endif
	serving[n] = 1;
	do
	:: goto stop		/* a crash, or an order to stop */
	:: request[n] != 0 && answer[n] != request[n] ->
		value = request[n];
		submit(n, value);
		collect(n);
		assert(members[n] != 0); /* N3 */
		answer[n] = value;
#ifdef ACK_FIRST
		atomic { if :: record_epoch == epoch[n] -> record_members = members[n] :: else -> goto stop fi }
#endif
	:: request[n] == answer[n] && members[n] != ALL -> rebuild(n)
	od;
stop:	atomic { serving[n] = 0; alive[n] = 0 }
}

/* ---- clients -------------------------------------------------------------- */

#ifndef NO_FENCE
#define READS(n, r) (HAS(members[n], r) && !HAS(unread[n], r) && !STALE(token[n].at[r], r))
#else
#define READS(n, r) HAS(members[n], r)
#endif

inline read(n, r, at_least)
{
	atomic { serving[n] ->
		if
		:: READS(n, r) -> got = block[r]; assert(got >= at_least && got <= issued) /* N1, N2 */
		:: else -> got = NOTHING
		fi }
}

inline read_on(n, r)
{
	atomic { request[n] == answer[n] -> read(n, r, seen); if :: got != NOTHING -> seen = got :: else -> skip fi; got = 0 }
}

inline retry_or_give_up(k) { if :: true :: k++ fi }

#define NEXT_SERVES(n) ((n) + 1 < NEXUSES && serving[(n) + 1])

proctype Client()
{
	byte at = 0, k = 1, got;

	do
	:: k > WRITES -> break
	:: k <= WRITES && serving[at] ->
		if
		:: atomic { issued = k; request[at] = k };
			if
			:: atomic { answer[at] == k -> acked = k; seen = k; k++ }
			:: !serving[at] -> retry_or_give_up(k)
			:: NEXT_SERVES(at) -> atomic { at++; retry_or_give_up(k) }
			fi
		:: read_on(at, 0)
		:: read_on(at, 1)
#if REPLICAS > 2
		:: read_on(at, 2)
#endif
		fi
	:: NEXT_SERVES(at) -> at++
	:: !serving[at] && !alive[at] && at + 1 >= NEXUSES -> break
	:: timeout -> break
	od;
	do
	:: NEXT_SERVES(at) -> at++
	:: read_on(at, 0)
	:: read_on(at, 1)
#if REPLICAS > 2
	:: read_on(at, 2)
#endif
	:: break
	od
}

#ifdef STRANGER
proctype Stranger()
{
	byte got;

	do
	:: read(0, 0, acked); got = 0
	:: read(0, 1, acked); got = 0
	:: break
	od
}
#endif

init {
	atomic {
		run Network(); run Client();
#ifdef STRANGER
		run Stranger();
#endif
		run Nexus(0)
	};
	epoch[0] > 0 -> run Nexus(1); /* at any time: a crash, or only a suspicion */
#if NEXUSES > 2
	epoch[1] > 0 -> run Nexus(2)
#endif
}
