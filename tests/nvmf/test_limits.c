// SPDX-License-Identifier: Apache-2.0
/*
 * Limits of the target (docs: safety B.13): those who connect and do not go on cost little and
 * are dropped, and who behaves is never refused, however many queues it has.
 *
 * NVMF_ALL=1: 10,000 of the former, 128 queues on each of 4 subsystems, 1,000 namespaces, 256
 * hosts; else a tenth.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "unit/unit.h"

#include "nvmf/host.h"
#include "nvmf/target.h"

#define SOURCES	     170u
#define RSS_GROWTH   (UINT64_C(64) << 20)
#define DROP_MS	     60000
#define SUBSYSTEMS   4u
#define QUEUES_EACH  128u
#define FILES_WANTED 30000u
#define IDLE_SECONDS 10u

struct slow {
	struct raw raw;
	char source[16];
	bool dropped;
};

struct bench {
	struct target target;
	struct host good;
	uint64_t rounds;
};

static unsigned scaled(unsigned all)
{
	return getenv("NVMF_ALL") ? all : all / 10;
}

/* With sanitizers memory is no measure. */
static bool memory_counts(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return false;
#else
	return true;
#endif
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void start_target(struct bench *bench, const char *const *args)
{
	int r = args ? target_start_bare(&bench->target, args) : target_start(&bench->target, NULL);

	if (r < 0)
		fail_msg("no target: %s", strerror(-r));
}

static void open_good(struct bench *bench)
{
	struct host_opts opts = { .number = 99, .queues = 1 };

	opts.port = bench->target.port;
	opts.subnqn = bench->target.nqn;
	if (host_open(&bench->good, &opts) < 0)
		fail_msg("the good host: %s", bench->good.why);
}

static void good_goes_on(struct bench *bench)
{
	uint8_t out[8 * TARGET_NS1_BLOCK], in[sizeof(out)];

	memset(out, (int)(++bench->rounds & 0xff), sizeof(out));
	if (host_write(&bench->good, 0, 1, 0, 8, TARGET_NS1_BLOCK, out) < 0 ||
	    host_read(&bench->good, 0, 1, 0, 8, TARGET_NS1_BLOCK, in) < 0)
		fail_msg("the good host: %s", bench->good.why);
	assert_memory_equal(in, out, sizeof(in));
}

/* What a slow one sends before it falls silent: nothing, a part, a handshake, a part of Connect. */
static void slow_begin(struct slow *slow, unsigned i)
{
	static const uint8_t capsule[] = { NVMETCP_CMD, 0, NVMETCP_CMD_BYTES, 0,
					   NVMETCP_CMD_BYTES };
	static const uint8_t icreq[] = { NVMETCP_ICREQ, 0, NVMETCP_IC_BYTES, 0, NVMETCP_IC_BYTES };

	slow->raw.wait_ms = 2000;
	switch (i % 4) {
	case 1:
		slow->dropped = raw_send(&slow->raw, icreq, sizeof(icreq)) < 0;
		break;
	case 2:
		slow->dropped = raw_hello(&slow->raw) < 0;
		break;
	case 3:
		slow->dropped = raw_hello(&slow->raw) < 0 ||
				raw_send(&slow->raw, capsule, sizeof(capsule)) < 0;
		break;
	default:
		break;
	}
}

static unsigned slow_open(struct bench *bench, struct slow *slows, unsigned count)
{
	unsigned refused = 0;

	for (unsigned i = 0; i < count; i++) {
		struct slow *slow = &slows[i];

		snprintf(slow->source, sizeof(slow->source), "127.0.1.%u", 1 + i % SOURCES);
		raw_init(&slow->raw, bench->target.port);
		slow->raw.source = slow->source;
		slow->dropped = raw_open(&slow->raw) < 0;
		if (!slow->dropped) {
			free(slow->raw.data); /* 10,000 of these are too many */
			slow->raw.data = NULL;
			slow_begin(slow, i);
		}
		refused += slow->dropped;
		if (i % 100 == 0)
			good_goes_on(bench);
	}
	return refused;
}

/* Some drip on, a byte at a time: that restarts no clock. */
static unsigned slow_look(struct slow *slows, unsigned count)
{
	unsigned left = 0;

	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = 0;
		ssize_t n;

		if (slows[i].dropped)
			continue;
		if (i % 4 == 1 && raw_send(&slows[i].raw, &byte, 1) < 0) {
			slows[i].dropped = true;
			continue;
		}
		n = recv(slows[i].raw.fd, &byte, 1, MSG_DONTWAIT);
		slows[i].dropped = n == 0 || (n < 0 && errno != EAGAIN);
		left += !slows[i].dropped;
	}
	return left;
}

