// SPDX-License-Identifier: Apache-2.0
/*
 * peer - our server, or our client, for a test that is written around gRPC's own.
 *
 *	rpc_peer serve ADDRESS... [--tls DIR] [--opt NAME=NUMBER]...	prints where, serves until stdin ends
 *	rpc_peer call TARGET [--tls DIR [--name NAME]]	lines of commands on stdin, an answer line each
 *
 * Commands: say TEXT SIZE SLEEP_MS CODE TIMEOUT_MS, many COUNT SIZE CODE, flood N SLEEP_MS, ready TEXT.
 * DIR holds ca.pem, server.pem, server.key, client.pem, client.key; "none" names no client's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"
#include "echo.h"
#include "io/addr.h"
#include "io/uring.h"
#include "reactor/fiber.h"
#include "reactor/group.h"

#define FLOOD_MAX 2000u

struct peer {
	int argc;
	char **argv;
	struct mem_heap heap;
	struct log log;
	struct echo echo;
	struct rpc_tls *tls;
	const char *dir, *name;
	struct rpc_server_opts server;
	char line[4096];
	size_t line_len;
	struct fiber *reader;
	unsigned flood_left, flood_good;
	struct fiber *flooder;
	struct rpc_channel *channel;
	uint32_t flood_ms;
};

/* ---- lines of stdin, waited for without blocking --------------------------------- */

static int64_t read_line_work(void *ctx)
{
	struct peer *p = ctx;
	size_t len = 0;
	char c;

	while (len + 1 < sizeof(p->line) && read(0, &c, 1) == 1 && c != '\n')
		p->line[len++] = c;
	p->line[len] = '\0';
	return (int64_t)len;
}

static bool read_line(struct fiber *f, struct peer *p)
{
	struct io_op op = { 0 };

	io_prep_work(&op, read_line_work, p, NULL);
	return fiber_io_wait(f, &op) > 0;
}

static void die(struct fiber *f, const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, fiber_words(f));
	exit(3);
}

static void load_tls(struct fiber *f, struct peer *p, bool is_server)
{
	char ca[300], cert[300], key[300];
	const char *who = is_server ? "server" : "client";
	struct rpc_tls_files files = { ca, cert, key };

	if (!p->dir)
		return;
	if (strncmp(p->dir, "none:", 5) == 0) {
		p->dir += 5;
		files.cert = NULL;
		files.key = NULL;
	}
	snprintf(ca, sizeof(ca), "%s/ca.pem", p->dir);
	snprintf(cert, sizeof(cert), "%s/%s.pem", p->dir, who);
	snprintf(key, sizeof(key), "%s/%s.key", p->dir, who);
	if (rpc_tls_new(f, &files, is_server, &p->tls) < 0)
		die(f, "tls");
}

/* ---- serve ----------------------------------------------------------------------- */

static void serve_opt(struct peer *p, const char *text)
{
	static const struct {
		const char *name;
		size_t at;
		bool wide;
	} opts[] = {
		{ "conns_max", offsetof(struct rpc_server_opts, conns_max), false },
		{ "calls_max", offsetof(struct rpc_server_opts, calls_max), false },
		{ "streams_max", offsetof(struct rpc_server_opts, streams_max), false },
		{ "shake_ns", offsetof(struct rpc_server_opts, shake_ns), true },
		{ "age_ns", offsetof(struct rpc_server_opts, age_ns), true },
		{ "drain_ns", offsetof(struct rpc_server_opts, drain_ns), true },
	};
	const char *equals = strchr(text, '=');
	uint64_t value = strtoull(equals + 1, NULL, 10);

	for (unsigned i = 0; i < ARRAY_LEN(opts); i++) {
		if (strncmp(opts[i].name, text, (size_t)(equals - text)) != 0)
			continue;
		if (opts[i].wide)
			*(uint64_t *)((char *)&p->server + opts[i].at) = value;
		else
			*(uint32_t *)((char *)&p->server + opts[i].at) = (uint32_t)value;
	}
}

