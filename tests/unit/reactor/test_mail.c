// SPDX-License-Identifier: Apache-2.0
/* Mail: MA1-MA4 of mail.c, RE3; on one thread step by step, and on four as hard as it goes. */
#include "unit/unit.h"

#include <errno.h>
#include <stdlib.h>

#include "base/prng.h"
#include "reactor/wait.h"
#include "unit/dies.h"
#include "unit/fault.h"
#include "unit/reactor/one.h"
#include "unit/reactor/thread_io.h"

#define PEERS 4

/* ---- one thread ----------------------------------------------------------- */

struct letter {
	struct mail mail;
	unsigned number;
	unsigned *expected; /* the receiver's: RE3 */
	struct reactor *ran_at;
};

static void letter_read(struct mail *mail, struct reactor *at)
{
	struct letter *letter = container_of(mail, struct letter, mail);

	assert_int_equal(letter->number, (*letter->expected)++);
	letter->ran_at = at;
}

static void pair_init(struct one *a, struct one *b)
{
	one_init_opts(a, (struct reactor_opts){ .index = 0 });
	one_init_opts(b, (struct reactor_opts){ .index = 1 });
	struct reactor *reactors[] = { a->r, b->r };
	assert_int_equal(reactors_connect(reactors, 2), 0);
	assert_ptr_equal(reactor_peer(a->r, 1), b->r);
}

static void pair_fini(struct one *a, struct one *b)
{
	one_fini(a);
	one_fini(b);
}

static void send_letters(struct one *from, struct one *to, struct letter *letters, unsigned first,
			 unsigned count, unsigned *expected)
{
	for (unsigned i = first; i < first + count; i++) {
		letters[i] = (struct letter){ .mail.run = letter_read,
					      .number = i,
					      .expected = expected };
		reactor_send(from->r, to->r, &letters[i].mail);
	}
}

static void mail_runs_on_the_other_reactor_in_order(void **state)
{
	struct one a, b;
	struct letter letters[100];
	unsigned read = 0;
	struct reactor_stats stats;

	pair_init(&a, &b);
	assert_int_equal(reactor_turn(b.r), IO_FOREVER);
	send_letters(&a, &b, letters, 0, 100, &read);
	assert_int_equal(b.fake.wakes, 0);
	assert_int_equal(reactor_turn(a.r), IO_FOREVER);
	assert_int_equal(b.fake.wakes, 1); /* once for all */
	assert_int_equal(read, 0);
	reactor_turn(b.r);
	assert_int_equal(read, 100);
	assert_ptr_equal(letters[99].ran_at, b.r);
	reactor_stats(a.r, &stats);
	assert_int_equal(stats.mails_out, 100);
	assert_int_equal(stats.mails_held, 0);
	reactor_stats(b.r, &stats);
	assert_int_equal(stats.mails_in, 100);
	pair_fini(&a, &b);
}

static void a_peer_that_does_not_sleep_is_not_woken(void **state)
{
	struct one a, b;
	struct letter letters[2];
	unsigned read = 0;

	pair_init(&a, &b);
	send_letters(&a, &b, letters, 0, 2, &read); /* b has not slept yet */
	reactor_turn(a.r);
	assert_int_equal(b.fake.wakes, 0);
	assert_int_equal(reactor_turn(b.r), IO_FOREVER);
	assert_int_equal(read, 2);
	pair_fini(&a, &b);
}

static void a_full_ring_holds_mail_back_in_order_and_loses_nothing(void **state)
{
	struct one a, b;
	struct letter *letters = calloc(1000, sizeof(*letters));
	unsigned read = 0, turns = 0;
	struct reactor_stats stats;

	pair_init(&a, &b);
	send_letters(&a, &b, letters, 0, 900, &read);
	assert_int_equal(reactor_turn(a.r), IO_FOREVER); /* a sleeps: b will ring */
	reactor_stats(a.r, &stats);
	assert_in_range(stats.mails_held, 1, 899);
	uint64_t held = stats.mails_held;
	reactor_turn(a.r);
	reactor_stats(a.r, &stats);
	assert_int_equal(stats.mails_held, held); /* counted once */
	send_letters(&a, &b, letters, 900, 100, &read);
	reactor_turn(a.r);
	unsigned wakes = a.fake.wakes;
	assert_int_equal(reactor_turn(b.r), 0); /* a bounded part of it */
	assert_true(a.fake.wakes > wakes);	/* MA4 */
	while (read < 1000) {
		assert_true(turns++ < 100);
		reactor_turn(a.r);
		reactor_turn(b.r);
	}
	assert_int_equal(reactor_turn(a.r), IO_FOREVER);
	assert_int_equal(reactor_turn(b.r), IO_FOREVER);
	pair_fini(&a, &b);
	free(letters);
}

