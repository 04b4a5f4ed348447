// SPDX-License-Identifier: Apache-2.0
/*
 * What a peer can take is bounded (safety rules B.13): each limit of nvmf/tgt.h is hit here, and a
 * good host goes on beside it.
 */
#include "unit/unit.h"

#include <errno.h>
#include <string.h>

#include "reactor/fiber_io.h"
#include "unit/nvmf/tgt_rig.h"

#define SWEEP_NS (300 * MS_NS) /* deadlines are looked at now and then */

static struct tgt_stats stats_of(struct fiber *f, struct rig *rig)
{
	struct tgt_stats stats;

	assert_int_equal(tgt_stats(f, rig->tgt, &stats), 0);
	return stats;
}

/* ---- deadlines ------------------------------------------------------------------------ */

static void silent_body(struct fiber *f, struct rig *rig)
{
	struct host silent, polite, slow;
	uint8_t byte = NVMETCP_CMD;
	uint64_t ended;

	assert_int_equal(host_dial(f, rig, 0, &silent), 0);
	ended = host_wait_end(f, &silent);
	assert_in_range(ended, TGT_ICREQ_NS, TGT_ICREQ_NS + SWEEP_NS);
	host_close(&silent);

	host_open(f, rig, 0, &polite); /* but no Connect */
	ended = host_wait_end(f, &polite);
	assert_in_range(ended, TGT_CONNECT_NS - MS_NS, TGT_CONNECT_NS + SWEEP_NS);
	host_close(&polite);

	host_admin(f, rig, 0, &slow, 1, 0);
	host_send(f, &slow, &byte, 1);
	assert_int_equal(fiber_sleep(f, TGT_PDU_NS / 2), 0);
	host_send(f, &slow, "", 1); /* a byte now and then does not help */
	ended = host_wait_end(f, &slow);
	assert_in_range(ended, TGT_PDU_NS / 2 - MS_NS, TGT_PDU_NS / 2 + SWEEP_NS);
	host_close(&slow);
	assert_int_equal(stats_of(f, rig).timeouts, 3);
}

static void slow_peers_are_dropped_on_time(void **state)
{
	rig_run(&(struct rig){ .body = silent_body, .reactors = 2 });
}

static void r2t_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = rw_sqe(NVME_IO_WRITE, 0, 64);
	struct reply reply = { 0 };
	struct host admin, io;
	uint64_t ended;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	host_command_far(f, &io, &sqe, 32768);
	assert_true(host_recv(f, &io, &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_R2T);
	ended = host_wait_end(f, &io);
	assert_in_range(ended, TGT_H2C_NS - MS_NS, TGT_H2C_NS + SWEEP_NS);
	host_close(&io);
	host_close(&admin);
}

static void an_r2t_is_not_waited_for_without_end(void **state)
{
	rig_run(&(struct rig){ .body = r2t_body });
}

