// SPDX-License-Identifier: Apache-2.0
/*
 * idle - what a process costs that has much open and nothing to do.
 *
 *   idle [--seconds 30] [--json] [--dir DIR]
 *
 * Four reactors, 100 open bdevs (70 files, 20 null, 5 malloc, 5 delay) with a channel
 * each, 1,000 timers due in 5 to 65 s and armed again when they fire. Then nothing is
 * asked of it, and the processor time is read from /proc/self/stat and getrusage().
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "reactor/timer.h"
#include "world.h"

#define REACTORS     4
#define DISKS	     100
#define TIMERS	     1000
#define DUE_FIRST_NS UINT64_C(5000000000)
#define DUE_SPAN_NS  UINT64_C(60000000000)
#define FILE_BYTES   (16 << 20)

struct idle {
	double seconds;
	bool json;
	char dir[256];
	struct bdev *disks[DISKS];
	struct bdev_chan *chans[DISKS];
	struct timer timers[TIMERS];
	unsigned index; /* of the reactor that is being set up */
};

struct usage {
	double stat_s, rusage_s, rss_mib;
	uint64_t now_ns;
};

static uint64_t timer_due(const struct idle *idle, const struct timer *timer)
{
	return DUE_FIRST_NS + DUE_SPAN_NS / TIMERS * (uint64_t)(timer - idle->timers);
}

static void timer_again(struct timer *timer)
{
	timer_start(timer->reactor, timer, DUE_FIRST_NS + DUE_SPAN_NS / 2, timer_again);
}

static void disk_uri(const struct idle *idle, unsigned i, char uri[512])
{
	if (i < 70)
		snprintf(uri, 512, "file://%s/%u.img", idle->dir, i);
	else if (i < 90)
		snprintf(uri, 512, "null:///n%u?size_mb=64", i);
	else if (i < 95)
		snprintf(uri, 512, "malloc:///m%u?size_mb=1", i);
	else
		snprintf(uri, 512, "delay:///d%u?ns=1000&on=null:///under%u?size_mb=64", i, i);
}

static int reactor_open(struct fiber *f, void *arg)
{
	struct idle *idle = arg;

	for (unsigned i = idle->index; i < DISKS; i += REACTORS) {
		int r = bdev_chan_open(f, idle->disks[i], &idle->chans[i]);
		if (r < 0)
			return r;
	}
	for (unsigned i = idle->index; i < TIMERS; i += REACTORS)
		timer_start(fiber_reactor(f), &idle->timers[i], timer_due(idle, &idle->timers[i]),
			    timer_again);
	return 0;
}

static int reactor_close(struct fiber *f, void *arg)
{
	struct idle *idle = arg;

	for (unsigned i = idle->index; i < TIMERS; i += REACTORS)
		timer_stop(&idle->timers[i]);
	for (unsigned i = idle->index; i < DISKS; i += REACTORS)
		if (idle->chans[i])
			bdev_chan_close(f, idle->chans[i]);
	return 0;
}

static int each_reactor(struct fiber *f, struct idle *idle, fiber_fn fn)
{
	int r = 0;

	for (idle->index = 0; idle->index < REACTORS && r == 0; idle->index++)
		r = fiber_call_on(f, world_reactor(f, idle->index), "idle", fn, idle);
	return r;
}

static int read_number(const char *path, unsigned skip, unsigned count, double *ret)
{
	unsigned long value;
	FILE *file = fopen(path, "r");
	char text[1024], *at;

	if (!file)
		return -errno;
	at = fgets(text, sizeof(text), file);
	fclose(file);
	if (at && strrchr(at, ')'))
		at = strrchr(at, ')') + 1; /* stat: after the name, which may have spaces */
	for (*ret = 0; at && skip + count > 0; skip ? skip-- : count--) {
		at += strspn(at, " ");
		if (skip == 0 && sscanf(at, "%lu", &value) == 1)
			*ret += (double)value;
		at = strchr(at, ' ');
	}
	return 0;
}