static void mail_to_oneself_runs_in_a_turn(void **state)
{
	struct one a;
	struct letter letters[300];
	unsigned read = 0;

	one_init(&a);
	send_letters(&a, &a, letters, 0, 300, &read);
	assert_int_equal(read, 0); /* RE2 */
	assert_int_equal(reactor_turn(a.r), 0);
	while (reactor_turn(a.r) == 0)
		;
	assert_int_equal(read, 300);
	one_fini(&a);
}

static void a_stranger_is_not_written_to(void **state)
{
	struct one a, b;
	struct letter letter = { .mail.run = letter_read };

	one_init_opts(&a, (struct reactor_opts){ .index = 0 });
	one_init_opts(&b, (struct reactor_opts){ .index = 1 });
	assert_dies(reactor_send(a.r, b.r, &letter.mail));
	assert_dies((void)reactor_peer(a.r, REACTORS_MAX));
	pair_fini(&a, &b);
}

static int connect_body(struct mem *mem, void *arg)
{
	struct fake_io fake[3];
	struct reactor *r[3] = { 0 };
	int res = 0;

	for (unsigned i = 0; i < 3; i++) {
		fake_init(&fake[i]);
		fake[i].io.mem = mem;
		if (res == 0)
			res = reactor_new(&fake[i].io, &(struct reactor_opts){ .index = i }, &r[i],
					  NULL);
	}
	if (res == 0)
		res = reactors_connect(r, 3);
	for (unsigned i = 0; i < 3; i++) {
		if (r[i])
			reactor_free(r[i]);
		fake_fini(&fake[i]);
	}
	return res;
}

static void connecting_survives_every_failed_allocation(void **state)
{
	assert_int_equal(fault_loop(connect_body, NULL), 3 + 6);
}

struct far_call {
	struct one a, b;
	char words[ERR_WORDS_SIZE];
	int result;
	bool is_done;
};

static int fails_there(struct fiber *f, void *arg)
{
	struct far_call *call = arg;

	assert_ptr_equal(fiber_reactor(f), call->b.r);
	assert_int_equal(fiber_sleep(f, 1000), 0);
	return fiber_fail(f, -ENOSPC, "no room on %s", reactor_name(fiber_reactor(f)));
}

static int calls_there(struct fiber *f, void *arg)
{
	struct far_call *call = arg;

	call->result = fiber_call_on(f, call->b.r, "far", fails_there, call);
	snprintf(call->words, sizeof(call->words), "%s", fiber_words(f));
	call->is_done = true;
	return 0;
}

static void a_call_on_another_reactor_brings_result_and_words_back(void **state)
{
	struct far_call *call = calloc(1, sizeof(*call));

	pair_init(&call->a, &call->b);
	assert_int_equal(fiber_start(call->a.r, "caller", calls_there, call, NULL), 0);
	for (unsigned i = 0; i < 10 && !call->is_done; i++) {
		reactor_turn(call->a.r);
		reactor_turn(call->b.r);
		call->b.fake.now_ns += 1000;
	}
	assert_true(call->is_done);
	assert_int_equal(call->result, -ENOSPC);
	assert_string_equal(call->words, "no room on reactor1");
	assert_string_equal(call->b.lines, ""); /* somebody took it */
	pair_fini(&call->a, &call->b);
	free(call);
}

/* ---- four threads --------------------------------------------------------- */

#define STORM_EACH   20000 /* letters from each peer to each */
#define STORM_FLYING 700   /* at once, from each: more than a ring holds */

struct storm;

struct storm_letter {
	struct mail mail;
	struct storm_peer *from;
	struct reactor *home;
	uint32_t number;
	bool is_going_home;
	struct storm_letter *next_free;
};

struct storm_peer {
	struct storm *storm;
	unsigned index;
	pthread_t thread;
	struct mem_heap heap;
	struct io *io;
	struct reactor *r;
	struct prng prng;
	struct task task;
	struct storm_letter letters[STORM_FLYING];
	struct storm_letter *free;
	uint32_t sent[PEERS], got[PEERS], home;
	struct reactor_stats stats;
};

struct storm {
	struct storm_peer peers[PEERS];
	pthread_barrier_t barrier;
	_Atomic unsigned finished;
};

static void storm_check_end(struct storm_peer *p)
{
	if (p->home != (PEERS - 1) * STORM_EACH)
		return;
	if (atomic_fetch_add(&p->storm->finished, 1) + 1 == PEERS)
		for (unsigned i = 0; i < PEERS; i++)
			reactor_stop(p->storm->peers[i].r);
}

