// SPDX-License-Identifier: Apache-2.0
/*
 * command_nexus_serve - `mayastor nexus serve`: a volume owned, published, and told about.
 *
 *	store -> lease -> nexus_open (seal, fence, resync) -> published -> ports -> "ready"
 *
 * The ports come last: who is refused the connection tries again, who is told that there is no
 * such subsystem may not.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "bin/cli.h"
#include "bin/command_nexus.h"
#include "engine/publish.h"
#include "export/nbd.h"
#include "io/addr.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

#define PROGRESS_NS UINT64_C(1000000000) /* between two lines about a rebuild */

/* ---- what happens ------------------------------------------------------------------------------ */

static void changed(struct nexus_watch *watch, const struct nexus_event *event)
{
	struct nexus_serving *s = container_of(watch, struct nexus_serving, watch);
	struct nexus_told *told = &s->told[s->told_count % NEXUS_TOLD_MAX];

	event_set(&s->wake);
	if (s->told_count - s->printed_count == NEXUS_TOLD_MAX) {
		s->lost_count++;
		return;
	}
	s->told_count++;
	told->now_ns = io_now(s->io);
	snprintf(told->uri, sizeof(told->uri), "%s", event->uri ? event->uri : "");
	snprintf(told->was, sizeof(told->was), "%s", event->was);
	snprintf(told->is, sizeof(told->is), "%s", event->is);
	snprintf(told->reason, sizeof(told->reason), "%s", event->reason);
}

static void print_all(struct nexus_serving *s)
{
	for (; s->printed_count != s->told_count; s->printed_count++)
		nexus_print_change(s, &s->told[s->printed_count % NEXUS_TOLD_MAX]);
	if (s->lost_count)
		fprintf(stderr, "%s: %u more changes\n", s->cmd->who, s->lost_count);
	s->lost_count = 0;
}

static int watcher_main(struct fiber *f, void *arg)
{
	struct nexus_serving *s = arg;
	uint64_t due = 0;

	while (!s->is_over) {
		uint64_t now = reactor_now(fiber_reactor(f));

		event_clear(&s->wake);
		print_all(s);
		if (s->nexus && now >= due) {
			nexus_info(s->nexus, &s->info);
			nexus_print_progress(s, now);
			due = now + PROGRESS_NS;
		}
		fflush(stdout);
		if (event_wait_until(f, &s->wake, now + PROGRESS_NS) < 0)
			continue;
	}
	print_all(s);
	return 0;
}

static int watch(struct fiber *f, struct nexus_serving *s)
{
	s->io = fiber_io(f);
	event_init(&s->wake);
	s->watch.fn = changed;
	nexus_watch_add(s->table, &s->watch);
	s->is_watching = true;
	return fiber_start(fiber_reactor(f), "nexus-watch", watcher_main, s, &s->watcher);
}

static void unwatch(struct fiber *f, struct nexus_serving *s)
{
	s->is_over = true;
	if (s->watcher) {
		event_set(&s->wake);
		(void)fiber_join(f, s->watcher);
	}
	if (s->is_watching)
		nexus_watch_del(&s->watch);
}

/* ---- doors ------------------------------------------------------------------------------------- */

int nexus_serve_publish(struct fiber *f, struct nexus_serving *s)
{
	const struct nexus_command *cmd = s->cmd;
	const struct publish_args args = {
		.nexus = s->nexus,
		.tgt = s->tgt,
		.nbd = s->nbd,
		.nqn = cmd->nqn,
		.hosts = cmd->hosts,
		.host_count = cmd->host_count,
		.multipath = cmd->listen_count > 1,
	};

	if (!s->tgt && !s->nbd)
		return fiber_fail(f, -EINVAL, "there is no door: --listen or --nbd-socket");
	if (s->publish)
		return fiber_fail(f, -EEXIST, "it is published");
	return publish_start(f, &args, &s->publish);
}

void nexus_serve_unpublish(struct fiber *f, struct nexus_serving *s)
{
	struct publish *publish = s->publish;

	s->publish = NULL;
	if (publish)
		publish_stop(f, publish);
}

static int open_nvmf(struct fiber *f, struct nexus_serving *s)
{
	const struct nexus_command *cmd = s->cmd;
	const struct tgt_opts opts = { .reactors = cmd->service.reactors };
	int r = tgt_open(f, &opts, &s->tgt);

	if (r == 0)
		r = nexus_serve_publish(f, s);
	for (unsigned i = 0; i < cmd->listen_count && r == 0; i++) {
		struct tgt_port_args args = { 0 };

		r = io_addr_parse(cmd->listens[i], &args.addr, fiber_fail_err(f));
		if (r == 0)
			r = tgt_port_add(f, s->tgt, &args, &s->ports[i]);
	}
	return r;
}

static int open_nbd(struct fiber *f, struct nexus_serving *s)
{
	const struct nbd_opts opts = { .reactors = s->cmd->service.reactors };
	struct io_addr addr;
	char text[IO_ADDR_TEXT_MAX];
	int r = nbd_server_new(f, &opts, &s->nbd);

	if (r == 0)
		r = nexus_serve_publish(f, s);
	if (r < 0)
		return r;
	if (snprintf(text, sizeof(text), "unix:%s%s", s->cmd->nbd_socket[0] == '/' ? "" : "./",
		     s->cmd->nbd_socket) >= (int)sizeof(text))
		return fiber_fail(f, -EINVAL, "the path of the socket is too long: %.60s...",
				  s->cmd->nbd_socket);
	r = io_addr_parse(text, &addr, fiber_fail_err(f));
	return r < 0 ? r : nbd_server_listen(f, s->nbd, &addr, NULL);
}