static int usage_take(struct fiber *f, struct usage *ret)
{
	struct world_cpu cpu = world_cpu();
	double ticks, pages;
	int r = read_number("/proc/self/stat", 11, 2, &ticks); /* utime, stime */

	if (r == 0)
		r = read_number("/proc/self/statm", 1, 1, &pages);
	if (r < 0)
		return fiber_fail(f, r, "cannot read /proc/self/stat");
	ret->stat_s = ticks / (double)sysconf(_SC_CLK_TCK);
	ret->rss_mib = pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
	ret->rusage_s = cpu.user_s + cpu.sys_s;
	ret->now_ns = io_now(fiber_io(f));
	return 0;
}

static void print(const struct idle *idle, const struct usage *a, const struct usage *z)
{
	double seconds = (double)(z->now_ns - a->now_ns) / 1e9;
	double stat_pct = (z->stat_s - a->stat_s) / seconds * 100;
	double rusage_pct = (z->rusage_s - a->rusage_s) / seconds * 100;

	if (idle->json)
		printf("{\"reactors\":%d,\"bdevs\":%d,\"timers\":%d,\"seconds\":%.3f,\"cpu_pct\":%.4f,"
		       "\"rusage_pct\":%.4f,\"rss_mib\":%.2f}\n",
		       REACTORS, DISKS, TIMERS, seconds, stat_pct, rusage_pct, z->rss_mib);
	else
		printf("idle: %d reactors, %d bdevs, %d timers, %.1f s: %.3f %% of a core "
		       "(/proc/PID/stat; %.3f %% by getrusage), RSS %.1f MiB\n",
		       REACTORS, DISKS, TIMERS, seconds, stat_pct, rusage_pct, z->rss_mib);
}

static int open_all(struct fiber *f, struct idle *idle)
{
	char uri[512], path[300];
	int r = 0;

	for (unsigned i = 0; i < DISKS && r == 0; i++) {
		disk_uri(idle, i, uri);
		snprintf(path, sizeof(path), "%s/%u.img", idle->dir, i);
		if (strncmp(uri, "file:", 5) == 0) {
			int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

			if (fd < 0 || ftruncate(fd, FILE_BYTES) < 0)
				return fiber_fail(f, -errno, "cannot make %s", path);
			close(fd);
		}
		r = bdev_open(f, uri, &idle->disks[i]);
	}
	return r == 0 ? each_reactor(f, idle, reactor_open) : r;
}

static void close_all(struct fiber *f, struct idle *idle)
{
	char path[300];

	(void)!each_reactor(f, idle, reactor_close);
	for (unsigned i = 0; i < DISKS; i++) {
		snprintf(path, sizeof(path), "%s/%u.img", idle->dir, i);
		if (idle->disks[i])
			bdev_close(f, idle->disks[i]);
		unlink(path);
	}
	rmdir(idle->dir);
}

static int idle_main(struct fiber *f, void *arg)
{
	struct idle *idle = arg;
	struct usage before, after;
	int r;

	for (unsigned i = 0; i < TIMERS; i++)
		timer_init(&idle->timers[i]);
	r = open_all(f, idle);
	if (r == 0)
		r = fiber_sleep(f, 1000000000);
	if (r == 0)
		r = usage_take(f, &before);
	if (r == 0)
		r = fiber_sleep(f, (uint64_t)(idle->seconds * 1e9));
	if (r == 0)
		r = usage_take(f, &after);
	if (r == 0)
		print(idle, &before, &after);
	close_all(f, idle);
	return r;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seconds", required_argument, NULL, 's' },
						 { "json", no_argument, NULL, 'j' },
						 { "dir", required_argument, NULL, 'd' },
						 { 0 } };
	static struct idle idle = { .seconds = 30 };
	static struct world world = { .reactors = REACTORS };
	const char *dir = "/tmp";
	struct err err = { 0 };
	int code;

	while ((code = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (code == 's')
			idle.seconds = atof(optarg);
		else if (code == 'd')
			dir = optarg;
		else if (code == 'j')
			idle.json = true;
		else
			return 2;
	snprintf(idle.dir, sizeof(idle.dir), "%s/idle.XXXXXX", dir);
	if (!mkdtemp(idle.dir)) {
		perror(idle.dir);
		return 2;
	}
	if (world_run(&world, idle_main, &idle, &err) < 0) {
		fprintf(stderr, "idle: %s\n", err_words(&err));
		return 1;
	}
	return 0;
}
