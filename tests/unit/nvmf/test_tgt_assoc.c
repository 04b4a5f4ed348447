// SPDX-License-Identifier: Apache-2.0
/*
 * Associations: one per host, subsystem and port; drained before the next one is answered (N4);
 * keep-alive, reset, shutdown, disconnect.
 */
#include "unit/unit.h"

#include "unit/nvmf/tgt_rig.h"
#include "wire/nvme_resv.h"

/* Bios take 2 s: what drains waits that long. */
#define SLOW_URI "delay:///slow?ns=2000000000&on=malloc:///below?size_mb=16"

static uint64_t now(struct fiber *f)
{
	return io_now(fiber_io(f));
}

static void start_write(struct fiber *f, struct host *io)
{
	struct nvme_sqe sqe = rw_sqe(NVME_IO_WRITE, 0, 8);
	static const uint8_t data[4096] = { 1 };

	host_command(f, io, &sqe, data, sizeof(data));
	assert_int_equal(fiber_sleep(f, 100 * MS_NS), 0);
}

/* ---- the association rule ------------------------------------------------------------- */

static void replaced_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io, next;
	uint64_t start = now(f);

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	host_open(f, rig, 0, &next);
	assert_int_equal(host_connect(f, &next, 0, 32, 0), 0);
	assert_true(now(f) - start >= 1900 * MS_NS); /* the bio has ended */
	assert_int_not_equal(next.cntlid, admin.cntlid);
	host_wait_end(f, &admin);
	host_wait_end(f, &io);
	host_close(&admin);
	host_close(&io);
	host_close(&next);
}

static void new_connect_waits_until_the_older_association_is_drained(void **state)
{
	for (unsigned reactors = 1; reactors <= 3; reactors++)
		rig_run(&(struct rig){
			.body = replaced_body, .uri = SLOW_URI, .reactors = reactors });
}

static void others_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io, other;
	uint64_t start;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	start = now(f);
	host_admin(f, rig, 0, &other, 2, 0);
	assert_true(now(f) - start < 500 * MS_NS);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	host_close(&admin);
	host_close(&io);
	host_close(&other);
}

static void another_host_is_not_waited_for(void **state)
{
	rig_run(&(struct rig){ .body = others_body, .uri = SLOW_URI });
}

static void ports_body(struct fiber *f, struct rig *rig)
{
	struct host first, second;

	host_admin(f, rig, 0, &first, 1, 0);
	host_open(f, rig, 1, &second);
	if (rig->multipath)
		assert_int_equal(host_connect(f, &second, 0, 32, 0), 0);
	else
		assert_int_equal(host_connect(f, &second, 0, 32, 0), NVME_CONNECT_BUSY);
	assert_int_equal(host_csts(f, &first), NVME_CSTS_READY);
	host_close(&first);
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	if (!rig->multipath) /* it is gone now */
		assert_int_equal(host_connect(f, &second, 0, 32, 0), 0);
	host_close(&second);
}

static void another_port_is_refused_unless_multipath(void **state)
{
	rig_run(&(struct rig){ .body = ports_body, .ports = 2 });
	rig_run(&(struct rig){ .body = ports_body, .ports = 2, .multipath = true });
}

static void lost_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	host_close(&admin);
	host_wait_end(f, &io);
	host_close(&io);
}

static void a_lost_admin_queue_ends_its_io_queues(void **state)
{
	rig_run(&(struct rig){ .body = lost_body, .reactors = 2 });
}

/* ---- keep-alive ------------------------------------------------------------------------- */

static void expiry_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io;
	uint64_t ended;

	host_admin(f, rig, 0, &admin, 1, 5000);
	host_io(f, &admin, 0, &io, 1, 16);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fiber_sleep(f, 4 * S_NS), 0);
		assert_int_equal(host_keep_alive(f, &admin), 0);
	}
	ended = host_wait_end(f, &admin);
	assert_in_range(ended, 5000 * MS_NS, 5300 * MS_NS);
	host_wait_end(f, &io);
	host_close(&admin);
	host_close(&io);
}

static void an_association_without_keep_alive_ends(void **state)
{
	rig_run(&(struct rig){ .body = expiry_body });
}

