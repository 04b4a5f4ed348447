// SPDX-License-Identifier: Apache-2.0
/* daemon - a storage node from start to end. See daemon.h. */
#include "engine/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/engine_priv.h"
#include "engine/metrics.h"
#include "engine/registration.h"
#include "engine/services.h"
#include "io/addr.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "rpc/rpc.h"

#define DRAIN_NS  UINT64_C(2000000000)
#define SIGNALS	  2
#define LINE_SIZE 256

struct daemon {
	struct daemon_opts *opts; /* borrowed */
	struct engine *engine;
	struct rpc_server *server;
	struct registration *registration;
	struct metrics_server *metrics;
	struct rpc_tls *tls, *tls_client; /* owned; NULL: plain */
	struct io_signal *signals[SIGNALS];
	struct event over;
	struct timer patience; /* DN2 */
	char endpoint[IO_ADDR_TEXT_MAX + 8];
};

static void on_signal(void *ctx, int signo)
{
	struct daemon *d = ctx;

	(void)signo;
	event_set(&d->over);
}

static void tell_manager(const struct daemon *d, const char *text)
{
	if (d->opts->notify)
		(void)d->opts->notify(text); /* a manager that does not listen changes nothing */
}

static void patience_lost(struct timer *timer)
{
	struct daemon *d = container_of(timer, struct daemon, patience);

	if (d->opts->engine.log)
		log_error(d->opts->engine.log, "the stop takes too long: left as it is");
	d->opts->give_up();
}

/* ---- start ------------------------------------------------------------------------------------------ */

static int watch_signals(struct fiber *f, struct daemon *d)
{
	static const int numbers[SIGNALS] = { SIGTERM, SIGINT };

	for (unsigned i = 0; i < SIGNALS; i++) {
		int r = io_signal_watch(fiber_io(f), numbers[i], on_signal, d, &d->signals[i]);

		if (r < 0)
			return fiber_fail(f, r, "signals cannot be watched");
	}
	return 0;
}

static void print_line(const struct daemon *d, const char *what, const struct io_addr *addr)
{
	char text[IO_ADDR_TEXT_MAX], line[LINE_SIZE];

	snprintf(line, sizeof(line), "%s %s", what, io_addr_print(addr, text));
	if (d->opts->print)
		d->opts->print(line);
}

static int tls_open(struct fiber *f, struct daemon *d)
{
	const struct daemon_opts *opts = d->opts;
	const struct rpc_tls_files files = { .ca = opts->tls_ca,
					     .cert = opts->tls_cert,
					     .key = opts->tls_key };
	int r = opts->tls_cert ? rpc_tls_new(f, &files, true, &d->tls) : 0;

	if (r == 0 && opts->registrar_tls)
		r = rpc_tls_new(f, &files, false, &d->tls_client);
	return r;
}

static int serve(struct fiber *f, struct daemon *d)
{
	const struct rpc_server_opts opts = { .drain_ns = DRAIN_NS, .tls = d->tls };
	struct io_addr addr, replicas, nexuses;
	int r = rpc_server_new(f, &opts, &d->server);

	if (r == 0)
		r = services_add(f, d->server, d->engine);
	if (r < 0)
		return r;
	do
		r = rpc_server_listen(f, d->server, &d->opts->grpc, &addr);
	while (engine_wait_busy(f, d->engine, r));
	if (r < 0)
		return r;
	engine_addrs(d->engine, &replicas, &nexuses);
	snprintf(d->endpoint, sizeof(d->endpoint), "%s:%u", d->opts->engine.host, addr.port);
	engine_set_endpoint(d->engine, d->endpoint);
	print_line(d, "grpc", &addr);
	print_line(d, "replicas", &replicas);
	print_line(d, "nexuses", &nexuses);
	if (d->opts->metrics.family) {
		do
			r = metrics_start(f, d->engine, d->server, &d->opts->metrics, &addr,
					  &d->metrics);
		while (engine_wait_busy(f, d->engine, r));
		if (r < 0)
			return r;
		print_line(d, "metrics", &addr);
	}
	if (d->opts->registrar)
		r = registration_start(f, d->engine, d->opts->registrar, d->tls_client, d->endpoint,
				       &d->registration);
	return r;
}

static int start(struct fiber *f, struct daemon *d)
{
	int r = watch_signals(f, d);

	if (r == 0)
		r = tls_open(f, d);
	if (r == 0)
		r = engine_open(f, &d->opts->engine, &d->engine);
	return r < 0 ? r : serve(f, d);
}

/* ---- stop ------------------------------------------------------------------------------------------------ */

static void stop(struct fiber *f, struct daemon *d)
{
	if (d->opts->give_up)
		timer_start(fiber_reactor(f), &d->patience, DAEMON_STOP_NS, patience_lost);
	if (d->registration)
		registration_stop(f, d->registration);
	if (d->metrics)
		metrics_stop(f, d->metrics);
	if (d->server)
		rpc_server_free(f, d->server);
	if (d->tls)
		rpc_tls_free(d->tls);
	if (d->tls_client)
		rpc_tls_free(d->tls_client);
	if (d->engine)
		engine_close(f, d->engine);
	for (unsigned i = 0; i < SIGNALS; i++)
		if (d->signals[i])
			io_signal_free(d->signals[i]);
	timer_stop(&d->patience);
}

static int run(struct fiber *f, struct daemon *d)
{
	struct err why;
	int r = start(f, d);

	if (r == 0) {
		tell_manager(d, "READY=1");
		if (d->opts->print)
			d->opts->print("ready");
		event_wait_always(f, &d->over);
		tell_manager(d, "STOPPING=1");
		if (d->opts->engine.log)
			log_info(d->opts->engine.log, "stopping");
	}
	why = *fiber_err(f);
	fiber_clear(f);
	stop(f, d);
	*fiber_err(f) = why;
	return r;
}

int daemon_main(struct fiber *f, void *arg)
{
	struct daemon *d = mem_new(fiber_io(f), sizeof(*d));
	int r;

	if (!d)
		return fiber_fail(f, -ENOMEM, "no memory");
	d->opts = arg;
	event_init(&d->over);
	timer_init(&d->patience);
	r = run(f, d);
	mem_free(d);
	return r;
}
