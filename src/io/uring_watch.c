// SPDX-License-Identifier: Apache-2.0
/*
 * uring_watch - foreign file descriptors, and signals.
 *
 * A watch is a one-shot poll, armed again after each call of its function: that makes it
 * level-triggered. Other events are had by cancelling the poll and arming another when
 * its last CQE has come; what comes meanwhile is filtered by the events wanted now.
 *
 * A signal is read from a signalfd of its own, on this thread and when the poll says so. An
 * IORING_OP_READ would do where the kernel can read a signalfd without waiting; an older one
 * (6.1) gives it to a kernel worker. That is a thread of this process which waits for ever,
 * and while it is being made a signal may find it and not the mask: the process was killed.
 */
#include "io/uring_priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct io_watch {
	struct io *io;
	int fd;
	unsigned events; /* wanted */
	unsigned armed_events;
	bool is_freed, is_in_call, is_broken;
	struct uring_event poll;
	io_watch_fn fn;
	void *ctx;
};

static void watch_arm(struct io_watch *w)
{
	if (w->poll.is_armed || w->events == 0 || w->is_broken)
		return;
	struct io_uring_sqe *sqe = uring_sqe(uring_of(w->io));
	io_uring_prep_poll_add(sqe, w->fd,
			       (w->events & IO_READABLE ? POLLIN | POLLRDHUP : 0u) |
				       (w->events & IO_WRITABLE ? POLLOUT : 0u));
	uring_sqe_event(sqe, &w->poll);
	w->armed_events = w->events;
}

static unsigned watch_ready(const struct io_watch *w, int res)
{
	unsigned ready = 0;

	if (res < 0) /* the library will find out what is wrong with it */
		return w->events;
	if (res & (POLLIN | POLLRDHUP | POLLHUP | POLLERR))
		ready |= IO_READABLE;
	if (res & (POLLOUT | POLLHUP | POLLERR))
		ready |= IO_WRITABLE;
	return ready & w->events;
}

static void watch_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_watch *w = container_of(ev, struct io_watch, poll);
	unsigned ready = w->is_freed || res == -ECANCELED ? 0 : watch_ready(w, res);

	uring_wait_stream(u);
	w->is_broken |= res < 0 && res != -ECANCELED;
	if (ready) {
		w->is_in_call = true;
		u->told++;
		w->fn(w->ctx, ready);
		w->is_in_call = false;
	}
	if (!w->is_freed) {
		watch_arm(w);
		return;
	}
	u->closing--;
	mem_free(w);
}

int uring_watch(struct io *io, int fd, unsigned events, io_watch_fn fn, void *ctx,
		struct io_watch **ret)
{
	struct io_watch *w = mem_alloc(io->mem, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->io = io;
	w->fd = fd;
	w->events = events;
	w->fn = fn;
	w->ctx = ctx;
	w->poll.fn = watch_event;
	watch_arm(w);
	*ret = w;
	return 0;
}

void uring_watch_set(struct io_watch *w, unsigned events)
{
	w->events = events;
	if (w->poll.is_armed && w->armed_events != events)
		uring_cancel_event(uring_of(w->io), &w->poll);
	else if (!w->is_in_call)
		watch_arm(w);
}

void uring_watch_free(struct io_watch *w)
{
	struct uring *u = uring_of(w->io);

	must(!w->is_freed);
	if (!w->poll.is_armed && !w->is_in_call) {
		mem_free(w);
		return;
	}
	w->is_freed = true;
	u->closing++;
	uring_cancel_event(u, &w->poll);
}

/* ---- signals ------------------------------------------------------------------ */

struct io_signal {
	struct io *io;
	int fd;
	bool is_freed, is_in_call;
	struct uring_event poll;
	io_signal_fn fn;
	void *ctx;
};

static void signal_arm(struct io_signal *s)
{
	struct io_uring_sqe *sqe = uring_sqe(uring_of(s->io));

	io_uring_prep_poll_add(sqe, s->fd, POLLIN);
	uring_sqe_event(sqe, &s->poll);
}

static void signal_event(struct uring *u, struct uring_event *ev, int res, unsigned flags)
{
	struct io_signal *s = container_of(ev, struct io_signal, poll);
	struct signalfd_siginfo info;

	if (!s->is_freed && read(s->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		u->told++;
		s->is_in_call = true;
		s->fn(s->ctx, (int)info.ssi_signo);
		s->is_in_call = false;
	}
	if (!s->is_freed) {
		signal_arm(s);
		return;
	}
	u->closing--;
	close(s->fd);
	mem_free(s);
}

int uring_signal(struct io *io, int signo, io_signal_fn fn, void *ctx, struct io_signal **ret)
{
	struct io_signal *s;
	sigset_t set;

	sigemptyset(&set);
	if (sigaddset(&set, signo) < 0)
		return -EINVAL;
	s = mem_alloc(io->mem, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0) {
		mem_free(s);
		return -errno;
	}
	s->io = io;
	s->fn = fn;
	s->ctx = ctx;
	s->poll.fn = signal_event;
	signal_arm(s);
	*ret = s;
	return 0;
}

void uring_signal_free(struct io_signal *s)
{
	struct uring *u = uring_of(s->io);

	must(!s->is_freed);
	s->is_freed = true;
	u->closing++;
	if (!s->is_in_call)
		uring_cancel_event(u, &s->poll);
}