static int open_doors(struct fiber *f, struct nexus_serving *s)
{
	if (s->cmd->listen_count)
		return open_nvmf(f, s);
	return s->cmd->nbd_socket ? open_nbd(f, s) : 0;
}

/* ---- what is printed ----------------------------------------------------------------------------- */

static void print_connect(const struct nexus_serving *s, unsigned i)
{
	char text[IO_ADDR_TEXT_MAX], *end;
	struct io_addr addr;

	tgt_port_addr(s->ports[i], &addr);
	end = strrchr(io_addr_print(&addr, text) ? text : "", ':');
	if (end)
		*end = '\0';
	printf("  nvme connect -t tcp -a %s -s %u -n %s%s%s\n", text, addr.port,
	       publish_nqn(s->publish), s->cmd->host_count ? " -q " : "",
	       s->cmd->host_count ? s->cmd->hosts[0] : "");
}

static void print_ready_text(const struct nexus_serving *s, double seconds)
{
	char resync[CLI_SIZE_TEXT];

	printf("nexus '%s' serves after %.3f s: epoch %" PRIu64 ", resync %s\n", s->info.name,
	       seconds, s->info.epoch, cli_size(s->info.resync_bytes, resync));
	for (unsigned i = 0; i < s->cmd->listen_count; i++)
		print_connect(s, i);
	if (s->nbd)
		printf("  nbdinfo 'nbd+unix:///%s?socket=%s'\n", publish_nqn(s->publish),
		       s->cmd->nbd_socket);
	puts("ready");
}

static void print_ready_json(const struct nexus_serving *s, double seconds)
{
	printf("{\"event\":\"ready\",\"seconds\":%.3f,\"epoch\":%" PRIu64
	       ",\"resync_bytes\":%" PRIu64 ",\"ports\":[",
	       seconds, s->info.epoch, s->info.resync_bytes);
	for (unsigned i = 0; i < s->cmd->listen_count; i++) {
		struct io_addr addr;

		tgt_port_addr(s->ports[i], &addr);
		printf("%s%u", i ? "," : "", addr.port);
	}
	printf("],\"name\":");
	typed_json_string(s->publish ? publish_nqn(s->publish) : "");
	puts("}");
}

static void print_ready(struct fiber *f, struct nexus_serving *s)
{
	double seconds = (double)(io_now(fiber_io(f)) - s->start_ns) / 1e9;

	nexus_info(s->nexus, &s->info);
	if (s->cmd->json)
		print_ready_json(s, seconds);
	else
		print_ready_text(s, seconds);
	fflush(stdout);
}

/* ---- from open to close ----------------------------------------------------------------------- */

static int own(struct fiber *f, struct nexus_serving *s)
{
	CLEANUP(cleanup_mem) struct volume_record *rec = mem_new(fiber_io(f), sizeof(*rec));
	int r = rec ? nexus_store_open(f, s->cmd, &s->store) : fiber_fail(f, -ENOMEM, "no memory");

	if (r == 0)
		r = nexus_record_find(f, s->store, s->cmd->name, rec);
	if (r == 0)
		r = nexus_join(f, s->cmd, s->store, &s->table);
	if (r == 0)
		r = watch(f, s);
	return r < 0 ? r : nexus_open(f, s->table, &rec->volume, s->cmd->force, &s->nexus);
}

static int serve(struct fiber *f, struct nexus_serving *s)
{
	const struct typed_opts typed = { .run = nexus_typed_run, .ctx = s, .json = s->cmd->json };
	int r = own(f, s);

	if (r == 0)
		r = open_doors(f, s);
	if (r < 0)
		return r;
	print_ready(f, s);
	return typed_start(f, &typed, &s->typed);
}

/* Everything that is there, the other way round. */
void nexus_serve_close(struct fiber *f, void *ctx)
{
	struct nexus_command *cmd = ctx;
	struct nexus_serving *s = cmd->serving;
	struct nexus *nexus;

	typed_stop(f, s->typed);
	nexus_serve_unpublish(f, s);
	if (s->tgt)
		tgt_close(f, s->tgt);
	if (s->nbd)
		nbd_server_free(f, s->nbd);
	nexus = s->nexus;
	s->nexus = NULL; /* the watcher looks at it no more */
	if (nexus)
		nexus_close(f, nexus);
	unwatch(f, s);
	if (s->table)
		nexus_leave(f, cmd, s->table);
	if (s->store)
		store_close(f, s->store);
	mem_free(s);
}

int nexus_serve_open(struct fiber *f, void *ctx)
{
	struct nexus_command *cmd = ctx;
	struct nexus_serving *s = mem_new(fiber_io(f), sizeof(*s));
	struct err first;
	int r;

	if (!s)
		return fiber_fail(f, -ENOMEM, "no memory");
	s->cmd = cmd;
	s->start_ns = io_now(fiber_io(f));
	cmd->serving = s;
	r = serve(f, s);
	if (r < 0) {
		first = *fiber_err(f);
		fiber_uncancel(f);
		nexus_serve_close(f, cmd);
		*fiber_err(f) = first;
	}
	return r;
}

void nexus_serve_hangup(struct fiber *f, void *ctx)
{
	struct nexus_serving *s = ((struct nexus_command *)ctx)->serving;

	if (s->publish && publish_rescan(f, s->publish) < 0) {
		fprintf(stderr, "%s: %s\n", s->cmd->who, fiber_words(f));
		fiber_clear(f);
	}
}
