// SPDX-License-Identifier: Apache-2.0
/*
 * A nexus that is deposed, as its replica's target sees it: our initiator against our target
 * against a pool, over the loopback (R4, SESSION, V3, V4, X1, X3).
 */
#include "unit/unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "bdev/replica.h"
#include "bdev/resv.h"
#include "nvmf/ini.h"
#include "nvmf/tgt.h"
#include "unit/pool/pool_rig.h"
#include "wire/nvme_resv.h"

#define NQN   "nqn.2024-01.io.test:replica"
#define EA    NVME_RESV_EXCLUSIVE_ACCESS
#define WE    NVME_RESV_WRITE_EXCLUSIVE
#define BYTES 4096u

struct fence_rig {
	struct pool_rig pr;
	struct tgt *tgt;
	struct tgt_port *port;
	struct tgt_subsys *subsys;
	struct io_addr addr;
	unsigned sessions;
};

static void fence_start(struct fiber *f, struct rig *rig, struct fence_rig *fr, bool fence)
{
	static const char *const disks[] = { "malloc:///d0?size_mb=64" };
	const struct replica_create_args replica = { .name = "r", .size_bytes = 32 << 20 };
	struct tgt_opts opts = { .reactors = rig->reactors };
	struct tgt_subsys_args args = { .nqn = NQN, .allow_any_host = true, .fence = fence };
	struct tgt_port_args port = { .addr = { .family = AF_INET } };
	struct tgt_ns_args ns_args = { .uri = "pool:///p/r" };
	struct tgt_ns *ns;

	inet_pton(AF_INET, "127.0.0.1", port.addr.ip);
	*fr = (struct fence_rig){ 0 };
	pool_rig_start(f, rig, &fr->pr, disks, 1, 0);
	pool_ok(f, replica_create(f, fr->pr.pool, &replica));
	pool_ok(f, tgt_open(f, &opts, &fr->tgt));
	pool_ok(f, tgt_port_add(f, fr->tgt, &port, &fr->port));
	tgt_port_addr(fr->port, &fr->addr);
	pool_ok(f, tgt_subsys_add(f, fr->tgt, &args, &fr->subsys));
	pool_ok(f, tgt_ns_add(f, fr->subsys, &ns_args, &ns));
}

static void fence_stop(struct fiber *f, struct fence_rig *fr)
{
	tgt_close(f, fr->tgt);
	pool_rig_stop(f, &fr->pr);
}

/* A nexus's session with the replica. */
struct session {
	uint64_t token;
	struct bdev *bdev;
	struct bdev_chan *chan;
};

static void session_open(struct fiber *f, struct fence_rig *fr, struct session *s, uint64_t token)
{
	char uri[256];

	s->token = token;
	snprintf(uri, sizeof(uri),
		 "nvmf://127.0.0.1:%u/" NQN
		 "%s?instance=01020304-0506-0708-090a-0b0c0d0e0f10&token=%" PRIu64,
		 fr->addr.port, fr->sessions++ ? "/1" : "", token); /* a disk of its own name */
	pool_ok(f, bdev_open(f, uri, &s->bdev));
	pool_ok(f, bdev_chan_open(f, s->bdev, &s->chan));
}

static void session_close(struct fiber *f, struct session *s)
{
	bdev_chan_close(f, s->chan);
	bdev_close(f, s->bdev);
}

static int session_write(struct fiber *f, struct session *s, uint8_t byte)
{
	CLEANUP(cleanup_mem) uint8_t *buf = mem_new(fiber_io(f), BYTES);
	int r;

	memset(buf, byte, BYTES);
	r = bdev_write(f, s->chan, 0, BYTES / s->bdev->block_size, buf, 0);
	fiber_clear(f);
	return r;
}

/* The byte, or an error. */
static int session_read(struct fiber *f, struct session *s)
{
	CLEANUP(cleanup_mem) uint8_t *buf = mem_new(fiber_io(f), BYTES);
	int r = bdev_read(f, s->chan, 0, BYTES / s->bdev->block_size, buf);

	fiber_clear(f);
	return r < 0 ? r : buf[0];
}

static int failed(struct fiber *f, int r)
{
	fiber_clear(f);
	return r;
}

