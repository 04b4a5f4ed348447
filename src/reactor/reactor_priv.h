/* SPDX-License-Identifier: Apache-2.0 */
/* reactor_priv - what the files of this folder know of each other. */
#ifndef REACTOR_REACTOR_PRIV_H
#define REACTOR_REACTOR_PRIV_H

#include <stdatomic.h>

#include "base/list.h"
#include "reactor/fiber.h"
#include "reactor/fiber_switch_priv.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"

/* What one turn does at most, so that each of tasks, timers and mail gets its share. */
#define TASKS_PER_TURN	  64u /* in each of the two rounds of tasks */
#define TIMERS_PER_TURN	  1024u
#define MAILS_PER_TURN	  128u /* from each peer */
#define MAIL_RING_SLOTS	  256u /* power of two */
#define STALL_NS_DEFAULT  100000000ull
#define STALL_ALERT_NS	  10000000000ull /* after a stall, each item is timed for so long */
#define STOP_TURNS_MAX	  1000u		 /* turns given to what is still posted at a stop */
#define FIBERS_POOLED_MAX 256u		 /* stacks kept for reuse */
#define FIBERS_LIMIT	  (1u << 20)	 /* the largest fibers_max */

/* ---- timer.c -------------------------------------------------------------- */

#define WHEEL_LEVELS 11 /* 6 bits each: all 64 of a time */
#define WHEEL_SLOTS  64

struct wheel {
	uint64_t base_ns; /* nothing in a slot is due at or before this */
	uint64_t next_ns; /* not later than the first deadline in a slot */
	bool next_is_exact;
	unsigned scan_max;	     /* timers to look at to make it exact */
	unsigned armed;		     /* in slots, due or firing */
	uint16_t levels;	     /* bit: the level has timers */
	uint64_t bits[WHEEL_LEVELS]; /* bit: the slot has timers */
	struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
	struct list due; /* by deadline */
};

void wheel_init(struct wheel *w, uint64_t now_ns);

/* Fire what is due by now_ns, at most TIMERS_PER_TURN. Returns how many. */
unsigned wheel_fire(struct reactor *r, uint64_t now_ns);

/* When wheel_fire() should be called next; 0: at once; IO_FOREVER. */
uint64_t wheel_next(struct wheel *w);

/* ---- mail.c --------------------------------------------------------------- */

/* From one reactor to another: the sender writes tail, the receiver head (MA1). */
struct mail_ring {
	struct mail *slots[MAIL_RING_SLOTS];
	_Alignas(64) _Atomic uint32_t tail;
	uint32_t head_seen;    /* the sender's: head is not before this */
	_Atomic bool is_short; /* the sender waits for room */
	_Alignas(64) _Atomic uint32_t head;
};

/* What is sent in this turn, or did not fit (MA2). */
struct outbox {
	struct mail *first, **last;
	uint32_t count, held; /* held: of count, those already counted as such */
};

/* Everything about the others; only bell and is_asleep are touched by them. */
struct post {
	struct reactor *peers[REACTORS_MAX];
	struct mail_ring *in[REACTORS_MAX]; /* owned; by sender */
	struct outbox out[REACTORS_MAX];    /* by receiver */
	struct outbox self;		    /* mail to ourselves */
	uint64_t out_bits;		    /* outboxes that are not empty */
	uint64_t in_bits;		    /* rings with mail left over from the last turn */
	_Alignas(64) _Atomic uint64_t bell; /* bit: that peer sent something, or made room */
	_Atomic bool is_asleep;		    /* rung bells need an io_wake() */
};

void post_init(struct post *p);
void post_fini(struct post *p);

/* Run what has come. Returns how many. */
unsigned post_receive(struct reactor *r);

/* Put what was sent on its way, waking those who sleep. */
void post_flush(struct reactor *r);

/* Nothing to receive, also after others have been told that we sleep? */
bool post_may_sleep(struct reactor *r);
void post_awake(struct reactor *r);

/* ---- fiber.c -------------------------------------------------------------- */

struct fiber_pool {
	struct list live; /* struct fiber.link: started and not released */
	struct list idle; /* with a stack, warmest first */
	struct list bare; /* without */
	unsigned count, idle_count, high_water;
	size_t stack_high_water_bytes;
};

void fiber_pool_init(struct fiber_pool *pool);
void fiber_pool_fini(struct fiber_pool *pool);
void fiber_pool_abandon(struct fiber_pool *pool);
size_t fiber_pool_stack_high_water(struct fiber_pool *pool);
/* Any thread, as long as its reactor lives. */
void fiber_copy_name(const struct fiber *f, char ret_name[FIBER_NAME_MAX]);

/* ---- reactor.c ------------------------------------------------------------ */

/*
 * What the reactor is doing, for its watcher on another thread: all atomics, relaxed.
 * Fibers' memory stays until reactor_free(), so the name may be read while the fiber ends.
 */
struct doing {
	_Atomic uint64_t turn_began_ns; /* 0: not in a turn */
	_Atomic uint64_t turns;
	_Atomic(const struct fiber *) fiber;
	_Atomic(void (*)(struct task *)) task;
};

struct reactor {
	struct io *io; /* borrowed */
	struct reactor_opts opts;
	char name[FIBER_NAME_MAX];

	struct list tasks;	/* struct task.link */
	struct list tasks_next; /* for the turn after this one */
	struct wheel wheel;
	struct post post;
	struct fiber_pool fibers;

	struct fiber_ctx loop; /* where reactor_turn() waits while a fiber runs */
	struct fiber *running; /* NULL: the loop itself */
	_Atomic bool stop;

	struct doing doing;
	unsigned items;		 /* run in this turn */
	unsigned events;	 /* callbacks run by io_turn() since the last turn */
	uint64_t alert_until_ns; /* each item is timed until then */
	uint64_t item_began_ns;	 /* while on the alert */
	bool stall_is_told;	 /* in this turn, with the item's name */
	struct reactor_stats stats;
};

/* What a reactor is in, for a report: a fiber's name or a task's address. Any thread. */
struct stall {
	uint64_t began_ns; /* of the turn; 0: not in one */
	uint64_t turns;
	char fiber[FIBER_NAME_MAX]; /* "": none */
	uint64_t task;		    /* address of its function; 0: none */
};

void reactor_doing(const struct reactor *r, struct stall *ret);

/* At the end of an item: was it what stalls us? */
void reactor_item_done_slow(struct reactor *r);

static inline void reactor_item(struct reactor *r, const struct fiber *f,
				void (*task)(struct task *))
{
	atomic_store_explicit(&r->doing.fiber, f, memory_order_relaxed);
	atomic_store_explicit(&r->doing.task, task, memory_order_relaxed);
	r->items++;
}

static inline void reactor_item_done(struct reactor *r)
{
	if (unlikely(r->alert_until_ns))
		reactor_item_done_slow(r);
}

#endif
