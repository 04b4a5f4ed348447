// SPDX-License-Identifier: Apache-2.0
/* Foreign descriptors, signals, child processes. */
#include "pair.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- watches -------------------------------------------------------------------- */

struct watched {
	struct io_watch *watch;
	int fd;
	unsigned calls, seen;
	char act; /* what to do in the call: 'r'ead, 'f'ree, 's'top, 'w'rite only */
};

static void watched_fn(void *ctx, unsigned events)
{
	struct watched *d = ctx;
	char byte;

	d->calls++;
	d->seen |= events;
	switch (d->act) {
	case 'r':
		assert_int_equal(read(d->fd, &byte, 1), 1);
		break;
	case 'f':
		io_watch_free(d->watch);
		break;
	case 's':
		io_watch_set(d->watch, 0);
		break;
	case 'w':
		io_watch_set(d->watch, IO_WRITABLE);
		d->act = 's';
		break;
	default:
		break;
	}
}

static void watched_open(struct world *w, struct watched *d, int pair[2], unsigned events, char act)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	*d = (struct watched){ .fd = pair[0], .act = act };
	assert_int_equal(io_watch_fd(w->io, pair[0], events, watched_fn, d, &d->watch), 0);
}

static void watched_close(struct watched *d, int pair[2])
{
	io_watch_free(d->watch);
	close(pair[0]);
	close(pair[1]);
}

static void a_watch_is_called_while_there_is_something(void **state)
{
	struct world *w = *state;
	struct watched d;
	int pair[2];

	watched_open(w, &d, pair, IO_READABLE, 'r');
	world_turn_for(w, 2000000);
	assert_int_equal(d.calls, 0);
	assert_int_equal(write(pair[1], "abc", 3), 3);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 3); /* a byte a call: level */
	assert_int_equal(d.seen, IO_READABLE);
	assert_int_equal(write(pair[1], "d", 1), 1);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 4);
	watched_close(&d, pair);
}

static void watched_events_can_be_changed(void **state)
{
	struct world *w = *state;
	struct watched d;
	int pair[2];

	watched_open(w, &d, pair, 0, 's');
	world_turn_for(w, 2000000);
	assert_int_equal(d.calls, 0);
	io_watch_set(d.watch, IO_WRITABLE);
	world_turn_for(w, 2000000);
	assert_int_equal(d.calls, 1);
	assert_int_equal(d.seen, IO_WRITABLE);
	io_watch_set(d.watch, IO_READABLE); /* armed, then other events before it fires */
	io_watch_set(d.watch, IO_READABLE | IO_WRITABLE);
	world_turn_for(w, 2000000);
	assert_int_equal(d.calls, 2);
	assert_int_equal(d.seen, IO_WRITABLE);
	d.act = 'w';
	d.seen = 0;
	io_watch_set(d.watch, IO_READABLE);
	assert_int_equal(write(pair[1], "x", 1), 1);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 4);
	assert_int_equal(d.seen, IO_READABLE | IO_WRITABLE);
	io_watch_set(d.watch, IO_READABLE);
	io_watch_set(d.watch, 0);
	world_turn_for(w, 2000000);
	assert_int_equal(d.calls, 4);
	watched_close(&d, pair);
}

static void a_hangup_is_readable(void **state)
{
	struct world *w = *state;
	struct watched d;
	int pair[2];

	watched_open(w, &d, pair, IO_READABLE, 's');
	close(pair[1]);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 1);
	io_watch_set(d.watch, IO_WRITABLE);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 2);
	assert_int_equal(d.seen, IO_READABLE | IO_WRITABLE);
	io_watch_free(d.watch);
	close(pair[0]);
}

static void a_watch_may_be_freed_in_its_call(void **state)
{
	struct world *w = *state;
	struct watched d;
	int pair[2];

	watched_open(w, &d, pair, IO_WRITABLE, 'f');
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 1);
	close(pair[0]);
	close(pair[1]);
}

/* The library is told once, and finds out by itself. */
static void a_bad_descriptor_is_told_once(void **state)
{
	struct world *w = *state;
	struct watched d = { 0 };

	assert_int_equal(
		io_watch_fd(w->io, 12345, IO_READABLE | IO_WRITABLE, watched_fn, &d, &d.watch), 0);
	world_turn_for(w, 5000000);
	assert_int_equal(d.calls, 1);
	assert_int_equal(d.seen, IO_READABLE | IO_WRITABLE);
	io_watch_free(d.watch);
	w->heap.fail_at = w->heap.allocs + 1;
	assert_int_equal(io_watch_fd(w->io, 0, IO_READABLE, watched_fn, &d, &d.watch), -ENOMEM);
	w->heap.fail_at = 0;
}

/* ---- signals -------------------------------------------------------------------- */