static void storm_letter_run(struct mail *mail, struct reactor *at)
{
	struct storm_letter *letter = container_of(mail, struct storm_letter, mail);
	struct storm_peer *from = letter->from;

	if (letter->is_going_home) {
		must(at == from->r);
		letter->next_free = from->free;
		from->free = letter;
		from->home++;
		reactor_post(at, &from->task);
		storm_check_end(from);
		return;
	}
	struct storm_peer *here = &from->storm->peers[reactor_index(at)];
	must(letter->number == here->got[from->index]++); /* RE3 */
	letter->is_going_home = true;
	reactor_send(at, letter->home, mail);
}

/* Sends what letters it has, to peers by chance. */
static void storm_task(struct task *task)
{
	struct storm_peer *p = container_of(task, struct storm_peer, task);

	for (unsigned tries = 0; p->free && tries < 2 * STORM_FLYING; tries++) {
		unsigned to = (unsigned)prng_below(&p->prng, PEERS);
		if (to == p->index || p->sent[to] == STORM_EACH)
			continue;
		struct storm_letter *letter = p->free;
		p->free = letter->next_free;
		letter->is_going_home = false;
		letter->number = p->sent[to]++;
		reactor_send(p->r, p->storm->peers[to].r, &letter->mail);
	}
}

static void *storm_main(void *arg)
{
	struct storm_peer *p = arg;
	struct storm *storm = p->storm;

	mem_heap_init(&p->heap);
	p->io = thread_io_new(&p->heap.mem);
	must(reactor_new(p->io, &(struct reactor_opts){ .index = p->index }, &p->r, NULL) == 0);
	prng_init(&p->prng, 1, p->index);
	task_init(&p->task, storm_task);
	for (unsigned i = 0; i < STORM_FLYING; i++) {
		p->letters[i] = (struct storm_letter){
			.mail.run = storm_letter_run, .from = p, .home = p->r, .next_free = p->free
		};
		p->free = &p->letters[i];
	}
	if (pthread_barrier_wait(&storm->barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
		struct reactor *reactors[PEERS];
		for (unsigned i = 0; i < PEERS; i++)
			reactors[i] = storm->peers[i].r;
		must(reactors_connect(reactors, PEERS) == 0);
	}
	pthread_barrier_wait(&storm->barrier);
	reactor_post(p->r, &p->task);
	reactor_run(p->r);
	reactor_stats(p->r, &p->stats);
	pthread_barrier_wait(&storm->barrier); /* nobody frees while others may still wake it */
	reactor_free(p->r);
	io_close(p->io);
	must(p->heap.blocks == 0);
	return NULL;
}

static void a_storm_between_four_threads_keeps_order_and_loses_nothing(void **state)
{
	struct storm *storm = calloc(1, sizeof(*storm));
	uint64_t held = 0;

	pthread_barrier_init(&storm->barrier, NULL, PEERS);
	for (unsigned i = 0; i < PEERS; i++) {
		storm->peers[i].storm = storm;
		storm->peers[i].index = i;
		pthread_create(&storm->peers[i].thread, NULL, storm_main, &storm->peers[i]);
	}
	for (unsigned i = 0; i < PEERS; i++)
		pthread_join(storm->peers[i].thread, NULL);
	for (unsigned i = 0; i < PEERS; i++) {
		for (unsigned j = 0; j < PEERS; j++)
			assert_int_equal(storm->peers[i].got[j], i == j ? 0 : STORM_EACH);
		assert_int_equal(storm->peers[i].stats.mails_in, 2 * (PEERS - 1) * STORM_EACH);
		assert_int_equal(storm->peers[i].stats.mails_out, 2 * (PEERS - 1) * STORM_EACH);
		held += storm->peers[i].stats.mails_held;
	}
	print_message("# %llu of %u letters were held back\n", (unsigned long long)held,
		      2 * PEERS * (PEERS - 1) * STORM_EACH);
	pthread_barrier_destroy(&storm->barrier);
	free(storm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mail_runs_on_the_other_reactor_in_order),
		cmocka_unit_test(a_peer_that_does_not_sleep_is_not_woken),
		cmocka_unit_test(a_full_ring_holds_mail_back_in_order_and_loses_nothing),
		cmocka_unit_test(mail_to_oneself_runs_in_a_turn),
		cmocka_unit_test(a_stranger_is_not_written_to),
		cmocka_unit_test(connecting_survives_every_failed_allocation),
		cmocka_unit_test(a_call_on_another_reactor_brings_result_and_words_back),
		cmocka_unit_test(a_storm_between_four_threads_keeps_order_and_loses_nothing),
	};

	return cmocka_run_group_tests_name("mail", tests, NULL, NULL);
}
