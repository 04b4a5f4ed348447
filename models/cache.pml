/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache - two replicas on disks with volatile caches; either may lose power and come back, noticed or not.
 *
 *	INCARN	a replica's incarnation changes when it comes back from an unclean stop; the nexus compares
 *		it whenever it talks to the child. Changed, with other members left: the child is dropped.
 *		Changed, and it is the last one: it goes on if nothing acknowledged is missing, else stop.
 *	FANOUT	a flush is acknowledged when every member has flushed
 *
 * C1. A read gives nothing older than what was flushed, nor, unless all lost power at once, than what
 *     was acknowledged.
 * C2. After a stop every recorded member holds what was flushed.
 */
#ifndef W
#define W 3			/* writes */
#endif
#define CUTS 3			/* power cuts */

#define IS_MEMBER(i) ((members >> (i)) & 1)
#define IS_ONLY(i) (members == (1 << (i)))

byte cache[2], media[2];
byte incarnation[2], seen[2];
byte members = 3, acked, flushed, cuts;
bit all_cut;

proctype Power()
{
	byte i;

end:	do
	:: atomic { cuts < CUTS -> cuts++; if :: i = 0 :: i = 1 fi; cache[i] = media[i]; incarnation[i]++; i = 0 }
	:: atomic { media[0] != cache[0] -> media[0] = cache[0] } /* written back in its own time */
	:: atomic { media[1] != cache[1] -> media[1] = cache[1] }
	:: atomic { cuts < CUTS -> cuts = CUTS; all_cut = 1;
		cache[0] = media[0]; cache[1] = media[1]; incarnation[0]++; incarnation[1]++ }
	od
}

#define GONE 0
#define FINE 1
#define HALT 2

/* The nexus talks to child i: what is it? */
inline talk(i, is)
{
	is = FINE;
	if
	:: !IS_MEMBER(i) -> is = GONE
#ifndef NO_INCARN
	:: IS_MEMBER(i) && seen[i] != incarnation[i] && !IS_ONLY(i) -> members = members & ~(1 << (i)); is = GONE
	:: IS_MEMBER(i) && seen[i] != incarnation[i] && IS_ONLY(i) && cache[i] < acked -> is = HALT
	:: IS_MEMBER(i) && seen[i] != incarnation[i] && IS_ONLY(i) && cache[i] >= acked -> seen[i] = incarnation[i]
#endif
	:: else -> skip
	fi
}

inline halt_if(is) { if :: is == HALT -> goto halt :: else -> skip fi }

inline write_to(i, k, is) { atomic { talk(i, is); if :: is == FINE -> cache[i] = k :: else -> skip fi } }
inline flush_to(i, is) { atomic { talk(i, is); if :: is == FINE -> media[i] = cache[i] :: else -> skip fi } }

inline read_from(i, is)
{
	atomic { IS_MEMBER(i) -> talk(i, is);
		if
		:: is == FINE -> assert(cache[i] >= flushed && (all_cut || cache[i] >= acked)) /* C1 */
		:: else -> skip
		fi }
}

proctype Nexus()
{
	byte k = 1, upto, is0, is1;

	do
	:: k > W -> break
	:: k <= W ->
		write_to(0, k, is0); halt_if(is0);
		write_to(1, k, is1); halt_if(is1);
		atomic { is0 == FINE || is1 == FINE -> acked = k; k++; is0 = 0; is1 = 0 }
	:: upto = acked;
		flush_to(0, is0); halt_if(is0);
#ifndef NO_FANOUT
		flush_to(1, is1); halt_if(is1);
#endif
		atomic { flushed = upto; upto = 0; is0 = 0; is1 = 0 }
	:: read_from(0, is0); halt_if(is0)
	:: read_from(1, is1); halt_if(is1)
	od;
halt:	if
	:: IS_MEMBER(0) -> assert(cache[0] >= flushed) /* C2 */
	:: IS_MEMBER(1) -> assert(cache[1] >= flushed)
	fi
}

init { atomic { run Power(); run Nexus() } }
