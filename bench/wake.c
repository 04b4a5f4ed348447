// SPDX-License-Identifier: Apache-2.0
/*
 * wake - how long a sleeping reactor takes from its wake-up to its first I/O.
 *
 *   wake [--rounds 1000] [--gap-us 3000] [--json] [URI]     (malloc:///wake?size_mb=16)
 *
 * Reactor 1 sleeps between rounds. It is woken by a mail from reactor 0, by another
 * thread that makes a watched descriptor ready (as a peer's bytes would), and by a
 * timer. Two times are taken from the cause (for a timer: from when it was due): until
 * its callback submits a 4 KiB read, and until that read is done.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/hist.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "world.h"

#define READ_BYTES 4096

struct way {
	const char *name;
	struct hist submit, done;
};

enum { WAY_MAIL, WAY_FD, WAY_TIMER, WAYS };

struct wake {
	unsigned rounds;
	uint64_t gap_ns;
	bool json;
	const char *uri;
	struct way ways[WAYS];

	struct bdev *bdev;
	struct reactor *home, *sleeper; /* reactors 0 and 1 */

	/* the sleeper's */
	struct bdev_chan *chan;
	struct bio *bio;
	struct iovec iov;
	struct way *way;
	uint64_t cause_ns; /* of the round in flight */
	bool in_flight;
	unsigned left;
	struct event over; /* all rounds are done */
	struct timer timer;

	/* a round by mail, there and back */
	struct mail there, back;
	uint64_t sent_ns;
	struct event is_back; /* home's */

	/* a round by descriptor */
	int fd;
	_Atomic uint64_t ready_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- a round, on the sleeper ---------------------------------------------------- */

static void round_by_timer(struct wake *wake);

static void round_done(struct bio *bio)
{
	struct wake *wake = container_of(bio->iov, struct wake, iov);

	hist_add(&wake->way->done, now_ns() - wake->cause_ns);
	wake->in_flight = false;
	if (--wake->left == 0)
		event_set(&wake->over);
	else if (wake->way == &wake->ways[WAY_TIMER])
		round_by_timer(wake);
	if (wake->way == &wake->ways[WAY_MAIL])
		reactor_send(wake->sleeper, wake->home, &wake->back);
}

/* Awake: the first thing done is an I/O. */
static void round_run(struct wake *wake, uint64_t cause_ns)
{
	wake->cause_ns = cause_ns;
	wake->in_flight = true;
	bio_prep(wake->bio, wake->chan, BIO_READ, 0, READ_BYTES / wake->bdev->block_size,
		 &wake->iov, 1, round_done);
	bio_submit(wake->bio);
	hist_add(&wake->way->submit, now_ns() - cause_ns);
}

static void way_start(struct wake *wake, unsigned way)
{
	wake->way = &wake->ways[way];
	wake->left = wake->rounds;
	hist_reset(&wake->way->submit);
	hist_reset(&wake->way->done);
	event_init(&wake->over);
}

static void timer_fired(struct timer *timer)
{
	round_run(container_of(timer, struct wake, timer), timer->due_ns);
}

static void round_by_timer(struct wake *wake)
{
	timer_start(wake->sleeper, &wake->timer, wake->gap_ns, timer_fired);
}

static int rounds_by_timer(struct fiber *f, void *arg)
{
	struct wake *wake = arg;

	way_start(wake, WAY_TIMER);
	round_by_timer(wake);
	return event_wait(f, &wake->over);
}

static void *make_ready(void *arg)
{
	struct wake *wake = arg;
	struct timespec gap = { (time_t)(wake->gap_ns / 1000000000),
				(long)(wake->gap_ns % 1000000000) };
	uint64_t one = 1;

	for (unsigned i = 0; i < wake->rounds; i++) {
		nanosleep(&gap, NULL);
		atomic_store(&wake->ready_ns, now_ns());
		if (write(wake->fd, &one, sizeof(one)) != sizeof(one))
			abort();
	}
	return NULL;
}

static void fd_ready(void *ctx, unsigned events)
{
	struct wake *wake = ctx;
	uint64_t count;

	if (wake->in_flight || read(wake->fd, &count, sizeof(count)) != sizeof(count))
		return;			   /* it stays ready */
	wake->left -= (unsigned)count - 1; /* more at once: the machine stood still */
	round_run(wake, atomic_load(&wake->ready_ns));
}

static int rounds_by_fd(struct fiber *f, void *arg)
{
	struct wake *wake = arg;
	struct io_watch *watch;
	pthread_t thread;
	int r;

	way_start(wake, WAY_FD);
	wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = io_watch_fd(fiber_io(f), wake->fd, IO_READABLE, fd_ready, wake, &watch);
	if (r < 0)
		return fiber_fail(f, r, "cannot watch a descriptor");
	if (pthread_create(&thread, NULL, make_ready, wake))
		abort();
	r = event_wait(f, &wake->over);
	pthread_join(thread, NULL);
	io_watch_free(watch);
	close(wake->fd);
	return r;
}

