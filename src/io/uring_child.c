// SPDX-License-Identifier: Apache-2.0
/*
 * uring_child - child processes: spawned on a worker, watched by pidfd.
 *
 * Standard streams are socket pairs, not pipes: so they are struct io_sock like all other
 * streams, and io_sock_shutdown() of stdin is its end of file. (A child that opens
 * /dev/stdout by name gets ENXIO from a socket; what we run writes to the descriptor.)
 * posix_spawn() is safe with threads; it tells why exec failed. The child gets no other
 * descriptor of ours, no blocked signals, and the default actions.
 *
 * UC1. A child let go of while it runs is reaped all the same when it ends: its object
 *	stays on u->children until then, or until the ring is closed.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/poll.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_STREAMS  3
#define CHILD_FIRST_FD CHILD_STREAMS

struct io_child {
	struct io *io;
	struct list_link link;
	pid_t pid;
	int pidfd;
	bool has_ended, is_free;
	int exit_code, term_signal;
	struct uring_event poll;
	io_child_fn fn;
	void *ctx;
	struct io_op later; /* it had ended before it was waited for */
};

/* What a spawn needs, until it is told. */
struct spawn {
	struct io_child *child;
	struct io_sock *ours[CHILD_STREAMS]; /* NULL: /dev/null */
	int theirs[CHILD_STREAMS];	     /* or -1 */
};

/* ---- the end of a child --------------------------------------------------------- */

static void child_tell(struct io_child *c)
{
	io_child_fn fn = c->fn;

	if (!fn)
		return;
	c->fn = NULL;
	uring_of(c->io)->told++;
	fn(c->ctx, c->exit_code, c->term_signal);
}

static void child_later(struct io_op *op)
{
	child_tell(container_of(op, struct io_child, later));
}

static void child_forget(struct io_child *c)
{
	list_del(&c->link);
	close(c->pidfd);
	mem_free(c);
}

static void child_arm(struct io_child *c)
{
	struct io_uring_sqe *sqe = uring_sqe(uring_of(c->io));

	io_uring_prep_poll_add(sqe, c->pidfd, POLLIN);
	uring_sqe_event(sqe, &c->poll);
}

static void child_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_child *c = container_of(ev, struct io_child, poll);
	siginfo_t info = { 0 };

	int r = waitid(P_PIDFD, (id_t)c->pidfd, &info, WEXITED | WNOHANG);
	if (ev->is_cancelling) { /* the ring is being closed (UC1) */
		u->closing--;
		child_forget(c);
		return;
	}
	if (r == 0 && info.si_pid == 0) {
		child_arm(c);
		return;
	}
	c->has_ended = true;
	c->exit_code = info.si_code == CLD_EXITED ? info.si_status : -1;
	c->term_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	if (c->is_free)
		child_forget(c);
	else
		child_tell(c);
}

void uring_child_wait(struct io_child *c, io_child_fn fn, void *ctx)
{
	must(fn && !c->fn);
	c->fn = fn;
	c->ctx = ctx;
	if (c->has_ended && !list_is_linked(&c->later.link))
		uring_finish_later(uring_of(c->io), &c->later, 0);
}