static void serve_listen(struct fiber *f, struct peer *p, struct rpc_server *server,
			 const char *text)
{
	struct io_addr addr, bound;
	char shown[IO_ADDR_TEXT_MAX];

	if (io_addr_parse(text, &addr, fiber_fail_err(f)) < 0 ||
	    rpc_server_listen(f, server, &addr, &bound) < 0)
		die(f, text);
	printf("%s\n", io_addr_print(&bound, shown));
}

static int serve_main(struct fiber *f, struct peer *p)
{
	struct rpc_server_stats stats;
	struct rpc_server *server;

	load_tls(f, p, true);
	p->server.tls = p->tls;
	if (rpc_server_new(f, &p->server, &server) < 0 ||
	    rpc_server_add(f, server, &echo_service, &p->echo) < 0 ||
	    rpc_server_add(f, server, &raw_service, NULL) < 0 ||
	    rpc_server_add_health(f, server) < 0)
		die(f, "server");
	for (int i = 2; i < p->argc && p->argv[i][0] != '-'; i++)
		serve_listen(f, p, server, p->argv[i]);
	printf("ready\n");
	fflush(stdout);
	while (read_line(f, p)) {
		if (strcmp(p->line, "stats") == 0) {
			rpc_server_stats(server, &stats);
			printf("conns=%" PRIu64 " calls=%" PRIu64 " memory=%" PRIu64
			       " dropped=%" PRIu64 "\n",
			       stats.conns_now, stats.calls_now, stats.memory_bytes,
			       stats.conns_dropped);
		} else if (strcmp(p->line, "ill") == 0) {
			rpc_server_set_serving(server, false);
			printf("ok\n");
		}
		fflush(stdout);
	}
	rpc_server_drain(f, server);
	rpc_server_free(f, server);
	rpc_tls_free(p->tls);
	printf("ended\n");
	return 0;
}

/* ---- call ------------------------------------------------------------------------ */

static void call_say(struct fiber *f, struct peer *p, const char *args)
{
	struct rpc_ask ask = { .wait_for_ready = strncmp(p->line, "ready", 5) == 0 };
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	unsigned size = 0, sleep_ms = 0, code = 0, timeout_ms = 0;
	struct rpc_reply reply;
	char text[200] = "";

	sscanf(args, "%199s %u %u %u %u", text, &size, &sleep_ms, &code, &timeout_ms);
	in.text = text;
	in.size = size;
	in.sleep_ms = sleep_ms;
	in.code = code;
	ask.timeout_ns = timeout_ms * UINT64_C(1000000);
	fiber_clear(f);
	if (rpc_ask_message(f, p->channel, "/test.Echo/Say", &ask, &in.base,
			    &test__echo_reply__descriptor, &reply) < 0)
		printf("%s %s\n", rpc_code_name(reply.code), fiber_words(f));
	else
		printf("OK %s %zu\n", ((Test__EchoReply *)reply.message)->text,
		       ((Test__EchoReply *)reply.message)->blob.len);
	rpc_reply_free(&reply);
	fiber_clear(f);
}

static void call_many(struct fiber *f, struct peer *p, const char *args)
{
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	unsigned count = 0, size = 0, code = 0, got = 0, bytes = 0;
	struct rpc_stream *stream;
	struct rpc_reply reply;
	int r;

	sscanf(args, "%u %u %u", &count, &size, &code);
	in.text = (char[]){ "the end" };
	in.count = count;
	in.size = size;
	in.code = code;
	if (rpc_open_message(f, p->channel, "/test.Echo/Many", NULL, &in.base,
			     &test__echo_reply__descriptor, &stream) < 0) {
		printf("failed %s\n", fiber_words(f));
		fiber_clear(f);
		return;
	}
	while ((r = rpc_next(f, stream, &reply)) == 1) {
		bytes += (unsigned)((Test__EchoReply *)reply.message)->blob.len;
		got++;
		rpc_reply_free(&reply);
	}
	printf("%s %u %u %s\n", rpc_code_name(reply.code), got, bytes, fiber_words(f));
	rpc_close(f, stream);
	fiber_clear(f);
}