struct signalled {
	struct io_signal *signal;
	unsigned calls;
	bool free_in_call;
};

static void signalled_fn(void *ctx, int signo)
{
	struct signalled *s = ctx;

	assert_int_equal(signo, SIGUSR1);
	s->calls++;
	if (s->free_in_call)
		io_signal_free(s->signal);
}

/* Threads of this process, those of the kernel's making included. */
static unsigned threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void signals_come_through_the_loop(void **state)
{
	static const int block[] = { SIGUSR1, SIGUSR2, 0 };
	struct world *w = *state;
	struct signalled s = { 0 };
	unsigned threads_before = threads();

	io_block_signals(block);
	assert_int_equal(io_signal_watch(w->io, SIGUSR1, signalled_fn, &s, &s.signal), 0);
	for (unsigned i = 1; i <= 3; i++) {
		kill(getpid(), SIGUSR1);
		kill(getpid(), SIGUSR2); /* nobody's; stays pending */
		world_turn_for(w, 5000000);
		assert_int_equal(s.calls, i);
	}
	assert_int_equal(threads(), threads_before); /* none waits for them in our stead */
	io_signal_free(s.signal);
	world_turn_for(w, 1000000);
	s = (struct signalled){ .free_in_call = true };
	assert_int_equal(io_signal_watch(w->io, SIGUSR1, signalled_fn, &s, &s.signal), 0);
	kill(getpid(), SIGUSR1);
	world_turn_for(w, 5000000);
	assert_int_equal(s.calls, 1);
	assert_int_equal(io_signal_watch(w->io, 12345, signalled_fn, &s, &s.signal), -EINVAL);
	w->heap.fail_at = w->heap.allocs + 1;
	assert_int_equal(io_signal_watch(w->io, SIGUSR1, signalled_fn, &s, &s.signal), -ENOMEM);
	w->heap.fail_at = 0;
}

/* ---- children ------------------------------------------------------------------- */

struct ended {
	bool is;
	int exit_code, term_signal;
};

static void ended_fn(void *ctx, int exit_code, int term_signal)
{
	struct ended *e = ctx;

	assert_false(e->is);
	*e = (struct ended){ true, exit_code, term_signal };
}

static int64_t spawn_sh(struct world *w, const char *script, const char *const *envp,
			struct io_sock **in, struct io_sock **out, struct io_sock **err,
			struct io_child **child)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct io_spawn spawn = { .argv = argv,
				  .envp = envp,
				  .ret_stdin = in,
				  .ret_stdout = out,
				  .ret_stderr = err,
				  .ret_child = child };
	struct io_op op;

	io_prep_spawn(&op, &spawn, op_done);
	return op_wait(w, &op);
}

static void a_child_talks_through_its_streams(void **state)
{
	static const char *const envp[] = { "WORD=zero", NULL };
	struct world *w = *state;
	struct io_sock *in, *out, *err;
	struct io_child *child;
	struct ended e = { 0 };
	char buf[64] = { 0 };

	assert_int_equal(spawn_sh(w, "read x; echo $WORD $x; echo wrong >&2; read y || exit 7",
				  envp, &in, &out, &err, &child),
			 0);
	io_child_wait(child, ended_fn, &e);
	assert_int_equal(sock_send(w, in, "one\n", 4), 4);
	assert_int_equal(sock_recv(w, out, buf, 9), 9);
	assert_string_equal(buf, "zero one\n");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(sock_recv(w, err, buf, 6), 6);
	assert_string_equal(buf, "wrong\n");
	io_sock_shutdown(in);
	world_turn_until(w, &e.is);
	assert_int_equal(e.exit_code, 7);
	assert_int_equal(e.term_signal, 0);
	assert_int_equal(sock_recv(w, out, buf, 1), 0);
	io_sock_close(in);
	io_sock_close(out);
	io_sock_close(err);
	assert_int_equal(io_child_kill(child, SIGTERM), -ESRCH);
	io_child_free(child);
}

static void a_child_can_be_killed(void **state)
{
	struct world *w = *state;
	struct io_child *child;
	struct ended e = { 0 };

	assert_int_equal(spawn_sh(w, "exec sleep 100", NULL, NULL, NULL, NULL, &child), 0);
	io_child_wait(child, ended_fn, &e);
	world_turn_for(w, 5000000);
	assert_false(e.is);
	assert_int_equal(io_child_kill(child, 12345), -EINVAL);
	assert_int_equal(io_child_kill(child, SIGTERM), 0);
	world_turn_until(w, &e.is);
	assert_int_equal(e.term_signal, SIGTERM);
	io_child_free(child);
}