static void slow_hosts_are_dropped_and_cost_little(void **state)
{
	unsigned count = scaled(10000), refused, left;
	struct slow *slows = calloc(count, sizeof(*slows));
	struct bench bench = { 0 };
	uint64_t before, most = 0;
	int64_t begun;

	(void)state;
	start_target(&bench, NULL);
	open_good(&bench);
	good_goes_on(&bench);
	before = target_rss(&bench.target);
	begun = now_ms();
	refused = slow_open(&bench, slows, count);
	do {
		most = max_u64(most, target_rss(&bench.target));
		good_goes_on(&bench);
		usleep(200000);
		left = slow_look(slows, count);
	} while (left > 0 && now_ms() - begun < DROP_MS);
	print_message(
		"# %u slow connections from %u addresses, %u refused at once, %u left after %lld ms; "
		"RSS %llu KiB, at most %llu KiB more\n",
		count, SOURCES, refused, left, (long long)(now_ms() - begun),
		(unsigned long long)before >> 10, (unsigned long long)(most - before) >> 10);
	assert_int_equal(left, 0);
	if (memory_counts())
		assert_true(most - before < RSS_GROWTH);
	for (unsigned i = 0; i < count; i++)
		raw_close(&slows[i].raw);
	free(slows);
	good_goes_on(&bench);
	host_close(&bench.good);
	assert_int_equal(target_stop(&bench.target), 0);
}

/* A host that has a command half sent, and one whose data do not come, are dropped. */
static void half_a_pdu_of_a_connected_host_ends_in_time(void **state)
{
	static const uint8_t capsule[] = { NVMETCP_CMD, 0, NVMETCP_CMD_BYTES, 0,
					   NVMETCP_CMD_BYTES };
	struct host_opts opts = { .number = 1, .queues = 1 };
	struct bench bench = { 0 };
	struct host host;

	(void)state;
	start_target(&bench, NULL);
	opts.port = bench.target.port;
	opts.subnqn = bench.target.nqn;
	open_good(&bench);
	assert_int_equal(host_open(&host, &opts), 0);
	assert_int_equal(raw_send(&host.io[0], capsule, sizeof(capsule)), 0);
	host.io[0].wait_ms = DROP_MS;
	if (raw_wait_closed(&host.io[0]) < 0)
		fail_msg("%s", host.io[0].why);
	host_close(&host);
	good_goes_on(&bench);
	host_close(&bench.good);
	assert_int_equal(target_stop(&bench.target), 0);
}

static void many_queues_are_never_refused(void **state)
{
	unsigned queues = scaled(QUEUES_EACH);
	const char *args[SUBSYSTEMS * 4 + 1];
	char nqns[SUBSYSTEMS][64], uris[SUBSYSTEMS][64];
	struct host hosts[SUBSYSTEMS];
	struct bench bench = { 0 };
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < SUBSYSTEMS; i++) {
		snprintf(nqns[i], sizeof(nqns[i]), "nqn.2026-01.io.mayastor:many%u", i);
		snprintf(uris[i], sizeof(uris[i]), "malloc:///many%u?size_mb=16", i);
		args[n++] = "--nqn";
		args[n++] = nqns[i];
		args[n++] = "--ns";
		args[n++] = uris[i];
	}
	args[n] = NULL;
	start_target(&bench, args);
	for (unsigned i = 0; i < SUBSYSTEMS; i++) {
		struct host_opts opts = { .number = 1, .subnqn = nqns[i], .queues = queues };

		opts.port = bench.target.port;
		if (host_open(&hosts[i], &opts) < 0)
			fail_msg("subsystem %u: %s", i, hosts[i].why);
	}
	for (unsigned i = 0; i < SUBSYSTEMS; i++) {
		uint8_t block[TARGET_NS1_BLOCK];

		for (unsigned q = 0; q < queues; q++)
			if (host_read(&hosts[i], q, 1, q, 1, TARGET_NS1_BLOCK, block) < 0)
				fail_msg("queue %u of subsystem %u: %s", q, i, hosts[i].why);
	}
	print_message("# %u queues on each of %u subsystems: RSS %llu KiB\n", queues, SUBSYSTEMS,
		      (unsigned long long)target_rss(&bench.target) >> 10);
	for (unsigned i = 0; i < SUBSYSTEMS; i++)
		host_close(&hosts[i]);
	assert_int_equal(target_stop(&bench.target), 0);
}