int uring_child_kill(struct io_child *c, int signo)
{
	if (c->has_ended)
		return -ESRCH;
	return pidfd_send_signal(c->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

void uring_child_free(struct io_child *c)
{
	must(!c->is_free);
	c->fn = NULL;
	c->is_free = true;
	list_del(&c->later.link);
	if (c->has_ended)
		child_forget(c);
}

/* The ring closes: nobody will hear of those that still run. */
void uring_children_forget(struct uring *u)
{
	struct io_child *c;

	list_for_each(c, &u->children, link) {
		must(c->is_free);
		u->closing++;
		uring_cancel_event(u, &c->poll);
	}
}

/* ---- spawning ------------------------------------------------------------------- */

/* The child's end gets a number that does not clash with those it will have. */
static int spawn_stream(struct uring *u, struct spawn *s, unsigned i)
{
	static const struct io_sock_opts defaults;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	s->theirs[i] = fcntl(pair[1], F_DUPFD_CLOEXEC, CHILD_FIRST_FD);
	int r = s->theirs[i] < 0 ? -errno : 0;
	close(pair[1]);
	if (r == 0)
		return uring_sock_new(u, pair[0], &defaults, &s->ours[i]);
	close(pair[0]);
	return r;
}

static struct io_sock **spawn_ret(struct io_op *op, unsigned i)
{
	return i == 0 ? op->spawn.ret_stdin : i == 1 ? op->spawn.ret_stdout : op->spawn.ret_stderr;
}

static void spawn_free(struct spawn *s, bool keep_ours)
{
	for (unsigned i = 0; i < CHILD_STREAMS; i++) {
		if (s->theirs[i] >= 0)
			close(s->theirs[i]);
		if (s->ours[i] && !keep_ours)
			uring_sock_close(s->ours[i]);
	}
	if (!keep_ours)
		mem_free(s->child);
	mem_free(s);
}

static int spawn_actions(const struct spawn *s, posix_spawn_file_actions_t *actions)
{
	int r = 0;

	for (int i = 0; r == 0 && i < CHILD_STREAMS; i++)
		r = s->theirs[i] >= 0 ?
			    posix_spawn_file_actions_adddup2(actions, s->theirs[i], i) :
			    posix_spawn_file_actions_addopen(actions, i, "/dev/null",
							     i == 0 ? O_RDONLY : O_WRONLY, 0);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FIRST_FD);
}

static int spawn_start(struct spawn *s, const struct io_spawn *spawn)
{
	static const char *const no_env[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	must(posix_spawnattr_init(&attr) == 0);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int r = spawn_actions(s, &actions);
	if (r == 0)
		r = posix_spawn(&s->child->pid, spawn->argv[0], &actions, &attr,
				(char **)(uintptr_t)spawn->argv,
				(char **)(uintptr_t)(spawn->envp ? spawn->envp : no_env));
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

/* Worker. */
static int64_t uring_spawn_fn(struct io_op *op)
{
	struct spawn *s = (struct spawn *)(uintptr_t)op->progress;
	struct io_child *c = s->child;
	int r = spawn_start(s, &op->spawn);

	if (r < 0)
		return r;
	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd >= 0)
		return 0;
	r = -errno; /* no descriptor left: a child we could not watch */
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
	return r;
}

static void uring_spawn_told(struct uring *u, struct io_op *op)
{
	struct spawn *s = (struct spawn *)(uintptr_t)op->progress;
	struct io_child *c = s->child;

	if (op->res < 0) {
		spawn_free(s, false);
		uring_finish(u, op, op->res);
		return;
	}
	for (unsigned i = 0; i < CHILD_STREAMS; i++)
		if (s->ours[i])
			*spawn_ret(op, i) = s->ours[i];
	list_add_tail(&u->children, &c->link);
	child_arm(c);
	spawn_free(s, true);
	*op->spawn.ret_child = c;
	uring_finish(u, op, 0);
}

void uring_spawn(struct uring *u, struct io_op *op)
{
	struct spawn *s = mem_alloc(u->io.mem, sizeof(*s));
	int r = 0;

	if (!s || !op->spawn.argv || !op->spawn.argv[0]) {
		mem_free(s);
		uring_finish_later(u, op, s ? -EINVAL : -ENOMEM);
		return;
	}
	memset(s->theirs, 0xff, sizeof(s->theirs));
	s->child = mem_alloc(u->io.mem, sizeof(*s->child));
	if (!s->child)
		r = -ENOMEM;
	for (unsigned i = 0; r == 0 && i < CHILD_STREAMS; i++)
		if (spawn_ret(op, i))
			r = spawn_stream(u, s, i);
	if (r < 0) {
		spawn_free(s, false);
		uring_finish_later(u, op, r);
		return;
	}
	s->child->io = &u->io;
	s->child->poll.fn = child_event;
	s->child->later.done = child_later;
	op->progress = (uintptr_t)s;
	uring_work(u, op, uring_spawn_fn, uring_spawn_told, true);
}