static void short_kato_body(struct fiber *f, struct rig *rig)
{
	struct host admin;
	uint64_t ended;

	host_admin(f, rig, 0, &admin, 1, 1);
	ended = host_wait_end(f, &admin);
	assert_in_range(ended, TGT_KATO_MIN_MS * MS_NS, (TGT_KATO_MIN_MS + 300) * MS_NS);
	host_close(&admin);
	host_admin(f, rig, 0, &admin, 1, 0); /* none */
	assert_int_equal(fiber_sleep(f, 600 * S_NS), 0);
	assert_int_equal(host_csts(f, &admin), NVME_CSTS_READY);
	host_close(&admin);
}

static void the_shortest_keep_alive_is_bounded_and_none_is_none(void **state)
{
	rig_run(&(struct rig){ .body = short_kato_body });
}

/* ---- reset, shutdown, disconnect ------------------------------------------------------------ */

static void reset_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io;
	uint64_t start = now(f);

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	assert_int_equal(host_set_cc(f, &admin, false, 0), 0);
	assert_true(now(f) - start >= 1900 * MS_NS);
	assert_int_equal(host_csts(f, &admin), 0);
	host_wait_end(f, &io);
	host_close(&io);
	assert_int_equal(host_set_cc(f, &admin, true, 0), 0);
	host_io(f, &admin, 0, &io, 1, 16);
	host_close(&io);
	host_close(&admin);
}

static void reset_is_answered_when_io_queues_are_drained(void **state)
{
	rig_run(&(struct rig){ .body = reset_body, .uri = SLOW_URI, .reactors = 2 });
}

static void shutdown_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	assert_int_equal(host_set_cc(f, &admin, true, 1), 0);
	assert_int_equal(host_csts(f, &admin), NVME_CSTS_READY | NVME_CSTS_SHUTDOWN_DONE);
	host_wait_end(f, &io);
	host_close(&io);
	host_close(&admin);
}

static void shutdown_is_done_when_io_queues_are_drained(void **state)
{
	rig_run(&(struct rig){ .body = shutdown_body, .uri = SLOW_URI });
}

static void disconnect_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = { 0 };
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	nvme_disconnect_encode(&sqe);
	host_command(f, &admin, &sqe, NULL, 0);
	assert_int_equal(host_answer(f, &admin, NULL), NVME_INVALID_QUEUE_TYPE);
	host_io(f, &admin, 0, &io, 1, 16);
	host_command(f, &io, &sqe, NULL, 0);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	host_wait_end(f, &io);
	host_close(&io);
	host_io(f, &admin, 0, &io, 1, 16); /* the queue is free again */
	host_close(&io);
	host_close(&admin);
}

static void disconnect_ends_an_io_queue_and_no_admin_queue(void **state)
{
	rig_run(&(struct rig){ .body = disconnect_body });
}

/* ---- a disk that hangs -------------------------------------------------------------------------- */

#define HUNG_URI "delay:///hung?ns=50000000000&on=malloc:///below?size_mb=16"

/* More resets that wait for their bios than commands may run at a time. */
static void hung_resets_body(struct fiber *f, struct rig *rig)
{
	const unsigned count = TGT_CMD_FIBERS_MAX + 6;
	struct host *hosts = mem_new(fiber_io(f), 2 * count * sizeof(*hosts)), other;
	uint64_t start;

	for (unsigned i = 0; i < count; i++) {
		host_admin(f, rig, 0, &hosts[2 * i], (uint8_t)i, 0);
		host_io(f, &hosts[2 * i], 0, &hosts[2 * i + 1], 1, 16);
		start_write(f, &hosts[2 * i + 1]);
	}
	for (unsigned i = 0; i < count; i++)
		host_start_cc(f, &hosts[2 * i], false, 0);
	start = now(f);
	host_admin(f, rig, 0, &other, 200, 0);
	assert_true(now(f) - start < 500 * MS_NS);
	for (unsigned i = 0; i < 2 * count; i++)
		host_close(&hosts[i]);
	host_close(&other);
	mem_free(hosts);
}

static void commands_that_wait_for_a_drain_stop_nobody_else(void **state)
{
	rig_run(&(struct rig){ .body = hung_resets_body, .uri = HUNG_URI });
}

static void resv_send(struct fiber *f, struct host *io, uint8_t opcode,
		      const struct nvme_resv_cmd *resv)
{
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = 1 };
	uint8_t data[16] = { 0 };

	nvme_resv_encode(resv, &sqe, data);
	host_command(f, io, &sqe, data, (uint32_t)nvme_resv_data_bytes(opcode));
}

