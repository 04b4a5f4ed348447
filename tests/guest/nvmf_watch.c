// SPDX-License-Identifier: Apache-2.0
/*
 * nvmf_watch - open a disk, say its size, and say what happens to it until it is removed.
 *
 *   nvmf_watch URI SECONDS        0: it was removed; 1: the time is over; 2: it did not open
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "bdev/bdev.h"
#include "engine/node.h"
#include "reactor/fiber.h"
#include "reactor/wait.h"

struct watcher {
	const char *uri;
	uint64_t limit_ns;
	struct bdev_watch watch;
	struct event removed;
	int status;
};

static void on_event(struct bdev_watch *watch, struct bdev *bdev, enum bdev_event event)
{
	struct watcher *w = container_of(watch, struct watcher, watch);

	if (event == BDEV_RESIZED)
		printf("blocks %" PRIu64 "\n", bdev->blocks);
	else
		event_set(&w->removed);
	fflush(stdout);
}

static int watch_main(struct fiber *f, void *arg)
{
	struct watcher *w = arg;
	struct bdev *bdev;
	int r = bdev_open(f, w->uri, &bdev);

	if (r < 0)
		return r;
	printf("blocks %" PRIu64 "\n", bdev->blocks);
	fflush(stdout);
	event_init(&w->removed);
	w->watch.fn = on_event;
	r = bdev_watch_add(f, bdev, &w->watch);
	if (r == 0) {
		r = event_wait_until(f, &w->removed, io_now(fiber_io(f)) + w->limit_ns);
		w->status = r < 0 ? 1 : 0;
		puts(r < 0 ? "over" : "removed");
		bdev_watch_del(f, &w->watch);
		fiber_clear(f);
		r = 0;
	}
	bdev_close(f, bdev);
	return r;
}

int main(int argc, char **argv)
{
	static struct watcher watcher;
	static struct node node;
	struct node_opts opts = { .reactors = 1 };
	struct err err = { 0 };

	if (argc != 3)
		return 64;
	watcher.uri = argv[1];
	watcher.limit_ns = strtoull(argv[2], NULL, 10) * UINT64_C(1000000000);
	if (node_run(&node, &opts, watch_main, &watcher, &err) < 0) {
		fprintf(stderr, "nvmf_watch: %s\n", err_words(&err));
		return 2;
	}
	return watcher.status;
}