static void fault_body(struct fiber *f, struct rig *rig)
{
	struct reply reply = { 0 };
	uint8_t bad[8] = { 0x7f };
	struct host admin;
	uint64_t ended;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_send(f, &admin, bad, sizeof(bad));
	assert_true(host_recv(f, &admin, &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_C2H_TERM);
	assert_int_equal(reply.pdu.term.fes, NVMETCP_FES_FIELD);
	ended = host_wait_end(f, &admin);
	assert_true(ended <= TGT_TERM_NS + SWEEP_NS);
	assert_int_equal(stats_of(f, rig).faults, 1);
	assert_int_equal(fiber_sleep(f, TGT_TERM_NS + SWEEP_NS), 0);
	assert_int_equal(stats_of(f, rig).connections, 0); /* though the host has not closed it */
	host_close(&admin);
}

static void a_terminate_request_is_followed_by_the_end(void **state)
{
	rig_run(&(struct rig){ .body = fault_body });
}

/* ---- strangers --------------------------------------------------------------------------- */

static void per_ip_body(struct fiber *f, struct rig *rig)
{
	const unsigned max = TGT_STRANGERS_PER_IP_MAX;
	struct host *hosts = mem_new(fiber_io(f), (max + 1) * sizeof(*hosts));
	struct host good;

	host_admin(f, rig, 0, &good, 1, 0);
	for (unsigned i = 0; i <= max; i++)
		assert_int_equal(host_dial(f, rig, 0, &hosts[i]), 0);
	assert_true(host_wait_end(f, &hosts[max]) < MS_NS * 100);
	assert_int_equal(stats_of(f, rig).refused, 1);
	assert_int_equal(host_csts(f, &good), NVME_CSTS_READY);
	host_close(&hosts[0]);
	host_close(&hosts[max]);
	assert_int_equal(fiber_sleep(f, 100 * MS_NS), 0);
	host_open(f, rig, 0, &hosts[0]); /* there is room again */
	for (unsigned i = 0; i < max; i++)
		host_close(&hosts[i]);
	host_close(&good);
	mem_free(hosts);
}

static void one_address_has_so_many_strangers(void **state)
{
	rig_run(&(struct rig){ .body = per_ip_body });
}

/* On another host of the world: connects, and stands there. */
static int crowd_main(struct fiber *f, void *arg)
{
	struct rig *rig = arg;
	struct host *hosts = mem_new(fiber_io(f), TGT_STRANGERS_PER_IP_MAX * sizeof(*hosts));

	for (unsigned i = 0; i < TGT_STRANGERS_PER_IP_MAX; i++)
		if (host_dial(f, rig, 0, &hosts[i]) < 0)
			hosts[i].sock = NULL;
	fiber_clear(f);
	while (!rig->is_done)
		if (fiber_sleep(f, S_NS) < 0)
			break;
	for (unsigned i = 0; i < TGT_STRANGERS_PER_IP_MAX; i++)
		host_close(&hosts[i]);
	mem_free(hosts);
	return 0;
}

static void crowd_body(struct fiber *f, struct rig *rig)
{
	const unsigned crowd = TGT_STRANGERS_MAX / TGT_STRANGERS_PER_IP_MAX + 2;
	struct host first, late;
	char name[8] = "h00";

	host_open(f, rig, 0, &first); /* the oldest */
	for (unsigned i = 0; i < crowd; i++) {
		name[1] = (char)('a' + i / 10);
		name[2] = (char)('a' + i % 10);
		sim_proc_add(
			sim_host_add(rig->sim, name),
			&(struct sim_proc_opts){ .name = "crowd", .main = crowd_main, .arg = rig });
	}
	assert_int_equal(fiber_sleep(f, 3 * S_NS), 0);
	assert_true(stats_of(f, rig).accepted > TGT_STRANGERS_MAX);
	assert_int_equal(stats_of(f, rig).connections, TGT_STRANGERS_MAX);
	assert_true(host_wait_end(f, &first) < 100 * MS_NS);
	host_admin(f, rig, 0, &late, 1, 0); /* who knows what it wants gets in */
	host_close(&late);
	host_close(&first);
	rig->is_done = true;
	assert_int_equal(fiber_sleep(f, 5 * S_NS), 0);
	rig->is_done = false;
}

static void a_crowd_of_strangers_keeps_nobody_out(void **state)
{
	rig_run(&(struct rig){ .body = crowd_body, .reactors = 2 });
}

static void accepts_body(struct fiber *f, struct rig *rig)
{
	struct host host;

	for (unsigned i = 0; i < TGT_ACCEPTS_BURST + TGT_ACCEPTS_PER_S; i++) {
		assert_int_equal(host_dial(f, rig, 0, &host), 0);
		host_close(&host);
		if (stats_of(f, rig).refused)
			break;
	}
	assert_in_range(stats_of(f, rig).accepted, TGT_ACCEPTS_BURST,
			TGT_ACCEPTS_BURST + TGT_ACCEPTS_PER_S);
	assert_int_equal(stats_of(f, rig).refused, 1);
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	host_open(f, rig, 0, &host);
	host_close(&host);
}

static void connections_come_at_a_bounded_rate(void **state)
{
	rig_run(&(struct rig){ .body = accepts_body });
}

static void all_body(struct fiber *f, struct rig *rig)
{
	struct host hosts[4];

	for (unsigned i = 0; i < 3; i++)
		host_admin(f, rig, 0, &hosts[i], (uint8_t)i, 0);
	assert_int_equal(host_dial(f, rig, 0, &hosts[3]), 0);
	assert_true(host_wait_end(f, &hosts[3]) < 100 * MS_NS);
	for (unsigned i = 0; i < 4; i++)
		host_close(&hosts[i]);
}

static void all_connections_together_are_bounded(void **state)
{
	rig_run(&(struct rig){ .body = all_body, .opts.connections_max = 3 });
}

/* ---- queues and controllers ------------------------------------------------------------------ */

static void queues_body(struct fiber *f, struct rig *rig)
{
	struct host *ios = mem_new(fiber_io(f), (TGT_QUEUES_MAX + 1) * sizeof(*ios));
	struct host admin;

	host_admin(f, rig, 0, &admin, 1, 0);
	for (uint16_t i = 0; i < TGT_QUEUES_MAX; i++)
		host_io(f, &admin, 0, &ios[i], (uint16_t)(i + 1), 2);
	host_open(f, rig, 0, &ios[TGT_QUEUES_MAX]);
	ios[TGT_QUEUES_MAX].number = 1;
	ios[TGT_QUEUES_MAX].cntlid = admin.cntlid;
	assert_int_equal(host_connect(f, &ios[TGT_QUEUES_MAX], TGT_QUEUES_MAX + 1, 2, 0),
			 NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(host_connect(f, &ios[TGT_QUEUES_MAX], 1, 2, 0),
			 NVME_COMMAND_SEQUENCE_ERROR); /* there is one */
	for (unsigned i = 0; i <= TGT_QUEUES_MAX; i++)
		host_close(&ios[i]);
	host_close(&admin);
	mem_free(ios);
}

static void a_controller_has_so_many_queues(void **state)
{
	rig_run(&(struct rig){ .body = queues_body, .reactors = 2 });
}

static void entries_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = rw_sqe(NVME_IO_READ, 0, 8);
	struct reply reply = { 0 };
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_open(f, rig, 0, &io);
	io.cntlid = admin.cntlid;
	assert_int_equal(host_connect(f, &io, 1, TGT_QUEUE_ENTRIES_MAX + 1, 0),
			 NVME_CONNECT_INVALID_PARAMS);
	assert_int_equal(host_connect(f, &io, 1, 4, 0), 0);
	tgt_ns_pause(f, rig->ns);
	for (unsigned i = 0; i < 4; i++)
		host_command_far(f, &io, &sqe, 4096);
	assert_int_equal(fiber_sleep(f, 100 * MS_NS), 0);
	assert_int_equal(stats_of(f, rig).faults, 0);
	host_command_far(f, &io, &sqe, 4096); /* more than the queue has */
	assert_true(host_recv(f, &io, &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_C2H_TERM);
	tgt_ns_resume(f, rig->ns);
	host_close(&io);
	host_close(&admin);
}

static void outstanding_commands_are_at_most_the_queue(void **state)
{
	rig_run(&(struct rig){ .body = entries_body });
}

static void controllers_body(struct fiber *f, struct rig *rig)
{
	struct host *hosts = mem_new(fiber_io(f), (TGT_CONTROLLERS_MAX + 1) * sizeof(*hosts));

	for (unsigned i = 0; i < TGT_CONTROLLERS_MAX; i++) {
		host_open(f, rig, i % 4, &hosts[i]);
		hosts[i].number = (uint8_t)(i / 4);
		assert_int_equal(host_connect(f, &hosts[i], 0, 2, 0), 0);
	}
	host_open(f, rig, 0, &hosts[TGT_CONTROLLERS_MAX]);
	hosts[TGT_CONTROLLERS_MAX].number = TGT_CONTROLLERS_MAX / 4 - 1;
	assert_int_equal(host_connect(f, &hosts[TGT_CONTROLLERS_MAX], 0, 2, 0), 0); /* replaces */
	assert_int_equal(stats_of(f, rig).controllers, TGT_CONTROLLERS_MAX);
	for (unsigned i = 0; i <= TGT_CONTROLLERS_MAX; i++)
		host_close(&hosts[i]);
	mem_free(hosts);
}

static void a_subsystem_has_so_many_controllers(void **state)
{
	rig_run(&(struct rig){
		.body = controllers_body, .ports = 4, .multipath = true, .reactors = 2 });
}

static void ports_body(struct fiber *f, struct rig *rig)
{
	struct tgt_port_args args = { 0 };
	struct tgt_port *port;

	sim_host_addr(sim_proc_host(rig->proc), 9999, &args.addr);
	assert_int_equal(tgt_port_add(f, rig->tgt, &args, &port), -EMFILE);
	fiber_clear(f);
	tgt_port_remove(f, rig->port[7]);
	args.id = TGT_PORTS_MAX + 1;
	assert_int_equal(tgt_port_add(f, rig->tgt, &args, &port), -EINVAL);
	fiber_clear(f);
	args.id = 7;
	assert_int_equal(tgt_port_add(f, rig->tgt, &args, &port), -EEXIST);
	fiber_clear(f);
	args.id = 0;
	assert_int_equal(tgt_port_add(f, rig->tgt, &args, &port), 0);
}

static void a_target_has_so_many_ports(void **state)
{
	rig_run(&(struct rig){ .body = ports_body, .ports = TGT_PORTS_MAX });
}

/* ---- data ------------------------------------------------------------------------------------- */

static void sizes_body(struct fiber *f, struct rig *rig)
{
	uint8_t *data = mem_new(fiber_io(f), TGT_CAPSULE_DATA + 512);
	struct nvme_sqe sqe = rw_sqe(NVME_IO_READ, 0, TGT_DATA_MAX / 512);
	struct reply reply = { 0 };
	struct host admin, io;

	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &io, 1, 16);
	assert_int_equal(io.rules.h2c_data_max, TGT_H2C_DATA_MAX);
	host_command_far(f, &io, &sqe, TGT_DATA_MAX);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	sqe = rw_sqe(NVME_IO_READ, 0, TGT_DATA_MAX / 512 + 1);
	host_command_far(f, &io, &sqe, TGT_DATA_MAX + 512);
	assert_int_equal(host_answer(f, &io, NULL), NVME_INVALID_FIELD);
	sqe = rw_sqe(NVME_IO_WRITE, 0, TGT_CAPSULE_DATA / 512);
	host_command(f, &io, &sqe, data, TGT_CAPSULE_DATA);
	assert_int_equal(host_answer(f, &io, NULL), 0);
	sqe = rw_sqe(NVME_IO_WRITE, 0, TGT_CAPSULE_DATA / 512 + 1);
	host_command(f, &io, &sqe, data, TGT_CAPSULE_DATA + 512);
	assert_true(host_recv(f, &io, &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_C2H_TERM);
	host_close(&io);
	host_close(&admin);
	mem_free(data);
}

static void commands_and_capsules_have_a_largest_size(void **state)
{
	rig_run(&(struct rig){ .body = sizes_body });
}

/* Reads of 1 MiB that nobody takes: some have memory, the others wait, and all are answered. */
static void reads_wait(struct fiber *f, struct rig *rig, unsigned queues, uint64_t high)
{
	struct host admin, ios[4];

	host_admin(f, rig, 0, &admin, 1, 0);
	tgt_ns_pause(f, rig->ns);
	for (unsigned q = 0; q < queues; q++) {
		host_io(f, &admin, 0, &ios[q], (uint16_t)(q + 1), 16);
		for (unsigned i = 0; i < 15; i++) {
			struct nvme_sqe sqe = rw_sqe(NVME_IO_READ, 0, TGT_DATA_MAX / 512);

			host_command_far(f, &ios[q], &sqe, TGT_DATA_MAX);
		}
	}
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	assert_int_equal(stats_of(f, rig).data_bytes, high);
	assert_int_equal(host_keep_alive(f, &admin), 0);
	tgt_ns_resume(f, rig->ns);
	for (unsigned q = 0; q < queues; q++) {
		for (unsigned i = 0; i < 15; i++)
			assert_int_equal(host_answer(f, &ios[q], NULL), 0);
		host_close(&ios[q]);
	}
	assert_true(stats_of(f, rig).data_waits > 0);
	assert_true(stats_of(f, rig).data_bytes_high <= high + TGT_CAPSULE_DATA);
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	assert_int_equal(stats_of(f, rig).data_bytes, 0);
	host_close(&admin);
}

static void conn_data_body(struct fiber *f, struct rig *rig)
{
	reads_wait(f, rig, 1, TGT_CONN_DATA_MAX);
}

static void reactor_data_body(struct fiber *f, struct rig *rig)
{
	reads_wait(f, rig, 4, rig->opts.data_max / TGT_HOST_DATA_PART);
}

static void memory_of_a_connection_is_bounded_and_commands_wait(void **state)
{
	rig_run(&(struct rig){ .body = conn_data_body });
}

static void memory_of_a_host_on_a_reactor_is_bounded(void **state)
{
	rig_run(&(struct rig){ .body = reactor_data_body, .opts.data_max = 6 << 20 });
}

/* Two hosts let their data lie in all the memory there is; a third gets in when one has gone. */
static void reactor_hosts_body(struct fiber *f, struct rig *rig)
{
	struct nvme_sqe sqe = rw_sqe(NVME_IO_WRITE, 0, TGT_DATA_MAX / 512);
	struct host admins[3], ios[3];
	struct reply reply = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		host_admin(f, rig, 0, &admins[i], (uint8_t)i, 0);
		host_io(f, &admins[i], 0, &ios[i], 1, 16);
		for (unsigned j = 0; j < 4; j++)
			host_command_far(f, &ios[i], &sqe, TGT_DATA_MAX);
	}
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	assert_int_equal(stats_of(f, rig).data_bytes, rig->opts.data_max);
	host_close(&ios[0]);
	assert_true(host_recv(f, &ios[2], &reply));
	assert_int_equal(reply.pdu.type, NVMETCP_R2T);
	for (unsigned i = 0; i < 3; i++) {
		host_close(&admins[i]);
		host_close(&ios[i]);
	}
}

static void memory_of_a_reactor_is_bounded_and_commands_wait(void **state)
{
	rig_run(&(struct rig){ .body = reactor_hosts_body, .opts.data_max = 4 << 20 });
}

struct writes {
	struct host *host;
	const uint8_t *data;
	unsigned count;
};

static int writes_main(struct fiber *f, void *arg)
{
	const struct writes *w = arg;

	for (unsigned i = 0; i < w->count; i++) {
		struct nvme_sqe sqe = rw_sqe(NVME_IO_WRITE, i, TGT_CAPSULE_DATA / 512);

		host_command(f, w->host, &sqe, w->data, TGT_CAPSULE_DATA);
	}
	return 0;
}

/* More in-capsule data than there is memory for: what has no place is not read. */
static void capsules_body(struct fiber *f, struct rig *rig)
{
	const unsigned fit = TGT_REACTOR_CAPSULE_MAX / TGT_CAPSULE_DATA, more = 40;
	uint8_t *data = mem_new(fiber_io(f), TGT_CAPSULE_DATA);
	struct host admin, one, two;
	struct writes all[] = { { &one, data, fit }, { &two, data, more } };
	struct fiber *fibers[2];

	memset(data, 7, TGT_CAPSULE_DATA);
	host_admin(f, rig, 0, &admin, 1, 0);
	host_io(f, &admin, 0, &one, 1, TGT_QUEUE_ENTRIES_MAX);
	host_io(f, &admin, 0, &two, 2, 64);
	tgt_ns_pause(f, rig->ns);
	assert_int_equal(fiber_start(fiber_reactor(f), "one", writes_main, &all[0], &fibers[0]), 0);
	assert_int_equal(fiber_join(f, fibers[0]), 0);
	assert_int_equal(fiber_sleep(f, S_NS), 0);
	assert_int_equal(fiber_start(fiber_reactor(f), "two", writes_main, &all[1], &fibers[1]), 0);
	assert_int_equal(fiber_sleep(f, 20 * S_NS), 0); /* and no deadline runs meanwhile */
	assert_int_equal(stats_of(f, rig).data_bytes, TGT_REACTOR_CAPSULE_MAX);
	assert_int_equal(host_keep_alive(f, &admin), 0);
	tgt_ns_resume(f, rig->ns);
	for (unsigned i = 0; i < fit; i++)
		assert_int_equal(host_answer(f, &one, NULL), 0);
	for (unsigned i = 0; i < more; i++)
		assert_int_equal(host_answer(f, &two, NULL), 0);
	assert_int_equal(fiber_join(f, fibers[1]), 0);
	assert_true(stats_of(f, rig).data_waits > 0);
	assert_int_equal(stats_of(f, rig).timeouts, 0);
	host_close(&one);
	host_close(&two);
	host_close(&admin);
	mem_free(data);
}

static void capsules_without_memory_are_not_read(void **state)
{
	rig_run(&(struct rig){ .body = capsules_body });
}

/* ---- commands at home ---------------------------------------------------------------------------- */

static void fibers_body(struct fiber *f, struct rig *rig)
{
	const unsigned count = TGT_CMD_FIBERS_MAX + 40;
	struct host *hosts = mem_new(fiber_io(f), count * sizeof(*hosts));

	for (unsigned i = 0; i < count; i++)
		host_admin(f, rig, 0, &hosts[i], (uint8_t)i, 0);
	for (unsigned i = 0; i < count; i++) {
		const struct nvme_property property = { .offset = NVME_PROP_VS, .bytes = 4 };
		struct nvme_sqe sqe = { 0 };

		nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &sqe);
		host_command(f, &hosts[i], &sqe, NULL, 0);
	}
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(host_answer(f, &hosts[i], NULL), 0);
		host_close(&hosts[i]);
	}
	mem_free(hosts);
}