/* A preempt-and-abort waits for a bio, and more reservation commands than may run wait for it. */
static void hung_resv_body(struct fiber *f, struct rig *rig)
{
	struct host admins[2], ios[2], other;
	uint64_t start;

	for (unsigned i = 0; i < 2; i++) {
		const struct nvme_resv_cmd add = { .action = NVME_RESV_REGISTER, .new_key = i + 1 };

		host_admin(f, rig, 0, &admins[i], (uint8_t)i, 0);
		host_io(f, &admins[i], 0, &ios[i], 1, 256);
		resv_send(f, &ios[i], NVME_IO_RESV_REGISTER, &add);
		assert_int_equal(host_answer(f, &ios[i], NULL), 0);
	}
	start_write(f, &ios[0]);
	for (unsigned i = 0; i < TGT_CMD_FIBERS_MAX + 6; i++) {
		const struct nvme_resv_cmd abort = {
			.action = NVME_RESV_PREEMPT_ABORT,
			.type = NVME_RESV_EXCLUSIVE_ACCESS,
			.key = 2,
			.new_key = 1,
		};

		resv_send(f, &ios[1], NVME_IO_RESV_ACQUIRE, &abort);
	}
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	start = now(f);
	assert_int_equal(host_keep_alive(f, &admins[0]), 0);
	host_admin(f, rig, 0, &other, 200, 0);
	assert_true(now(f) - start < 500 * MS_NS);
	for (unsigned i = 0; i < 2; i++) {
		host_close(&admins[i]);
		host_close(&ios[i]);
	}
	host_close(&other);
}

static void reservations_that_wait_for_a_drain_stop_nobody_else(void **state)
{
	rig_run(&(struct rig){ .body = hung_resv_body, .uri = HUNG_URI });
}

static void given_up_body(struct fiber *f, struct rig *rig)
{
	struct host admin, io, next[8];
	struct tgt_stats stats;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	for (unsigned i = 0; i < 8; i++) {
		host_open(f, rig, 0, &next[i]);
		host_start_connect(f, &next[i], 0, 32, 0);
	}
	assert_int_equal(fiber_sleep(f, 20 * S_NS), 0); /* no deadline of strangers runs */
	assert_int_equal(tgt_stats(f, rig->tgt, &stats), 0);
	assert_int_equal(stats.connections, 9); /* theirs, and the one whose bio is under way */
	for (unsigned i = 1; i < 8; i++)
		host_close(&next[i]);
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	assert_int_equal(tgt_stats(f, rig->tgt, &stats), 0);
	assert_int_equal(stats.connections, 2);
	assert_int_equal(host_answer(f, &next[0], NULL), 0);
	host_close(&next[0]);
	host_close(&admin);
	host_close(&io);
}

static void a_connect_that_waits_ends_with_its_connection(void **state)
{
	rig_run(&(struct rig){ .body = given_up_body, .uri = HUNG_URI, .reactors = 2 });
}

/* ---- pause, removal, the end ------------------------------------------------------------------ */

static void pause_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ABORT, .cdw10 = 1 };
	struct host admin, io;
	struct nvme_cqe cqe;
	uint64_t start;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	tgt_ns_pause(f, rig->ns);
	start_write(f, &io);
	start_write(f, &io);
	sqe.cdw10 |= (uint32_t)(io.cid - 1u) << 16;
	host_command(f, &admin, &sqe, NULL, 0);
	assert_int_equal(host_answer(f, &admin, &cqe), 0);
	assert_int_equal(cqe.result, 0); /* taken back */
	assert_int_equal(host_answer(f, &io, NULL), NVME_ABORT_REQUESTED);
	start = now(f);
	tgt_ns_resume(f, rig->ns);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	assert_true(now(f) - start < 500 * MS_NS);
	host_command(f, &admin, &sqe, NULL, 0); /* there is none any more */
	assert_int_equal(host_answer(f, &admin, &cqe), 0);
	assert_int_equal(cqe.result, 1);
	host_close(&io);
	host_close(&admin);
}

static void paused_commands_wait_and_can_be_aborted(void **state)
{
	rig_run(&(struct rig){ .body = pause_body, .reactors = 2 });
}

static void remove_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = rw_sqe(NVME_IO_READ, 0, 8);
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	start_write(f, &io);
	tgt_ns_remove(f, rig->ns);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	host_command_far(f, &io, &sqe, 4096);
	assert_int_equal(host_answer(f, &io, NULL), NVME_INVALID_NAMESPACE);
	host_close(&io);
	host_close(&admin);
}