static void mail_there(struct mail *mail, struct reactor *at)
{
	struct wake *wake = container_of(mail, struct wake, there);

	round_run(wake, wake->sent_ns);
}

/* ---- on reactor 0 ------------------------------------------------------------------- */

static void mail_back(struct mail *mail, struct reactor *at)
{
	event_set(&container_of(mail, struct wake, back)->is_back);
}

static int rounds_by_mail(struct fiber *f, struct wake *wake)
{
	int r = 0;

	way_start(wake, WAY_MAIL);
	wake->there.run = mail_there;
	wake->back.run = mail_back;
	event_init(&wake->is_back);
	for (unsigned i = 0; i < wake->rounds && r == 0; i++) {
		event_clear(&wake->is_back);
		r = fiber_sleep(f, wake->gap_ns);
		wake->sent_ns = now_ns();
		reactor_send(wake->home, wake->sleeper, &wake->there);
		event_wait_always(f, &wake->is_back);
	}
	return r;
}

static int sleeper_open(struct fiber *f, void *arg)
{
	struct wake *wake = arg;
	int r = bdev_chan_open(f, wake->bdev, &wake->chan);

	if (r < 0)
		return r;
	wake->bio = bio_new(wake->chan);
	wake->iov.iov_len = READ_BYTES;
	wake->iov.iov_base = io_buf_new(fiber_io(f), READ_BYTES);
	return wake->bio && wake->iov.iov_base ? 0 : fiber_fail(f, -ENOMEM, "no memory");
}

static int sleeper_close(struct fiber *f, void *arg)
{
	struct wake *wake = arg;

	mem_free(wake->bio);
	if (wake->iov.iov_base)
		io_buf_free(fiber_io(f), wake->iov.iov_base, READ_BYTES);
	if (wake->chan)
		bdev_chan_close(f, wake->chan);
	return 0;
}

static void print(const struct wake *wake)
{
	static const char *const names[WAYS] = { "mail", "fd", "timer" };

	for (unsigned i = 0; i < WAYS; i++) {
		const struct way *way = &wake->ways[i];
		double submit = (double)hist_quantile(&way->submit, 0.5) / 1000;
		double done = (double)hist_quantile(&way->done, 0.5) / 1000;
		double late = (double)hist_quantile(&way->done, 0.99) / 1000;

		if (wake->json)
			printf("%s\"%s\":{\"rounds\":%" PRIu64 ",\"submit_p50_us\":%.2f,"
			       "\"done_p50_us\":%.2f,\"done_p99_us\":%.2f}%s",
			       i ? "," : "{", names[i], way->done.count, submit, done, late,
			       i == WAYS - 1 ? "}\n" : "");
		else
			printf("wake by %-5s: first I/O submitted after %.1f us, done after %.1f us "
			       "(median of %" PRIu64 "; p99 %.1f us)\n",
			       names[i], submit, done, way->done.count, late);
	}
}

static int wake_main(struct fiber *f, void *arg)
{
	struct wake *wake = arg;
	int r = bdev_open(f, wake->uri, &wake->bdev);

	if (r < 0)
		return r;
	wake->home = fiber_reactor(f);
	wake->sleeper = world_reactor(f, 1);
	r = fiber_call_on(f, wake->sleeper, "open", sleeper_open, wake);
	if (r == 0)
		r = rounds_by_mail(f, wake);
	if (r == 0)
		r = fiber_call_on(f, wake->sleeper, "fd", rounds_by_fd, wake);
	if (r == 0)
		r = fiber_call_on(f, wake->sleeper, "timer", rounds_by_timer, wake);
	if (r == 0)
		print(wake);
	(void)!fiber_call_on(f, wake->sleeper, "close", sleeper_close, wake);
	bdev_close(f, wake->bdev);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "rounds", required_argument, NULL, 'r' },
						 { "gap-us", required_argument, NULL, 'g' },
						 { "json", no_argument, NULL, 'j' },
						 { 0 } };
	static struct wake wake = { .rounds = 1000, .gap_ns = 3000000 };
	static struct world world = { .reactors = 2 };
	struct err err = { 0 };
	int code;

	while ((code = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (code == 'r')
			wake.rounds = (unsigned)max_int(atoi(optarg), 1);
		else if (code == 'g')
			wake.gap_ns = (uint64_t)max_int(atoi(optarg), 1) * 1000;
		else if (code == 'j')
			wake.json = true;
		else
			return 2;
	wake.uri = optind < argc ? argv[optind] : "malloc:///wake?size_mb=16";
	if (world_run(&world, wake_main, &wake, &err) < 0) {
		fprintf(stderr, "wake: %s\n", err_words(&err));
		return 1;
	}
	return 0;
}