static void many_namespaces_and_hosts(void **state)
{
	unsigned spaces = scaled(1000), count = scaled(256);
	const char **args = calloc(2 * spaces + 3, sizeof(*args));
	char(*uris)[64] = calloc(spaces, sizeof(*uris));
	struct host *hosts = calloc(count, sizeof(*hosts));
	struct bench bench = { 0 };
	uint64_t alone;

	(void)state;
	args[0] = "--nqn";
	args[1] = TARGET_NQN;
	for (unsigned i = 0; i < spaces; i++) {
		snprintf(uris[i], sizeof(uris[i]), "malloc:///many%u?size_mb=16", i);
		args[2 + 2 * i] = "--ns";
		args[3 + 2 * i] = uris[i];
	}
	start_target(&bench, args);
	alone = target_rss(&bench.target);
	for (unsigned i = 0; i < count; i++) {
		struct host_opts opts = { .number = i + 1, .queues = 1 };
		uint8_t block[TARGET_NS1_BLOCK];

		opts.port = bench.target.port;
		opts.subnqn = bench.target.nqn;
		if (host_open(&hosts[i], &opts) < 0)
			fail_msg("host %u: %s", i, hosts[i].why);
		if (host_read(&hosts[i], 0, 1 + i % spaces, 0, 1, TARGET_NS1_BLOCK, block) < 0)
			fail_msg("host %u: %s", i, hosts[i].why);
		free(hosts[i].admin.data); /* ours, not the target's */
		free(hosts[i].io[0].data);
		hosts[i].admin.data = hosts[i].io[0].data = NULL;
	}
	print_message("# %u namespaces: RSS %llu KiB; and %u hosts connected: %llu KiB\n", spaces,
		      (unsigned long long)alone >> 10, count,
		      (unsigned long long)target_rss(&bench.target) >> 10);
	for (unsigned i = 0; i < count; i++)
		host_close(&hosts[i]);
	assert_int_equal(target_stop(&bench.target), 0);
	free(hosts);
	free(uris);
	free(args);
}

static void ten_idle_hosts_cost_nothing(void **state)
{
	struct host hosts[10];
	struct bench bench = { 0 };
	uint64_t before, used;

	(void)state;
	if (!getenv("NVMF_ALL")) {
		print_message("skip: takes %u s and a quiet machine\n", IDLE_SECONDS);
		skip();
	}
	start_target(&bench, NULL);
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++) {
		struct host_opts opts = { .number = i + 1, .queues = 2, .kato_ms = 60000 };

		opts.port = bench.target.port;
		opts.subnqn = bench.target.nqn;
		if (host_open(&hosts[i], &opts) < 0)
			fail_msg("host %u: %s", i, hosts[i].why);
	}
	sleep(1);
	before = target_cpu_ms(&bench.target);
	sleep(IDLE_SECONDS);
	used = target_cpu_ms(&bench.target) - before;
	print_message("# 10 idle hosts: %llu ms of CPU in %u s, RSS %llu KiB\n",
		      (unsigned long long)used, IDLE_SECONDS,
		      (unsigned long long)target_rss(&bench.target) >> 10);
	assert_true(used * 200 <= IDLE_SECONDS * 1000); /* 0.5 % */
	for (unsigned i = 0; i < ARRAY_LEN(hosts); i++)
		host_close(&hosts[i]);
	assert_int_equal(target_stop(&bench.target), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_hosts_are_dropped_and_cost_little),
		cmocka_unit_test(half_a_pdu_of_a_connected_host_ends_in_time),
		cmocka_unit_test(many_queues_are_never_refused),
		cmocka_unit_test(many_namespaces_and_hosts),
		cmocka_unit_test(ten_idle_hosts_cost_nothing),
	};
	struct rlimit files = { FILES_WANTED, FILES_WANTED };

	if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