static void a_namespace_is_removed_under_way(void **state)
{
	rig_run(&(struct rig){ .body = remove_body, .uri = SLOW_URI, .reactors = 2 });
}

/* rig_run() closes the target behind the body: hosts with commands in flight are still there. */
static void close_body(struct fiber *f, struct rig *rig)
{
	struct host *hosts = mem_new(fiber_io(f), 8 * sizeof(*hosts));

	for (unsigned i = 0; i < 4; i++) {
		host_admin(f, rig, 0, &hosts[2 * i], (uint8_t)i, 5000);
		host_io(f, &hosts[2 * i], 0, &hosts[2 * i + 1], 1, 16);
		start_write(f, &hosts[2 * i + 1]);
	}
	tgt_port_remove(f, rig->port[0]);
	for (unsigned i = 0; i < 8; i++) {
		host_wait_end(f, &hosts[i]);
		host_close(&hosts[i]);
	}
	mem_free(hosts);
}

static void the_end_drains_everything(void **state)
{
	for (unsigned reactors = 1; reactors <= 3; reactors++)
		rig_run(&(struct rig){ .body = close_body, .uri = SLOW_URI, .reactors = reactors });
}

/* ---- several of everything -------------------------------------------------------------------- */

/* A second target with a subsystem of the same name, on another port. */
static void two_body(struct fiber *f, struct rig *rig)
{
	const struct tgt_opts opts = { .reactors = 2 };
	const struct tgt_subsys_args subsys_args = { .nqn = RIG_NQN, .allow_any_host = true };
	const struct tgt_ns_args ns_args = { .uri = "malloc:///other?size_mb=1" };
	struct tgt_port_args port_args = { 0 };
	struct host admins[2], ios[2];
	struct tgt_subsys *subsys;
	struct tgt_stats stats;
	struct tgt_ns *ns;
	struct tgt *other;

	assert_int_equal(tgt_open(f, &opts, &other), 0);
	assert_int_equal(tgt_subsys_add(f, other, &subsys_args, &subsys), 0);
	assert_int_equal(tgt_ns_add(f, subsys, &ns_args, &ns), 0);
	sim_host_addr(sim_proc_host(rig->proc), 5000, &port_args.addr);
	assert_int_equal(tgt_port_add(f, other, &port_args, &rig->port[1]), 0);
	for (unsigned i = 0; i < 2; i++) {
		host_admin(f, rig, i, &admins[i], 1, 5000); /* the same host: nothing is replaced */
		host_io(f, &admins[i], i, &ios[i], 1, 16);
	}
	for (unsigned i = 0; i < 2; i++) {
		start_write(f, &ios[i]);
		assert_int_equal(host_answer(f, &ios[i], NULL), 0);
	}
	assert_int_equal(tgt_stats(f, other, &stats), 0);
	assert_int_equal(stats.controllers, 1);
	tgt_close(f, other);
	host_wait_end(f, &ios[1]);
	start_write(f, &ios[0]);
	assert_int_equal(host_answer(f, &ios[0], NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		host_close(&admins[i]);
		host_close(&ios[i]);
	}
}

static void two_targets_live_in_one_process(void **state)
{
	rig_run(&(struct rig){ .body = two_body, .reactors = 2 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_connect_waits_until_the_older_association_is_drained),
		cmocka_unit_test(another_host_is_not_waited_for),
		cmocka_unit_test(another_port_is_refused_unless_multipath),
		cmocka_unit_test(a_lost_admin_queue_ends_its_io_queues),
		cmocka_unit_test(an_association_without_keep_alive_ends),
		cmocka_unit_test(the_shortest_keep_alive_is_bounded_and_none_is_none),
		cmocka_unit_test(reset_is_answered_when_io_queues_are_drained),
		cmocka_unit_test(shutdown_is_done_when_io_queues_are_drained),
		cmocka_unit_test(disconnect_ends_an_io_queue_and_no_admin_queue),
		cmocka_unit_test(commands_that_wait_for_a_drain_stop_nobody_else),
		cmocka_unit_test(reservations_that_wait_for_a_drain_stop_nobody_else),
		cmocka_unit_test(a_connect_that_waits_ends_with_its_connection),
		cmocka_unit_test(paused_commands_wait_and_can_be_aborted),
		cmocka_unit_test(a_namespace_is_removed_under_way),
		cmocka_unit_test(the_end_drains_everything),
		cmocka_unit_test(two_targets_live_in_one_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
