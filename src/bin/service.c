// SPDX-License-Identifier: Apache-2.0
/* service - a command on a node of its own. See service.h. */
#include "bin/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bin/commands.h"
#include "pool/pool.h"
#include "reactor/fiber.h"

#define BUSY_NS UINT64_C(2000000000) /* a disk may be another process's for so long */

/* ---- options ------------------------------------------------------------------------------ */

static bool usage_error(const struct service *s, const char *words, const char *what)
{
	fprintf(stderr, "%s: %s%s\n", s->who, words, what);
	return false;
}

bool service_take_pool(struct service *s, struct mem *mem, const char *disks)
{
	struct service_pool *pool = &s->pools[s->pool_count];

	if (s->pool_count == SERVICE_POOLS_MAX)
		return usage_error(s, "too many pools: ", disks);
	s->pool_count++;
	for (const char *end; *disks; disks = *end ? end + 1 : end) {
		end = strchrnul(disks, ',');
		if (pool->disk_count == SERVICE_DISKS_MAX)
			return usage_error(s, "too many disks: ", disks);
		char *disk = mem_printf(mem, "%s%.*s", *disks == '/' ? "file://" : "",
					(int)(end - disks), disks);
		if (!disk)
			return usage_error(s, "no memory", "");
		pool->disks[pool->disk_count++] = disk;
	}
	return pool->disk_count > 0 || usage_error(s, "--pool without disks", "");
}

bool service_take_number(const struct service *s, const char *value, unsigned max, unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n == 0 || n > max)
		return usage_error(s, "not a number of 1 and more: ", value);
	*ret = (unsigned)n;
	return true;
}

void service_free_pools(struct service *s)
{
	for (unsigned i = 0; i < s->pool_count; i++)
		for (unsigned j = 0; j < s->pools[i].disk_count; j++)
			mem_free(s->pools[i].disks[j]);
	s->pool_count = 0;
}

/* ---- pools -------------------------------------------------------------------------------- */

/* The kernel closes the files of a process that was killed a moment after its end. */
static int pool_take(struct fiber *f, const struct pool_import_args *args, struct pool **ret)
{
	uint64_t until = io_now(fiber_io(f)) + BUSY_NS;
	int r;

	while ((r = pool_import(f, args, ret)) == -EBUSY && io_now(fiber_io(f)) < until) {
		fiber_clear(f);
		if (fiber_sleep(f, BUSY_NS / 100) < 0)
			return fiber_fail(f, -ECANCELED, "interrupted");
	}
	return r;
}

static int pools_import(struct fiber *f, struct service *s)
{
	for (; s->imported_count < s->pool_count; s->imported_count++) {
		const struct service_pool *pool = &s->pools[s->imported_count];
		const struct pool_import_args args = {
			.disks = (const char *const *)pool->disks,
			.disk_count = pool->disk_count,
			.read_only = s->pools_read_only,
		};
		int r = pool_take(f, &args, &s->imported[s->imported_count]);

		if (r < 0)
			return r;
	}
	return 0;
}

static int pools_export(struct fiber *f, struct service *s, int status)
{
	while (s->imported_count > 0) {
		int r = pool_export(f, s->imported[--s->imported_count]);

		status = status < 0 ? status : r;
	}
	return status;
}

/* ---- running --------------------------------------------------------------------------------- */

static void service_signal(void *ctx, int signo)
{
	struct service *s = ctx;

	if (signo == SIGHUP)
		event_set(&s->event);
	else
		service_quit(s);
}

void service_quit(struct service *s)
{
	s->is_over = true;
	if (s->main && !s->is_open)
		fiber_cancel(s->main); /* SE1 */
	event_set(&s->event);
}

static int service_serve(struct fiber *f, struct service *s)
{
	int r = s->open(f, s->ctx);

	if (r < 0)
		return r;
	s->is_open = true;
	fiber_uncancel(f);
	fflush(stdout);
	while (s->hangup && !s->is_over) {
		event_clear(&s->event);
		event_wait_always(f, &s->event);
		if (!s->is_over)
			s->hangup(f, s->ctx);
	}
	if (s->close)
		s->close(f, s->ctx);
	return 0;
}

static int service_main(struct fiber *f, void *arg)
{
	struct service *s = arg;
	int r = s->is_over ? fiber_fail(f, -ECANCELED, "interrupted") : pools_import(f, s);

	if (r == 0)
		r = service_serve(f, s);
	fiber_uncancel(f);
	if (r == -ECANCELED && s->is_over && s->hangup) {
		fiber_clear(f); /* as it was told */
		r = 0;
	}
	return pools_export(f, s, r);
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, 0 };

static int service_watch(struct fiber *f, void *arg)
{
	struct service *s = arg;
	struct io_signal *watches[ARRAY_LEN(signals)] = { NULL };
	unsigned count = 0;
	int r = 0;

	event_init(&s->event);
	for (; signals[count] && r == 0; count++)
		r = io_signal_watch(fiber_io(f), signals[count], service_signal, s,
				    &watches[count]);
	if (r < 0)
		r = fiber_fail(f, r, "signals cannot be watched");
	if (r == 0)
		r = fiber_start(fiber_reactor(f), "service", service_main, s, &s->main);
	if (r == 0)
		r = fiber_join(f, s->main);
	s->main = NULL;
	for (unsigned i = 0; i < count; i++)
		if (watches[i])
			io_signal_free(watches[i]);
	return r;
}

int service_run(struct service *s)
{
	const struct node_opts opts = { .reactors = s->reactors, .pin = s->pin };
	struct err err = { 0 };

	io_block_signals(signals);
	if (node_run(&s->node, &opts, service_watch, s, &err) < 0) {
		fprintf(stderr, "%s: %s\n", s->who, err_words(&err));
		return EXIT_FAILED;
	}
	return 0;
}
