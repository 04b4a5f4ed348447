// SPDX-License-Identifier: Apache-2.0
/*
 * mail - pointers from reactor to reactor, in order, without locks.
 *
 *	reactor_send --> outbox --flush, once a turn--> ring --> receiver's turn --> run
 *	                   ^                             |
 *	                   +------ no room: stays -------+
 *
 * Each ordered pair has a ring of MAIL_RING_SLOTS pointers. A doorbell (one bit a
 * peer) tells the receiver where to look, so a turn without mail costs it one load.
 *
 * MA1. A ring's tail is stored by its sender only, its head by its receiver only. A
 *      slot is the sender's before the tail passes it, the receiver's until the head does.
 * MA2. Mail goes through the outbox, which is emptied in order (RE3).
 * MA3. No wake-up is lost. The receiver says it sleeps, then looks at the bell; the
 *      sender rings it, then looks whether the receiver sleeps. All four are
 *      sequentially consistent, so one of them sees the other.
 * MA4. No room is not lost either: the sender says it is short, then looks for room
 *      again; the receiver makes room, then looks whether the sender is short, and
 *      rings the sender's own bell.
 */
#include <errno.h>

#include "base/mem.h"
#include "base/must.h"
#include "reactor/reactor_priv.h"

static void outbox_init(struct outbox *out)
{
	out->first = NULL;
	out->last = &out->first;
	out->count = 0;
	out->held = 0;
}

static void outbox_push(struct outbox *out, struct mail *mail)
{
	mail->next = NULL;
	*out->last = mail;
	out->last = &mail->next;
	out->count++;
}

static struct mail *outbox_pop(struct outbox *out)
{
	struct mail *mail = out->first;

	if (!mail)
		return NULL;
	out->first = mail->next;
	if (!out->first)
		out->last = &out->first;
	out->count--;
	if (out->held)
		out->held--;
	return mail;
}

void post_init(struct post *p)
{
	for (unsigned i = 0; i < REACTORS_MAX; i++)
		outbox_init(&p->out[i]);
	outbox_init(&p->self);
}

void post_fini(struct post *p)
{
	for (unsigned i = 0; i < REACTORS_MAX; i++)
		mem_free(p->in[i]);
}

/* RE1's exception: other threads call this (MA3). */
static void post_ring(struct reactor *to, unsigned from)
{
	atomic_fetch_or(&to->post.bell, 1ull << from);
	if (atomic_load(&to->post.is_asleep) && atomic_exchange(&to->post.is_asleep, false))
		io_wake(to->io);
}

void reactor_send(struct reactor *from, struct reactor *to, struct mail *mail)
{
	struct post *p = &from->post;

	from->stats.mails_out++;
	if (from == to) {
		outbox_push(&p->self, mail);
		return;
	}
	must(p->peers[to->opts.index] == to);
	outbox_push(&p->out[to->opts.index], mail);
	p->out_bits |= 1ull << to->opts.index;
}

/* ---- sending -------------------------------------------------------------- */

/* As much as there is room for. Returns whether anything went. */
static bool ring_fill(struct mail_ring *ring, struct outbox *out)
{
	uint32_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint32_t room = MAIL_RING_SLOTS - (tail - ring->head_seen);

	if (room < out->count) { /* only then: its line is the receiver's */
		ring->head_seen = atomic_load(&ring->head);
		room = MAIL_RING_SLOTS - (tail - ring->head_seen);
	}
	uint32_t count = min_u32(room, out->count);

	for (uint32_t i = 0; i < count; i++)
		ring->slots[tail++ % MAIL_RING_SLOTS] = outbox_pop(out);
	if (count)
		atomic_store_explicit(&ring->tail, tail, memory_order_release); /* MA1 */
	return count;
}

static void post_flush_to(struct reactor *r, unsigned index)
{
	struct post *p = &r->post;
	struct outbox *out = &p->out[index];
	struct mail_ring *ring = p->peers[index]->post.in[r->opts.index];
	bool any = ring_fill(ring, out);

	if (out->first) {
		atomic_store(&ring->is_short, true);
		any |= ring_fill(ring, out); /* MA4 */
	}
	if (any)
		post_ring(p->peers[index], r->opts.index);
	if (!out->first)
		p->out_bits &= ~(1ull << index);
	r->stats.mails_held += out->count - out->held;
	out->held = out->count;
}