static void deposed_body(struct fiber *f, struct rig *rig)
{
	struct session old, new;
	struct fence_rig fr;
	struct resv_state state;

	fence_start(f, rig, &fr, true);
	session_open(f, &fr, &old, replica_token(5, 0));
	session_open(f, &fr, &new, replica_token(6, 0));
	pool_ok(f, ini_resv_register(f, old.chan, old.token));
	pool_ok(f, ini_resv_acquire(f, old.chan, old.token, EA));
	assert_int_equal(session_write(f, &old, 0x55), 0);
	assert_int_equal(session_read(f, &old), 0x55);
	assert_int_equal(session_write(f, &new, 0x66), -ESTALE); /* not yet */

	pool_ok(f, ini_resv_register(f, new.chan, new.token));
	pool_ok(f, ini_resv_report(f, new.chan, &state));
	assert_int_equal(state.count, 2);
	assert_int_equal(state.type, EA);
	assert_int_equal(session_write(f, &old, 0x56), 0); /* registered is not fenced */
	pool_ok(f, ini_resv_preempt(f, new.chan, new.token, old.token, EA));
	assert_int_equal(session_write(f, &old, 0x57), -ESTALE);
	assert_int_equal(session_read(f, &old), -ESTALE);
	assert_int_equal(session_read(f, &new), 0x56);
	assert_int_equal(session_write(f, &new, 0x66), 0);

	/* it does not come back, not even when nothing is reserved: the replica knows */
	assert_int_equal(failed(f, ini_resv_register(f, old.chan, old.token)), -ESTALE);
	pool_ok(f, ini_resv_clear(f, new.chan, new.token));
	assert_int_equal(failed(f, ini_resv_register(f, old.chan, old.token)), -ESTALE);
	assert_int_equal(session_write(f, &old, 0x58), -ESTALE);
	assert_int_equal(session_read(f, &old), -ESTALE);
	assert_int_equal(session_read(f, &new), 0x66);
	session_close(f, &old);
	session_close(f, &new);
	fence_stop(f, &fr);
}

static void a_deposed_nexus_neither_writes_nor_reads(void **state)
{
	rig_run(1, deposed_body, NULL);
}

static void deposed_on_another_reactor(void **state)
{
	rig_run(2, deposed_body, NULL);
}

/* Write after write, until the first that fails. */
struct writer {
	struct session *session;
	unsigned done;
	int result;
	bool stop;
};

static int writer_run(struct fiber *f, void *arg)
{
	struct writer *w = arg;

	while (!w->stop && w->result == 0) {
		w->result = session_write(f, w->session, 0x77);
		w->done += w->result == 0;
	}
	return 0;
}

/* X1: once the new session has it, nothing of the old one lands. */
static void drained_body(struct fiber *f, struct rig *rig)
{
	struct session old, new;
	struct fiber *fibers[8];
	struct writer w[8];
	struct fence_rig fr;

	fence_start(f, rig, &fr, true);
	session_open(f, &fr, &old, replica_token(5, 0));
	session_open(f, &fr, &new, replica_token(5, 1));
	pool_ok(f, ini_resv_register(f, old.chan, old.token));
	pool_ok(f, ini_resv_acquire(f, old.chan, old.token, EA));
	for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
		w[i] = (struct writer){ .session = &old };
		pool_ok(f, fiber_start(fiber_reactor(f), "writer", writer_run, &w[i], &fibers[i]));
	}
	while (w[0].done < 20)
		fiber_yield(f);
	pool_ok(f, ini_resv_register(f, new.chan, new.token));
	pool_ok(f, ini_resv_preempt(f, new.chan, new.token, old.token, EA));
	assert_int_equal(session_write(f, &new, 0x99), 0);
	for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
		w[i].stop = true;
		assert_int_equal(fiber_join(f, fibers[i]), 0);
		assert_true(w[i].result == 0 || w[i].result == -ESTALE);
	}
	assert_int_equal(session_read(f, &new), 0x99);
	session_close(f, &old);
	session_close(f, &new);
	fence_stop(f, &fr);
}

static void nothing_lands_after_the_fence(void **state)
{
	rig_run(2, drained_body, NULL);
}

/* Without `fence`: plain reservations, any keys. */
RIG_TEST(plain_reservations_of_two_hosts)
{
	struct session a, b;
	struct fence_rig fr;

	fence_start(f, rig, &fr, false);
	session_open(f, &fr, &a, 7);
	session_open(f, &fr, &b, 3);
	pool_ok(f, ini_resv_register(f, a.chan, 7));
	pool_ok(f, ini_resv_register(f, b.chan, 3));
	assert_int_equal(session_write(f, &b, 1), 0);
	pool_ok(f, ini_resv_acquire(f, a.chan, 7, WE));
	assert_int_equal(session_write(f, &b, 2), -ESTALE);
	assert_int_equal(session_read(f, &b), 1);
	assert_int_equal(session_write(f, &a, 4), 0);
	pool_ok(f, ini_resv_preempt(f, b.chan, 3, 7, EA)); /* a smaller key may, here */
	assert_int_equal(session_read(f, &a), -ESTALE);
	assert_int_equal(session_read(f, &b), 4);
	pool_ok(f, ini_resv_release(f, b.chan, 3, EA));
	assert_int_equal(session_write(f, &a, 5), 0);
	session_close(f, &a);
	session_close(f, &b);
	fence_stop(f, &fr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deposed_nexus_neither_writes_nor_reads),
		cmocka_unit_test(deposed_on_another_reactor),
		cmocka_unit_test(nothing_lands_after_the_fence),
		cmocka_unit_test(plain_reservations_of_two_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
