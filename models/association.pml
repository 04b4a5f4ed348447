/* SPDX-License-Identifier: Apache-2.0 */
/*
 * association - a host that reconnects is never overtaken by what it sent before.
 *
 * One host writes 1, 2, ... W to one block of one subsystem, the next when the last is acknowledged.
 * Whenever it likes it takes its connection for dead, makes another and sends again what was not
 * acknowledged: so a stock Linux host does. The target may still have the old command
 * on the wire, received, or in flight at the device.
 *
 *	wire -> received -> at the device -> in the block
 *
 * Rules (each can be switched off):
 *	CLOSE	 a Connect first closes the older association of the same host and listener
 *	DISCARD	 closing drops what was received and not dispatched
 *	DRAIN	 Connect is answered when what was dispatched before has left the device, also that of
 *		 associations which were closed for another reason
 *	REFUSE	 a Connect through another listener is refused while the first association lives
 *
 * A1. What lands in the block is never older than what was acknowledged.
 */
#ifndef W
#define W 2			/* writes */
#endif
#ifndef C
#define C 3			/* connections */
#endif
#define CONNECT 255

mtype = { NONE, WAITS, OPEN, REFUSED, CLOSED };

mtype state[C] = NONE;		/* as the target sees it */
bit listener[C];
byte wire[C];			/* bytes under way: nothing, CONNECT, or a write */
byte received[C];
byte device[C];
byte answer[C];			/* the last write acknowledged on it */
byte block, acked;

inline close(c)
{
	state[c] = CLOSED;
#ifndef NO_DISCARD
	received[c] = 0
#else
	skip
#endif
}

/* ---- the target ----------------------------------------------------------- */

#define OLDER_LIVES(c, o) ((o) < (c) && state[o] == OPEN)

inline connect_one(c, o)
{
	if
	:: OLDER_LIVES(c, o) && listener[o] != listener[c] ->
#ifndef NO_REFUSE
		state[c] = REFUSED
#else
		skip
#endif
	:: OLDER_LIVES(c, o) && listener[o] == listener[c] ->
#ifndef NO_CLOSE
		close(o)
#else
		skip
#endif
	:: else -> skip
	fi
}

#ifndef NO_DRAIN
#define DRAINED(c) ((device[0] == 0 || state[0] == OPEN) && ((c) < 2 || device[1] == 0 || state[1] == OPEN))
#else
#define DRAINED(c) (true)
#endif

proctype Target(byte c)
{
end:	do
	:: atomic { wire[c] == CONNECT && state[c] == NONE ->
		wire[c] = 0; state[c] = WAITS;
		if :: c > 0 -> connect_one(c, 0) :: else -> skip fi;
		if :: c > 1 && state[c] == WAITS -> connect_one(c, 1) :: else -> skip fi }
	:: atomic { state[c] == WAITS && DRAINED(c) -> state[c] = OPEN }
	:: atomic { wire[c] != 0 && wire[c] != CONNECT && received[c] == 0 && state[c] == OPEN ->
		received[c] = wire[c]; wire[c] = 0 }
#ifndef NO_DISCARD
	:: atomic { received[c] != 0 && device[c] == 0 && state[c] == OPEN ->
#else
	:: atomic { received[c] != 0 && device[c] == 0 ->
#endif
		device[c] = received[c]; received[c] = 0 }
	:: atomic { device[c] != 0 ->
		block = device[c]; assert(block >= acked); /* A1 */
		if :: state[c] == OPEN -> answer[c] = block :: else -> skip fi;
		device[c] = 0 }
	/* the socket fails, keep-alive runs out */
	:: atomic { state[c] == OPEN -> close(c) }
	od
}

/* ---- the host ------------------------------------------------------------- */

proctype Host()
{
	byte k = 1, c = 0;

	do
	:: k > W || c >= C -> break
	:: else ->
		atomic {
			if :: listener[c] = 0 :: listener[c] = 1 fi;
			wire[c] = CONNECT
		}
		if
		:: state[c] == OPEN -> skip
		:: state[c] == REFUSED -> c++; goto again
		:: c++; goto again	/* patience ends */
		fi;
		do
		:: k > W -> break
		:: else ->
			wire[c] = k;
			if
			:: atomic { answer[c] == k -> acked = k; k++ }
			:: c++; goto again	/* taken for dead; what is on the wire stays there */
			fi
		od;
again:		skip
	od
}

init { atomic { run Target(0); run Target(1); run Target(2); run Host() } }