void post_flush(struct reactor *r)
{
	for (uint64_t bits = r->post.out_bits; bits; bits &= bits - 1)
		post_flush_to(r, (unsigned)__builtin_ctzll(bits));
}

/* ---- receiving ------------------------------------------------------------ */

static void mail_run(struct reactor *r, struct mail *mail)
{
	reactor_item(r, NULL, (void (*)(struct task *))(uintptr_t)mail->run);
	mail->run(mail, r);
	reactor_item_done(r);
}

/* Mail from one peer. Sets its bit in in_bits if some is left. */
static unsigned post_drain(struct reactor *r, unsigned from)
{
	struct post *p = &r->post;
	struct mail_ring *ring = p->in[from];
	uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	uint32_t count = atomic_load_explicit(&ring->tail, memory_order_acquire) - head;
	struct mail *mails[16];
	unsigned done = 0;

	if (count > MAILS_PER_TURN)
		p->in_bits |= 1ull << from;
	count = min_u32(count, MAILS_PER_TURN);
	while (done < count) {
		/* Room is made before they run, by groups: the sender goes on meanwhile. */
		unsigned group = min_u32(count - done, ARRAY_LEN(mails));
		for (unsigned i = 0; i < group; i++)
			mails[i] = ring->slots[head++ % MAIL_RING_SLOTS];
		atomic_store(&ring->head, head); /* MA1 */
		if (atomic_load(&ring->is_short) && atomic_exchange(&ring->is_short, false))
			post_ring(p->peers[from], r->opts.index); /* MA4 */
		for (unsigned i = 0; i < group; i++)
			mail_run(r, mails[i]);
		done += group;
	}
	return count;
}

static unsigned post_receive_self(struct reactor *r)
{
	struct outbox *self = &r->post.self;
	unsigned count = min_u32(self->count, MAILS_PER_TURN);

	for (unsigned i = 0; i < count; i++)
		mail_run(r, outbox_pop(self));
	return count;
}

unsigned post_receive(struct reactor *r)
{
	struct post *p = &r->post;
	uint64_t bits = p->in_bits;
	unsigned count = post_receive_self(r);

	p->in_bits = 0;
	if (atomic_load_explicit(&p->bell, memory_order_relaxed))
		bits |= atomic_exchange(&p->bell, 0);
	for (; bits; bits &= bits - 1)
		count += post_drain(r, (unsigned)__builtin_ctzll(bits));
	r->stats.mails_in += count;
	return count;
}

/* ---- sleeping ------------------------------------------------------------- */

void post_awake(struct reactor *r)
{
	if (atomic_load_explicit(&r->post.is_asleep, memory_order_relaxed))
		atomic_store_explicit(&r->post.is_asleep, false, memory_order_relaxed);
}

bool post_may_sleep(struct reactor *r)
{
	struct post *p = &r->post;

	if (p->in_bits || p->self.first)
		return false;
	atomic_store(&p->is_asleep, true);
	if (!atomic_load(&p->bell)) /* MA3 */
		return true;
	post_awake(r);
	return false;
}

/* ---- connecting ----------------------------------------------------------- */

static int post_connect(struct reactor *r, struct reactor *peer)
{
	struct mail_ring *ring = mem_alloc_aligned(r->io->mem, 64, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	must(!r->post.peers[peer->opts.index]);
	r->post.in[peer->opts.index] = ring;
	r->post.peers[peer->opts.index] = peer;
	return 0;
}

int reactors_connect(struct reactor *const *reactors, unsigned count)
{
	must(count <= REACTORS_MAX);
	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = 0; j < count; j++) {
			int r = i == j ? 0 : post_connect(reactors[i], reactors[j]);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

struct reactor *reactor_peer(struct reactor *r, unsigned index)
{
	must(index < REACTORS_MAX);
	return index == r->opts.index ? r : r->post.peers[index];
}