static void waiting_for_one_that_has_ended_is_told_later(void **state)
{
	struct world *w = *state;
	struct io_child *child;
	struct ended e = { 0 };

	assert_int_equal(spawn_sh(w, "exit 3", NULL, NULL, NULL, NULL, &child), 0);
	while (io_child_kill(child, 0) == 0)
		world_turn_for(w, 1000000);
	io_child_wait(child, ended_fn, &e);
	assert_false(e.is);
	io_turn(w->io, io_now(w->io) + WORLD_PATIENCE_NS);
	assert_true(e.is);
	assert_int_equal(e.exit_code, 3);
	e.is = false;
	io_child_wait(child, ended_fn, &e);
	io_child_free(child); /* before it is told: never */
	world_turn_for(w, 1000000);
	assert_false(e.is);
}

/* UC1 */
static void a_child_let_go_is_reaped(void **state)
{
	struct world *w = *state;
	struct io_child *child;
	struct io_sock *in;

	assert_int_equal(spawn_sh(w, "read x", NULL, &in, NULL, NULL, &child), 0);
	uint64_t blocks = w->heap.blocks;
	io_child_free(child);
	world_turn_for(w, 2000000);
	io_sock_close(in);
	for (int i = 0; i < 1000 && w->heap.blocks > blocks - 2; i++)
		world_turn_for(w, 1000000);
	assert_int_equal(w->heap.blocks, blocks - 2);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child left */
	/* and the ring can be closed while one runs */
	assert_int_equal(spawn_sh(w, "exec sleep 2", NULL, NULL, NULL, NULL, &child), 0);
	io_child_free(child);
}

static void children_inherit_nothing(void **state)
{
	struct world *w = *state;
	struct io_child *child;
	struct io_sock *out;
	static char buf[4096];
	struct sink sink = { 0 };

	int leaky = open("/dev/null", O_RDONLY); /* of some library: not close-on-exec */
	assert_int_equal(spawn_sh(w,
				  "ls /proc/self/fd | tr '\\n' ' '; grep SigBlk /proc/self/status",
				  NULL, NULL, &out, NULL, &child),
			 0);
	io_recv_start(out, sink_fn, &sink);
	world_turn_until(w, &sink.ended);
	memcpy(buf, sink.bytes, min_size(sink.len, sizeof(buf) - 1));
	/* 3: the directory that ls reads */
	assert_non_null(strstr(buf, "0 1 2 3 SigBlk:\t0000000000000000\n"));
	sink_free(&sink);
	io_sock_close(out);
	io_child_free(child);
	close(leaky);
}

static void what_cannot_be_run_says_why(void **state)
{
	struct world *w = *state;
	struct io_sock *in = NULL, *out = NULL;
	struct io_child *child = NULL;
	const char *argv[] = { "/nowhere/at/all", NULL };
	const char *none[] = { NULL };
	struct io_spawn spawn = {
		.argv = argv, .ret_stdin = &in, .ret_stdout = &out, .ret_child = &child
	};
	struct io_op op;
	struct rlimit limit, low;

	io_prep_spawn(&op, &spawn, op_done);
	assert_int_equal(op_wait(w, &op), -ENOENT);
	argv[0] = w->dir;
	assert_int_equal(op_wait(w, &op), -EACCES);
	op.spawn.argv = none;
	assert_int_equal(op_wait(w, &op), -EINVAL);
	op.spawn.argv = argv;
	argv[0] = "/bin/true";
	getrlimit(RLIMIT_NOFILE, &limit);
	/* each descriptor in turn is one too many */
	int fd = open("/dev/null", O_RDONLY);
	close(fd);
	int failures = 0;
	for (rlim_t room = 0;; room++) {
		low = limit;
		low.rlim_cur = (rlim_t)fd + room;
		setrlimit(RLIMIT_NOFILE, &low);
		int64_t res = op_wait(w, &op);
		setrlimit(RLIMIT_NOFILE, &limit);
		if (res == 0)
			break;
		failures++;
		assert_int_equal(res, res == -EINVAL ? -EINVAL : -EMFILE);
		assert_null(child);
		assert_null(in);
		world_turn_for(w, 2000000);
	}
	assert_true(failures >= 3);
	io_sock_close(in);
	io_sock_close(out);
	io_child_free(child);
	for (int i = 0; i < 1000 && waitpid(-1, NULL, WNOHANG) == 0; i++)
		world_turn_for(w, 1000000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
	const struct CMUnitTest tests[] = {
		T(a_watch_is_called_while_there_is_something),
		T(watched_events_can_be_changed),
		T(a_hangup_is_readable),
		T(a_watch_may_be_freed_in_its_call),
		T(a_bad_descriptor_is_told_once),
		T(signals_come_through_the_loop),
		T(a_child_talks_through_its_streams),
		T(a_child_can_be_killed),
		T(waiting_for_one_that_has_ended_is_told_later),
		T(a_child_let_go_is_reaped),
		T(children_inherit_nothing),
		T(what_cannot_be_run_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