static int flood_one(struct fiber *f, void *arg)
{
	struct peer *p = arg;
	Test__EchoRequest in = TEST__ECHO_REQUEST__INIT;
	struct rpc_reply reply;

	in.text = (char[]){ "flood" };
	in.sleep_ms = p->flood_ms;
	if (rpc_ask_message(f, p->channel, "/test.Echo/Say", NULL, &in.base,
			    &test__echo_reply__descriptor, &reply) == 0)
		p->flood_good++;
	rpc_reply_free(&reply);
	if (--p->flood_left == 0)
		fiber_resume(p->flooder);
	return 0;
}

static void call_flood(struct fiber *f, struct peer *p, const char *args)
{
	unsigned count = 0, sleep_ms = 0;

	sscanf(args, "%u %u", &count, &sleep_ms);
	p->flood_left = count;
	p->flood_good = 0;
	p->flood_ms = sleep_ms;
	p->flooder = f;
	must(count > 0 && count <= FLOOD_MAX);
	for (unsigned i = 0; i < count; i++)
		if (fiber_start(fiber_reactor(f), "flood", flood_one, p, NULL) < 0)
			exit(4);
	fiber_suspend(f);
	printf("%u of %u\n", p->flood_good, count);
}

static int call_main(struct fiber *f, struct peer *p)
{
	struct rpc_channel_opts opts = { .name = p->name, .asks_max = FLOOD_MAX };

	load_tls(f, p, false);
	opts.tls = p->tls;
	if (rpc_channel_new(f, p->argv[2], &opts, &p->channel) < 0)
		die(f, "channel");
	while (read_line(f, p)) {
		if (strncmp(p->line, "say ", 4) == 0 || strncmp(p->line, "ready ", 6) == 0)
			call_say(f, p, strchr(p->line, ' ') + 1);
		else if (strncmp(p->line, "many ", 5) == 0)
			call_many(f, p, p->line + 5);
		else if (strncmp(p->line, "flood ", 6) == 0)
			call_flood(f, p, p->line + 6);
		fflush(stdout);
	}
	rpc_channel_free(f, p->channel);
	rpc_tls_free(p->tls);
	return 0;
}

/* ---- main ------------------------------------------------------------------------ */

static int peer_main(struct fiber *f, void *arg)
{
	struct peer *p = arg;

	for (int i = 2; i + 1 < p->argc; i++) {
		if (strcmp(p->argv[i], "--tls") == 0)
			p->dir = p->argv[i + 1];
		if (strcmp(p->argv[i], "--name") == 0)
			p->name = p->argv[i + 1];
		if (strcmp(p->argv[i], "--opt") == 0)
			serve_opt(p, p->argv[i + 1]);
	}
	return strcmp(p->argv[1], "serve") == 0 ? serve_main(f, p) : call_main(f, p);
}

static int peer_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct peer *p = ctx;
	struct uring_opts opts = {
		.entries = 256, .recv_buf_count = 64, .recv_buf_bytes = 16384, .no_spin = true
	};

	return uring_open(&p->heap.mem, &opts, ret, err);
}

static void peer_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	fwrite(line, 1, len, stderr);
}

static uint64_t peer_clock(void *ctx)
{
	return 0;
}

int main(int argc, char **argv)
{
	struct peer *p = calloc(1, sizeof(*p));
	struct group_opts opts = { .count = 1, .io_open = peer_io_open, .io_ctx = p };
	struct err err = { 0 };
	int r;

	must(p && argc > 2);
	p->argc = argc;
	p->argv = argv;
	mem_heap_init(&p->heap);
	log_init(&p->log, peer_log, p, peer_clock, p);
	opts.mem = &p->heap.mem;
	opts.reactor.log = &p->log;
	r = group_run(&opts, peer_main, p, &err);
	if (r < 0)
		fprintf(stderr, "peer: %s\n", err_words(&err));
	if (r == 0 && p->heap.blocks)
		fprintf(stderr, "peer: %" PRIu64 " blocks leaked\n", p->heap.blocks);
	r = r < 0 || p->heap.blocks;
	free(p);
	return r;
}
