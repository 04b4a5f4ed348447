// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a controller: connect and its refusals, reset, shutdown, keep alive, events,
 * abort, and that a host that comes again takes the place of what it was before (docs: safety
 * B.5).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit/unit.h"

#include "base/le.h"
#include "nvmf/host.h"
#include "nvmf/target.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_list.h"

#define ALLOWED "nqn.2014-08.org.nvmexpress:uuid:5e7a0000-0000-4000-8000-000000000a11"

static void start_with(struct target *target, const char *const *args)
{
	int r = target_start(target, args);

	if (r < 0)
		fail_msg("no target: %s", strerror(-r));
}

static struct host_opts opts_of(const struct target *target, unsigned number, unsigned queues)
{
	return (struct host_opts){
		.port = target->port,
		.subnqn = target->nqn,
		.number = number,
		.queues = queues,
	};
}

static void open_host(const struct target *target, struct host *host, unsigned number,
		      unsigned queues)
{
	struct host_opts opts = opts_of(target, number, queues);

	if (host_open(host, &opts) < 0)
		fail_msg("%s", host->why);
}

/* Connects an admin queue; the status. */
static uint16_t try_connect(const struct target *target, const struct raw_join *join)
{
	struct nvme_cqe cqe;
	struct raw raw;

	raw_init(&raw, target->port);
	if (raw_open(&raw) < 0 || raw_hello(&raw) < 0 || raw_join(&raw, join, &cqe) < 0)
		fail_msg("%s", raw.why);
	raw_close(&raw);
	return cqe.status & NVME_SC_MASK;
}

static struct raw_command admin_of(uint8_t opcode)
{
	return (struct raw_command){ .sqe.opcode = opcode };
}

static void post_event(struct host *host, struct raw_command *event)
{
	*event = admin_of(NVME_ADMIN_ASYNC_EVENT);
	assert_int_equal(raw_post(&host->admin, event), 0);
}

static uint16_t set_feature(struct host *host, uint8_t fid, uint32_t value)
{
	struct nvme_feature feature = { .fid = fid, .value = value };
	struct raw_command command = admin_of(NVME_ADMIN_SET_FEATURES);

	nvme_feature_encode(&feature, &command.sqe);
	assert_int_equal(raw_do(&host->admin, &command), 0);
	return raw_status(&command);
}

static void wait_ms(long ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&time, NULL);
}