static void more_commands_than_fibers_are_all_answered(void **state)
{
	rig_run(&(struct rig){ .body = fibers_body, .reactors = 3 });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slow_peers_are_dropped_on_time),
		cmocka_unit_test(an_r2t_is_not_waited_for_without_end),
		cmocka_unit_test(a_terminate_request_is_followed_by_the_end),
		cmocka_unit_test(one_address_has_so_many_strangers),
		cmocka_unit_test(a_crowd_of_strangers_keeps_nobody_out),
		cmocka_unit_test(connections_come_at_a_bounded_rate),
		cmocka_unit_test(all_connections_together_are_bounded),
		cmocka_unit_test(a_controller_has_so_many_queues),
		cmocka_unit_test(outstanding_commands_are_at_most_the_queue),
		cmocka_unit_test(a_subsystem_has_so_many_controllers),
		cmocka_unit_test(a_target_has_so_many_ports),
		cmocka_unit_test(commands_and_capsules_have_a_largest_size),
		cmocka_unit_test(memory_of_a_connection_is_bounded_and_commands_wait),
		cmocka_unit_test(memory_of_a_host_on_a_reactor_is_bounded),
		cmocka_unit_test(memory_of_a_reactor_is_bounded_and_commands_wait),
		cmocka_unit_test(capsules_without_memory_are_not_read),
		cmocka_unit_test(more_commands_than_fibers_are_all_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