static void a_second_admin_queue_of_a_host_ends_the_first(void **state)
{
	struct target *target = *state;
	struct host first, second, other;
	uint8_t block[TARGET_NS1_BLOCK];

	open_host(target, &other, 2, 1);
	open_host(target, &first, 1, 2);
	open_host(target, &second, 1, 2);
	assert_int_equal(raw_wait_closed(&first.admin), 0);
	assert_int_equal(raw_wait_closed(&first.io[0]), 0);
	assert_int_equal(raw_wait_closed(&first.io[1]), 0);
	assert_int_equal(host_read(&second, 1, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	assert_int_equal(host_read(&other, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	host_close(&first);
	host_close(&second);
	host_close(&other);
}

static void two_ports(struct target *target, const char *paths)
{
	const char *const args[] = { "--listen", "127.0.0.1:0", "--paths", paths, NULL };

	start_with(target, args);
	assert_true(target->second_port && target->second_port != target->port);
}

static uint16_t connect_second(const struct target *target, const struct host *host)
{
	struct target second = *target;

	second.port = target->second_port;
	return try_connect(&second, &host->join);
}

/* B.5: through the same port a host takes its own place; through another it is refused ... */
static void another_port_is_refused_while_the_host_is_connected(void **state)
{
	uint8_t block[TARGET_NS1_BLOCK];
	struct host first, other;
	struct target target;

	(void)state;
	two_ports(&target, "one");
	open_host(&target, &first, 1, 1);
	assert_int_equal(connect_second(&target, &first), NVME_CONNECT_BUSY);
	assert_int_equal(host_read(&first, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	first.join.subnqn = NVME_DISCOVERY_NQN; /* discovery is exempt */
	assert_int_equal(connect_second(&target, &first), 0);
	first.join.subnqn = target.nqn;
	open_host(&target, &other, 1, 1);
	assert_int_equal(raw_wait_closed(&first.admin), 0);
	host_close(&other);
	for (unsigned i = 0; i < 100 && connect_second(&target, &first); i++)
		wait_ms(50); /* its end is seen */
	assert_int_equal(connect_second(&target, &first), 0);
	host_close(&first);
	assert_int_equal(target_stop(&target), 0);
}

/* ... unless the subsystem is multipath. */
static void several_paths_live_together(void **state)
{
	uint8_t block[TARGET_NS1_BLOCK];
	struct host first, again;
	struct host_opts opts;
	struct target target;
	struct host second;

	(void)state;
	two_ports(&target, "many");
	open_host(&target, &first, 1, 1);
	opts = opts_of(&target, 1, 1);
	opts.port = target.second_port;
	if (host_open(&second, &opts) < 0)
		fail_msg("%s", second.why);
	assert_int_not_equal(first.admin.cntlid, second.admin.cntlid);
	assert_int_equal(host_read(&first, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	assert_int_equal(host_read(&second, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	open_host(&target, &again, 1, 1); /* takes the place of the first, and of no other */
	assert_int_equal(raw_wait_closed(&first.admin), 0);
	assert_int_equal(host_read(&second, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	host_close(&first);
	host_close(&second);
	host_close(&again);
	assert_int_equal(target_stop(&target), 0);
}

/* Bytes of the old association never land after the new one is there. */
static void data_of_a_past_association_do_not_land(void **state)
{
	struct target *target = *state;
	uint8_t old[8192], new[8192], pdu[8192 + NVMETCP_HEAD_MAX];
	struct raw_command write = { .bytes = sizeof(old), .out = old };
	struct nvme_rw rw = { .lba = 64, .blocks = 16 };
	struct host first, second;
	struct nvmetcp_pdu r2t;

	memset(old, 'o', sizeof(old));
	memset(new, 'n', sizeof(new));
	open_host(target, &first, 1, 1);
	write.sqe.opcode = NVME_IO_WRITE;
	write.sqe.nsid = 1;
	nvme_rw_encode(&rw, &write.sqe);
	assert_int_equal(raw_post(&first.io[0], &write), 0);
	assert_int_equal(raw_recv(&first.io[0], &r2t), 0);
	assert_int_equal(r2t.type, NVMETCP_R2T);
	open_host(target, &second, 1, 1);
	assert_int_equal(host_write(&second, 0, 1, 64, 16, TARGET_NS1_BLOCK, new), 0);
	/* late: to a socket that may be closed already */
	if (raw_send(&first.io[0], pdu, raw_h2c(&first.io[0], &r2t.data, true, old, pdu)) == 0)
		assert_int_equal(raw_wait_closed(&first.io[0]), 0);
	assert_int_equal(host_read(&second, 0, 1, 64, 16, TARGET_NS1_BLOCK, old), 0);
	assert_memory_equal(old, new, sizeof(new));
	host_close(&first);
	host_close(&second);
}

static void disabling_ends_queues_and_enabling_begins_anew(void **state)
{
	struct target *target = *state;
	uint8_t block[TARGET_NS1_BLOCK];
	struct host host;
	uint64_t value = 1;

	open_host(target, &host, 1, 1);
	assert_int_equal(host_property_set(&host, NVME_PROP_CC, 4, 0x460000), 0);
	for (unsigned i = 0; i < 1000 && value & NVME_CSTS_READY; i++)
		assert_int_equal(host_property_get(&host, NVME_PROP_CSTS, 4, &value), 0);
	assert_false(value & NVME_CSTS_READY);
	assert_int_equal(raw_wait_closed(&host.io[0]), 0);
	raw_close(&host.io[0]);
	assert_int_equal(host_enable(&host), 0);
	if (host_open_io(&host, 0) < 0)
		fail_msg("%s", host.why);
	assert_int_equal(host_read(&host, 0, 1, 0, 1, TARGET_NS1_BLOCK, block), 0);
	host_close(&host);
}

static void shutdown_is_told_when_it_is_done(void **state)
{
	struct target *target = *state;
	struct host host;
	uint64_t value = 0;

	open_host(target, &host, 1, 1);
	assert_int_equal(host_property_set(&host, NVME_PROP_CC, 4, 0x464001), 0);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(host_property_get(&host, NVME_PROP_CSTS, 4, &value), 0);
		if ((value & NVME_CSTS_SHUTDOWN_MASK) == NVME_CSTS_SHUTDOWN_DONE)
			break;
	}
	assert_int_equal(value & NVME_CSTS_SHUTDOWN_MASK, NVME_CSTS_SHUTDOWN_DONE);
	host_close(&host);
}

static void a_silent_host_is_given_up(void **state)
{
	struct target *target = *state;
	struct host_opts opts = opts_of(target, 1, 1);
	struct host host;

	opts.kato_ms = 1000;
	assert_int_equal(host_open(&host, &opts), 0);
	assert_int_equal(raw_wait_closed(&host.admin), 0);
	assert_int_equal(raw_wait_closed(&host.io[0]), 0);
	host_close(&host);
}

static void a_host_that_says_it_lives_is_kept(void **state)
{
	struct target *target = *state;
	struct host_opts opts = opts_of(target, 1, 0);
	struct raw_command alive;
	struct host host;

	if (getenv("TEST_SLOW")) {
		print_message("skip: depends on time\n");
		skip();
	}
	opts.kato_ms = 3000;
	assert_int_equal(host_open(&host, &opts), 0);
	for (unsigned i = 0; i < 25; i++) {
		wait_ms(200);
		alive = admin_of(NVME_ADMIN_KEEP_ALIVE);
		if (raw_do(&host.admin, &alive) < 0)
			fail_msg("%s", host.why);
		assert_int_equal(alive.cqe.status, 0);
	}
	host_close(&host);
}

static void changes_of_namespaces_are_told_once(void **state)
{
	struct target *target = *state;
	struct nvme_get_log log = { .lid = NVME_LID_CHANGED_NS, .length = NVME_LIST_BYTES };
	static uint8_t page[NVME_LIST_BYTES];
	struct raw_command event;
	struct host host;
	uint16_t status, what;
	uint8_t lid;

	if (target->in < 0)
		skip();
	open_host(target, &host, 1, 0);
	assert_int_equal(set_feature(&host, NVME_FID_ASYNC_EVENT, NVME_AEC_NS_ATTRIBUTE), 0);
	post_event(&host, &event);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(
			target_tell(target, i ? "ns add malloc:///raw2?size_mb=16&blk_size=4096 2" :
						"ns remove 2"));
		if (raw_wait(&host.admin, &event) < 0)
			fail_msg("%s", host.why);
		assert_int_equal(event.cqe.status, 0);
		nvme_event_decode((uint32_t)event.cqe.result, &what, &lid);
		assert_int_equal(what, NVME_EVENT_NS_ATTRIBUTE);
		assert_int_equal(lid, NVME_LID_CHANGED_NS);
		assert_int_equal(host_log(&host, &log, NVME_NSID_ALL, page, &status), 0);
		assert_int_equal(status, 0);
		assert_int_equal(nvme_nsids_get(page, sizeof(page), 0), 2);
		assert_int_equal(nvme_nsids_get(page, sizeof(page), 1), 0);
		post_event(&host, &event);
		assert_int_equal(host_log(&host, &log, NVME_NSID_ALL, page, &status), 0);
		assert_int_equal(nvme_nsids_get(page, sizeof(page), 0), 0); /* it was read */
		assert_false(event.done);
	}
	host_close(&host);
}

#define UNREAD	      100u /* fit in no socket buffer: 12.5 MiB */
#define UNREAD_BLOCKS 256u

static void fill_blocks(struct host *host, uint8_t byte)
{
	static uint8_t bytes[UNREAD_BLOCKS * TARGET_NS1_BLOCK];

	memset(bytes, byte, sizeof(bytes));
	for (unsigned i = 0; i < UNREAD; i++)
		assert_int_equal(host_write(host, 0, 1, i * UNREAD_BLOCKS, UNREAD_BLOCKS,
					    TARGET_NS1_BLOCK, bytes),
				 0);
}

static struct raw_command read_of(unsigned i)
{
	struct nvme_rw rw = { .lba = i * UNREAD_BLOCKS, .blocks = UNREAD_BLOCKS };
	struct raw_command read = { .bytes = UNREAD_BLOCKS * TARGET_NS1_BLOCK };

	read.in = malloc(read.bytes);
	read.sqe.opcode = NVME_IO_READ;
	read.sqe.nsid = 1;
	nvme_rw_encode(&rw, &read.sqe);
	return read;
}

/* Each block is one that was there at some time. */
static void check_unread(const struct raw_command *read)
{
	for (uint32_t at = 0; at < read->bytes && read->cqe.status == 0; at += TARGET_NS1_BLOCK) {
		const uint8_t *block = read->in + at;

		assert_true(block[0] == 'o' || block[0] == 'n' || block[0] == 0);
		assert_memory_equal(block, block + 1, TARGET_NS1_BLOCK - 1);
	}
}

static void unmap_all(struct host *host)
{
	uint8_t bytes[NVME_DSM_RANGE_BYTES];
	struct raw_command unmap = { .bytes = sizeof(bytes), .out = bytes };
	struct nvme_dsm_range range = { 0, TARGET_NS_BYTES / TARGET_NS1_BLOCK, 0 };

	nvme_dsm_range_encode(&range, bytes);
	unmap.sqe.opcode = NVME_IO_DATASET_MANAGEMENT;
	unmap.sqe.nsid = 1;
	nvme_dsm_encode(1, NVME_DSM_DEALLOCATE, &unmap.sqe);
	assert_int_equal(raw_do(&host->io[0], &unmap), 0);
	assert_int_equal(unmap.cqe.status, 0);
}

/* What a host leaves on its socket is overwritten, deallocated and removed meanwhile. */
static void what_lies_unread_stays_as_it_was(void **state)
{
	static struct raw_command reads[UNREAD];
	struct target *target = *state;
	struct host slow, other;

	if (target->in < 0)
		skip();
	open_host(target, &slow, 1, 1);
	open_host(target, &other, 2, 1);
	fill_blocks(&other, 'o');
	for (unsigned i = 0; i < UNREAD; i++) {
		reads[i] = read_of(i);
		assert_int_equal(raw_post(&slow.io[0], &reads[i]), 0);
	}
	assert_int_equal(raw_wait(&slow.io[0], &reads[0]), 0);
	assert_int_equal(reads[0].in[0], 'o');
	fill_blocks(&other, 'n');
	unmap_all(&other);
	assert_true(target_tell(target, "ns remove 1"));
	assert_true(target_tell(target, "ns add malloc:///raw1?size_mb=16&blk_size=512 1"));
	for (unsigned i = 0; i < UNREAD; i++) {
		if (raw_wait(&slow.io[0], &reads[i]) < 0)
			fail_msg("%s", slow.io[0].why);
		check_unread(&reads[i]); /* those that waited for memory may have failed */
		free(reads[i].in);
	}
	host_close(&slow);
	host_close(&other);
}

static uint16_t read_status(struct host *host, uint32_t nsid)
{
	struct nvme_rw rw = { .blocks = 1 };
	uint8_t block[TARGET_NS2_BLOCK];
	struct raw_command read = { .in = block };

	read.bytes = nsid == 1 ? TARGET_NS1_BLOCK : TARGET_NS2_BLOCK;
	read.sqe.opcode = NVME_IO_READ;
	read.sqe.nsid = nsid;
	nvme_rw_encode(&rw, &read.sqe);
	if (raw_do(&host->io[0], &read) < 0)
		fail_msg("%s", host->io[0].why);
	return raw_status(&read);
}

/* The state of the first group in the log page. */
static uint8_t ana_state(struct host *host, uint64_t *ret_count)
{
	struct nvme_get_log log = { .lid = NVME_LID_ANA, .length = 64 };
	uint8_t page[64];
	uint16_t status;

	assert_int_equal(host_log(host, &log, NVME_NSID_ALL, page, &status), 0);
	assert_int_equal(status, 0);
	*ret_count = le64_get(page);
	assert_true(le16_get(page + 8) >= 1);
	return page[16 + 16] & 0xf;
}

static void changes_of_access_are_told_and_obeyed(void **state)
{
	static const struct {
		const char *command;
		uint8_t state;
		uint16_t status;
	} steps[] = {
		{ "ana 1 inaccessible", NVME_ANA_STATE_INACCESSIBLE, NVME_ANA_INACCESSIBLE },
		{ "ana 1 non-optimized", NVME_ANA_NON_OPTIMIZED, NVME_SUCCESS },
		{ "ana 1 persistent-loss", NVME_ANA_STATE_PERSISTENT_LOSS,
		  NVME_ANA_PERSISTENT_LOSS },
		{ "ana 1 optimized", NVME_ANA_OPTIMIZED, NVME_SUCCESS },
	};
	struct target *target = *state;
	struct raw_command event;
	uint64_t count, before;
	struct host host;
	uint16_t what;
	uint8_t lid;

	if (target->in < 0)
		skip();
	open_host(target, &host, 1, 1);
	assert_int_equal(set_feature(&host, NVME_FID_ASYNC_EVENT, NVME_AEC_ANA), 0);
	assert_int_equal(ana_state(&host, &before), NVME_ANA_OPTIMIZED);
	for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
		post_event(&host, &event);
		assert_true(target_tell(target, steps[i].command));
		if (raw_wait(&host.admin, &event) < 0)
			fail_msg("%s", host.why);
		nvme_event_decode((uint32_t)event.cqe.result, &what, &lid);
		assert_int_equal(what, NVME_EVENT_ANA);
		assert_int_equal(lid, NVME_LID_ANA);
		assert_int_equal(ana_state(&host, &count), steps[i].state);
		assert_true(count > before);
		before = count;
		assert_int_equal(read_status(&host, 1), steps[i].status);
	}
	host_close(&host);
}

static void a_paused_namespace_holds_its_commands_and_no_others(void **state)
{
	struct target *target = *state;
	uint8_t block[TARGET_NS1_BLOCK];
	struct raw_command held[2], abort = admin_of(NVME_ADMIN_ABORT);
	struct nvme_rw rw = { .blocks = 1 };
	struct host host;

	if (target->in < 0)
		skip();
	open_host(target, &host, 1, 1);
	assert_true(target_tell(target, "ns pause 1"));
	for (unsigned i = 0; i < 2; i++) {
		held[i] = (struct raw_command){ .bytes = sizeof(block), .in = block };
		held[i].sqe.opcode = NVME_IO_READ;
		held[i].sqe.nsid = 1;
		nvme_rw_encode(&rw, &held[i].sqe);
		assert_int_equal(raw_post(&host.io[0], &held[i]), 0);
	}
	assert_int_equal(read_status(&host, 2), NVME_SUCCESS);
	assert_false(held[0].done || held[1].done);
	abort.sqe.cdw10 = (uint32_t)held[0].sqe.cid << 16 | 1;
	assert_int_equal(raw_do(&host.admin, &abort), 0);
	assert_int_equal(abort.cqe.result & 1, 0);
	assert_int_equal(raw_wait(&host.io[0], &held[0]), 0);
	assert_int_equal(raw_status(&held[0]), NVME_ABORT_REQUESTED);
	assert_false(held[1].done);
	assert_true(target_tell(target, "ns resume 1"));
	assert_int_equal(raw_wait(&host.io[0], &held[1]), 0);
	assert_int_equal(held[1].cqe.status, NVME_SUCCESS);
	host_close(&host);
}

static void events_have_a_limit_and_can_be_aborted(void **state)
{
	struct target *target = *state;
	struct raw_command events[257], abort = admin_of(NVME_ADMIN_ABORT);
	struct host host;
	unsigned limit;

	open_host(target, &host, 1, 0);
	limit = host.ctrl.aerl + 1u;
	for (unsigned i = 0; i <= limit; i++)
		post_event(&host, &events[i]);
	assert_int_equal(raw_wait(&host.admin, &events[limit]), 0);
	assert_int_equal(raw_status(&events[limit]), NVME_ASYNC_EVENT_LIMIT_EXCEEDED);
	assert_false(events[0].done);
	abort.sqe.cdw10 = (uint32_t)events[0].sqe.cid << 16;
	assert_int_equal(raw_do(&host.admin, &abort), 0);
	assert_int_equal(abort.cqe.status, 0);
	assert_int_equal(abort.cqe.result & 1, 0);
	assert_int_equal(raw_wait(&host.admin, &events[0]), 0);
	assert_int_equal(raw_status(&events[0]), NVME_ABORT_REQUESTED);
	assert_int_equal(raw_do(&host.admin, &abort), 0);
	assert_int_equal(abort.cqe.result & 1, 1); /* it is gone */
	host_close(&host);
}

/* What Connect of an I/O queue says, on a connection of its own. */
static uint16_t try_queue(const struct target *target, const struct host *host, uint16_t qid,
			  uint16_t cntlid, unsigned other)
{
	struct raw_join join = host->join;

	join.qid = qid;
	join.cntlid = cntlid;
	join.host_id[15] ^= (uint8_t)other;
	return try_connect(target, &join);
}

static void queues_belong_to_their_controller(void **state)
{
	struct target *target = *state;
	struct host host, other;
	uint16_t cntlid;

	open_host(target, &host, 1, 1);
	open_host(target, &other, 2, 0);
	cntlid = host.admin.cntlid;
	assert_int_equal(try_queue(target, &host, 1, cntlid, 0), NVME_COMMAND_SEQUENCE_ERROR);
	assert_int_equal(try_queue(target, &host, 2, cntlid, 1), NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(try_queue(target, &host, 2, 0xffff, 0), NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(try_queue(target, &host, 2, 0x7777, 0), NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(try_queue(target, &host, 2, other.admin.cntlid, 0),
			 NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(try_queue(target, &host, 60000, cntlid, 0), NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(set_feature(&host, NVME_FID_QUEUES, 3), NVME_COMMAND_SEQUENCE_ERROR);
	host_close(&host);
	host_close(&other);
}

static void a_controller_that_is_not_enabled_takes_no_queues(void **state)
{
	struct target *target = *state;
	struct host_opts opts = opts_of(target, 1, 0);
	struct host host;

	host_init(&host, &opts);
	assert_int_equal(host_open_admin(&host), 0);
	assert_int_equal(try_queue(target, &host, 1, host.admin.cntlid, 0),
			 NVME_COMMAND_SEQUENCE_ERROR);
	host_close(&host);
}

static void only_allowed_hosts_connect_and_discover(void **state)
{
	static const char *const args[] = { "--nqn", TARGET_NQN, "--allow-host",
					    ALLOWED, "--ns",	 "malloc:///raw1?size_mb=16",
					    NULL };
	struct nvme_get_log log = { .lid = NVME_LID_DISCOVERY, .length = 4096 };
	struct host_opts opts = { .number = 1 };
	static uint8_t page[4096];
	struct target target;
	struct host host;

	(void)state;
	assert_int_equal(target_start_bare(&target, args), 0);
	for (unsigned allowed = 0; allowed < 2; allowed++) {
		uint16_t status;
		unsigned found = 0;

		opts.port = target.port;
		opts.hostnqn = allowed ? ALLOWED : NULL;
		opts.subnqn = TARGET_NQN;
		host_init(&host, &opts);
		assert_int_equal(try_connect(&target, &host.join),
				 allowed ? NVME_SUCCESS : NVME_CONNECT_INVALID_HOST);
		opts.subnqn = NVME_DISCOVERY_NQN;
		opts.number = 7;
		assert_int_equal(host_open(&host, &opts), 0);
		assert_int_equal(host_log(&host, &log, 0, page, &status), 0);
		assert_int_equal(status, 0);
		for (unsigned i = 0; i < le64_get(page + 8) && i < 3; i++)
			found += strcmp((char *)page + 1024 * (i + 1) + 256, TARGET_NQN) == 0;
		assert_int_equal(found, allowed);
		host_close(&host);
	}
	assert_int_equal(target_stop(&target), 0);
}

static int start(void **state)
{
	static struct target target;

	start_with(&target, NULL);
	*state = &target;
	return 0;
}

static int stop(void **state)
{
	return target_stop(*state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_second_admin_queue_of_a_host_ends_the_first),
		cmocka_unit_test(another_port_is_refused_while_the_host_is_connected),
		cmocka_unit_test(several_paths_live_together),
		cmocka_unit_test(data_of_a_past_association_do_not_land),
		cmocka_unit_test(disabling_ends_queues_and_enabling_begins_anew),
		cmocka_unit_test(shutdown_is_told_when_it_is_done),
		cmocka_unit_test(a_silent_host_is_given_up),
		cmocka_unit_test(a_host_that_says_it_lives_is_kept),
		cmocka_unit_test(changes_of_namespaces_are_told_once),
		cmocka_unit_test(what_lies_unread_stays_as_it_was),
		cmocka_unit_test(changes_of_access_are_told_and_obeyed),
		cmocka_unit_test(a_paused_namespace_holds_its_commands_and_no_others),
		cmocka_unit_test(events_have_a_limit_and_can_be_aborted),
		cmocka_unit_test(queues_belong_to_their_controller),
		cmocka_unit_test(a_controller_that_is_not_enabled_takes_no_queues),
		cmocka_unit_test(only_allowed_hosts_connect_and_discover),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
