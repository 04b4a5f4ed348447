// SPDX-License-Identifier: Apache-2.0
/*
 * Data through the target: every size and alignment, all digests, in the capsule and by R2T,
 * cut in any way, many at once; always held against a model of the namespace in memory.
 *
 * NVMF_ALL=1: every size there is; else a sample.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

#include "base/prng.h"
#include "nvmf/host.h"
#include "nvmf/target.h"

#define SIZE_MAX_BYTES (1u << 20)
#define STREAM_MAX     (1u << 20)
#define DEEP	       120u

struct bench {
	struct target target;
	struct prng prng;
	uint8_t *model[2]; /* of namespaces 1 and 2 */
	uint8_t *scratch;
};

static const unsigned blocks_of[] = { TARGET_NS1_BLOCK, TARGET_NS2_BLOCK };

static void open_host(struct bench *bench, struct host *host, uint8_t digests, uint8_t align)
{
	struct host_opts opts = {
		.port = bench->target.port,
		.subnqn = bench->target.nqn,
		.number = 1,
		.digests = digests,
		.align = align,
		.queues = 1,
	};

	if (host_open(host, &opts) < 0)
		fail_msg("the host was not connected: %s", host->why);
	assert_int_equal(host->io[0].rules.hdgst, !!(digests & RAW_HDGST));
	assert_int_equal(host->io[0].rules.ddgst, !!(digests & RAW_DDGST));
}

static void must_do(struct raw *raw, struct raw_command *command)
{
	if (raw_do(raw, command) < 0)
		fail_msg("%s", raw->why);
	if (command->cqe.status)
		fail_msg("status %03xh, %s", raw_status(command),
			 nvme_status_text(command->cqe.status));
}

/* A command over blocks of namespace ns (0 or 1). */
static struct raw_command rw_of(enum nvme_io_opcode opcode, unsigned ns, uint64_t lba,
				uint32_t blocks)
{
	struct raw_command command = { .bytes = blocks * blocks_of[ns] };
	struct nvme_rw rw = { .lba = lba, .blocks = blocks };

	command.sqe.opcode = (uint8_t)opcode;
	command.sqe.nsid = ns + 1;
	nvme_rw_encode(&rw, &command.sqe);
	return command;
}

/* New bytes into the model; returns where they are. */
static uint8_t *model_change(struct bench *bench, unsigned ns, uint64_t lba, uint32_t blocks)
{
	uint8_t *at = bench->model[ns] + lba * blocks_of[ns];

	prng_fill(&bench->prng, at, (size_t)blocks * blocks_of[ns]);
	return at;
}

static void write_blocks(struct bench *bench, struct host *host, unsigned ns, uint64_t lba,
			 uint32_t blocks, enum raw_way way)
{
	struct raw_command command = rw_of(NVME_IO_WRITE, ns, lba, blocks);

	command.out = model_change(bench, ns, lba, blocks);
	command.way = way;
	must_do(&host->io[0], &command);
	assert_int_equal(command.r2ts > 0, way == RAW_TRANSPORT);
}

/* Also one block on each side, which nobody should have touched. */
static void check_blocks(struct bench *bench, struct host *host, unsigned ns, uint64_t lba,
			 uint32_t blocks)
{
	uint64_t count = TARGET_NS_BYTES / blocks_of[ns];
	uint64_t first = lba ? lba - 1 : 0, end = min_u64(lba + blocks + 1, count);
	uint32_t max = host->data_max / blocks_of[ns];

	for (uint64_t at = first; at < end; at += max) {
		struct raw_command command =
			rw_of(NVME_IO_READ, ns, at, (uint32_t)min_u64(end - at, max));

		command.in = bench->scratch;
		must_do(&host->io[0], &command);
		if (memcmp(bench->scratch, bench->model[ns] + at * blocks_of[ns], command.bytes))
			fail_msg("blocks %llu to %llu of namespace %u read otherwise",
				 (unsigned long long)at, (unsigned long long)end, ns + 1);
	}
}

static void load_model(struct bench *bench)
{
	struct host host;

	open_host(bench, &host, 0, 0);
	assert_true(host.data_max >= 65536);
	for (unsigned ns = 0; ns < 2; ns++) {
		uint32_t blocks = min_u32(host.data_max, SIZE_MAX_BYTES) / blocks_of[ns];

		for (uint64_t at = 0; at < TARGET_NS_BYTES / blocks_of[ns]; at += blocks) {
			struct raw_command command = rw_of(NVME_IO_READ, ns, at, blocks);

			command.in = bench->model[ns] + at * blocks_of[ns];
			must_do(&host.io[0], &command);
		}
	}
	host_close(&host);
}

static void sizes(struct bench *bench, uint8_t digests, unsigned step)
{
	struct host host;
	uint32_t capsules = 0, transports = 0;

	open_host(bench, &host, digests, 0);
	for (unsigned ns = 0; ns < 2; ns++) {
		uint32_t block = blocks_of[ns],
			 max = min_u32(host.data_max, SIZE_MAX_BYTES) / block;

		for (uint32_t blocks = 1; blocks <= max; blocks += blocks < 70 ? 1 : step) {
			uint64_t lba = (blocks * 13) % 64 + prng_below(&bench->prng, 8);

			if (blocks * block <= host.capsule_max) {
				write_blocks(bench, &host, ns, lba, blocks, RAW_CAPSULE);
				check_blocks(bench, &host, ns, lba, blocks);
				capsules++;
			}
			write_blocks(bench, &host, ns, lba, blocks, RAW_TRANSPORT);
			check_blocks(bench, &host, ns, lba, blocks);
			transports++;
		}
		write_blocks(bench, &host, ns, 3, max, RAW_TRANSPORT);
		check_blocks(bench, &host, ns, 3, max);
	}
	assert_true(capsules > 0 && transports > 0);
	host_close(&host);
}

static unsigned size_step(unsigned sample)
{
	return getenv("NVMF_ALL") ? 1 : sample;
}

static void every_size_without_digests(void **state)
{
	sizes(*state, 0, size_step(37));
}

static void every_size_with_header_digests(void **state)
{
	sizes(*state, RAW_HDGST, size_step(211));
}

static void every_size_with_data_digests(void **state)
{
	sizes(*state, RAW_DDGST, size_step(211));
}

static void every_size_with_both_digests(void **state)
{
	sizes(*state, RAW_HDGST | RAW_DDGST, size_step(37));
}

static void every_alignment_of_data_in_pdus(void **state)
{
	struct bench *bench = *state;

	for (unsigned align = 4; align <= 128; align += 4) {
		uint8_t digests = (uint8_t)(align / 4 % 4);
		struct host host;

		open_host(bench, &host, digests, (uint8_t)align);
		write_blocks(bench, &host, 0, align, 5, RAW_CAPSULE);
		write_blocks(bench, &host, 0, align + 5, 40, RAW_TRANSPORT);
		check_blocks(bench, &host, 0, align, 45);
		host_close(&host);
	}
}

/* SGL offsets, for those who take them (SGLS bit 20). */
static void anywhere_in_the_capsule(struct bench *bench, uint8_t digests)
{
	struct host host;

	open_host(bench, &host, digests, 0);
	for (uint32_t offset = 0; offset <= 4096; offset += offset < 16 ? 4 : 508) {
		struct raw_command command = rw_of(NVME_IO_WRITE, 0, 8, 4);

		command.way = RAW_CAPSULE;
		command.capsule_offset = offset;
		command.out = model_change(bench, 0, 8, 4);
		if (host.ctrl.sgls & NVME_SGLS_OFFSETS)
			must_do(&host.io[0], &command);
		else
			assert_int_equal(raw_do(&host.io[0], &command), 0);
		if (offset && !(host.ctrl.sgls & NVME_SGLS_OFFSETS))
			continue;
		assert_int_equal(raw_status(&command), NVME_SUCCESS);
		check_blocks(bench, &host, 0, 8, 4);
	}
	host_close(&host);
}

static void data_anywhere_in_the_capsule(void **state)
{
	anywhere_in_the_capsule(*state, 0);
	anywhere_in_the_capsule(*state, RAW_DDGST);
}

/* One R2T answered in pieces of any dwords. */
static void send_in_pieces(struct bench *bench, struct raw *raw, const struct nvmetcp_data *r2t,
			   const uint8_t *data, uint32_t piece_max)
{
	static uint8_t pdu[65536 + 256];

	for (uint32_t at = 0; at < r2t->length;) {
		struct nvmetcp_data extent = *r2t;

		extent.offset += at;
		extent.length = 4 * (uint32_t)prng_range(&bench->prng, 1, piece_max / 4);
		extent.length = min_u32(extent.length, r2t->length - at);
		at += extent.length;
		assert_int_equal(raw_send(raw, pdu,
					  raw_h2c(raw, &extent, at == r2t->length,
						  data + extent.offset, pdu)),
				 0);
	}
}

static void post_write(struct raw *raw, uint16_t cid, uint64_t lba, uint32_t blocks)
{
	struct raw_command command = rw_of(NVME_IO_WRITE, 0, lba, blocks);
	struct nvme_sgl sgl = { .length = command.bytes };
	uint8_t bytes[NVMETCP_HEAD_MAX];

	command.sqe.cid = cid;
	nvme_sgl_encode(&sgl, &command.sqe);
	assert_int_equal(
		raw_send(raw, bytes, nvmetcp_cmd_encode(&raw->rules, &command.sqe, 0, bytes)), 0);
}

static void expect_written(struct raw *raw, uint16_t cid)
{
	struct nvmetcp_pdu pdu;
	struct nvme_cqe cqe;

	if (raw_recv(raw, &pdu) < 0)
		fail_msg("%s", raw->why);
	assert_int_equal(pdu.type, NVMETCP_RESP);
	nvme_cqe_decode(pdu.cqe, &cqe);
	assert_int_equal(cqe.status, 0);
	assert_int_equal(cqe.cid, cid);
}

/* Takes R2Ts until the write is whole. */
static void an_r2t_is_answered_in_any_pieces(void **state)
{
	static const uint32_t pieces[] = { 4, 16, 512, 1000, 4096, 65536 };
	struct bench *bench = *state;

	for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
		uint32_t blocks = pieces[i] < 512 ? 9 : 128;
		struct nvmetcp_pdu pdu;
		struct host host;
		const uint8_t *data;

		open_host(bench, &host, (uint8_t)(i % 4), 0);
		data = model_change(bench, 0, 100, blocks);
		post_write(&host.io[0], 7, 100, blocks);
		for (uint32_t asked = 0; asked < blocks * TARGET_NS1_BLOCK;) {
			assert_int_equal(raw_recv(&host.io[0], &pdu), 0);
			assert_int_equal(pdu.type, NVMETCP_R2T);
			assert_int_equal(pdu.data.offset, asked);
			asked += pdu.data.length;
			send_in_pieces(bench, &host.io[0], &pdu.data, data, pieces[i]);
		}
		expect_written(&host.io[0], 7);
		check_blocks(bench, &host, 0, 100, blocks);
		host_close(&host);
	}
}

/* Data of two writes, piece by piece in turns. */
static void data_of_two_writes_may_alternate(void **state)
{
	struct bench *bench = *state;
	struct nvmetcp_pdu first, second;
	static uint8_t pdu[8192 + 256];
	const uint8_t *data;
	struct host host;

	open_host(bench, &host, RAW_HDGST | RAW_DDGST, 0);
	data = model_change(bench, 0, 200, 32);
	post_write(&host.io[0], 1, 200, 16);
	assert_int_equal(raw_recv(&host.io[0], &first), 0);
	post_write(&host.io[0], 2, 216, 16);
	assert_int_equal(raw_recv(&host.io[0], &second), 0);
	assert_int_equal(first.type, NVMETCP_R2T);
	assert_int_equal(second.type, NVMETCP_R2T);
	assert_true(first.data.ttag != second.data.ttag);
	for (uint32_t at = 0; at < 8192; at += 1024) {
		struct nvmetcp_data a = { 1, first.data.ttag, at, 1024 };
		struct nvmetcp_data b = { 2, second.data.ttag, at, 1024 };
		bool last = at + 1024 == 8192;

		assert_int_equal(raw_send(&host.io[0], pdu,
					  raw_h2c(&host.io[0], &b, last, data + 8192 + at, pdu)),
				 0);
		if (!last)
			assert_int_equal(raw_send(&host.io[0], pdu,
						  raw_h2c(&host.io[0], &a, last, data + at, pdu)),
					 0);
		else
			expect_written(&host.io[0], 2);
		if (last)
			assert_int_equal(raw_send(&host.io[0], pdu,
						  raw_h2c(&host.io[0], &a, last, data + at, pdu)),
					 0);
	}
	expect_written(&host.io[0], 1);
	check_blocks(bench, &host, 0, 200, 32);
	host_close(&host);
}

/* Many commands in one stream that is cut anywhere. */
static void the_stream_is_cut_anywhere(void **state)
{
	static uint8_t stream[STREAM_MAX];
	struct bench *bench = *state;

	for (unsigned round = 0; round < 16; round++) {
		struct raw_command commands[60];
		struct host host;
		size_t size = 0;

		open_host(bench, &host, (uint8_t)(round % 4), round % 2 ? 64 : 4);
		for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
			uint64_t lba = 1000 + i * 20;
			uint32_t blocks = (uint32_t)prng_range(&bench->prng, 1, 8);
			struct nvme_sgl sgl = { .in_capsule = true };

			commands[i] = rw_of(NVME_IO_WRITE, 0, lba, blocks);
			commands[i].out = model_change(bench, 0, lba, blocks);
			commands[i].way = RAW_CAPSULE;
			commands[i].sqe.cid = (uint16_t)i;
			sgl.length = commands[i].bytes;
			nvme_sgl_encode(&sgl, &commands[i].sqe);
			host.io[0].commands[i] = &commands[i];
			size += raw_capsule(&host.io[0], &commands[i].sqe, commands[i].out,
					    commands[i].bytes, stream + size);
		}
		for (size_t at = 0; at < size;) {
			size_t most = prng_chance_permille(&bench->prng, 300) ? 20000 : 100;
			size_t piece = 1 + prng_below(&bench->prng, most);

			piece = min_size(piece, size - at);
			assert_int_equal(raw_send(&host.io[0], stream + at, piece), 0);
			at += piece;
		}
		for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
			if (raw_wait(&host.io[0], &commands[i]) < 0)
				fail_msg("%s", host.io[0].why);
			assert_int_equal(commands[i].cqe.status, 0);
		}
		check_blocks(bench, &host, 0, 1000, ARRAY_LEN(commands) * 20);
		host_close(&host);
	}
}

/* As many at once as the queue takes, reads and writes of all sorts. */
static void a_full_queue_completes(void **state)
{
	struct bench *bench = *state;

	for (unsigned round = 0; round < 8; round++) {
		static struct raw_command commands[DEEP];
		struct host host;
		uint32_t each;

		open_host(bench, &host, (uint8_t)(round % 4), 0);
		each = 24;
		assert_true(host.io[0].entries > DEEP);
		for (unsigned i = 0; i < DEEP; i++) {
			uint64_t lba = 4000 + i * each;
			uint32_t blocks = (uint32_t)prng_range(&bench->prng, 1, each);
			bool writes = prng_chance_permille(&bench->prng, 500);

			commands[i] = rw_of(writes ? NVME_IO_WRITE : NVME_IO_READ, 0, lba, blocks);
			if (writes)
				commands[i].out = model_change(bench, 0, lba, blocks);
			else
				commands[i].in = bench->scratch + i * each * TARGET_NS1_BLOCK;
			if (writes && blocks * TARGET_NS1_BLOCK <= host.capsule_max && i % 2)
				commands[i].way = RAW_CAPSULE;
			assert_int_equal(raw_post(&host.io[0], &commands[i]), 0);
		}
		for (unsigned i = 0; i < DEEP; i++) {
			if (raw_wait(&host.io[0], &commands[i]) < 0)
				fail_msg("%s", host.io[0].why);
			assert_int_equal(commands[i].cqe.status, 0);
			if (commands[i].in)
				assert_memory_equal(commands[i].in,
						    bench->model[0] +
							    (4000 + i * each) * TARGET_NS1_BLOCK,
						    commands[i].bytes);
		}
		check_blocks(bench, &host, 0, 4000, DEEP * each);
		host_close(&host);
	}
}

static void do_zeroes(struct bench *bench, struct host *host, unsigned ns, uint64_t lba,
		      uint32_t blocks, bool deallocate)
{
	struct nvme_rw rw = { lba, blocks, deallocate ? NVME_RW_DEALLOCATE : 0, 0, 0, 0 };
	struct raw_command command = { 0 };

	command.sqe.opcode = NVME_IO_WRITE_ZEROES;
	command.sqe.nsid = ns + 1;
	nvme_rw_encode(&rw, &command.sqe);
	must_do(&host->io[0], &command);
	memset(bench->model[ns] + lba * blocks_of[ns], 0, (size_t)blocks * blocks_of[ns]);
}

static void zeroes_are_written(void **state)
{
	struct bench *bench = *state;
	struct host host;

	open_host(bench, &host, 0, 0);
	for (unsigned ns = 0; ns < 2; ns++)
		for (uint32_t blocks = 1; blocks <= 128; blocks = blocks * 3 + 1) {
			write_blocks(bench, &host, ns, 600, 128, RAW_TRANSPORT);
			do_zeroes(bench, &host, ns, 601, blocks, blocks % 2);
			check_blocks(bench, &host, ns, 600, 128);
		}
	host_close(&host);
}

/* DLFEAT tells what a deallocated block reads as; only if it is zeros the model knows. */
static void deallocated_blocks_read_as_told(void **state)
{
	struct bench *bench = *state;
	static uint8_t data[NVME_IDENTIFY_BYTES];
	uint8_t ranges[3 * NVME_DSM_RANGE_BYTES];
	struct nvme_id_ns id;
	struct host host;
	uint16_t status;

	open_host(bench, &host, RAW_DDGST, 0);
	assert_true(host.ctrl.oncs & NVME_ONCS_DATASET_MANAGEMENT);
	assert_int_equal(host_identify(&host, NVME_CNS_NS, 1, 0, data, &status), 0);
	assert_int_equal(nvme_id_ns_decode(data, sizeof(data), &id), 0);
	for (unsigned way = RAW_TRANSPORT; way <= RAW_CAPSULE; way++) {
		struct raw_command command = { .way = way, .bytes = sizeof(ranges), .out = ranges };

		write_blocks(bench, &host, 0, 1024, 384, RAW_TRANSPORT);
		for (unsigned i = 0; i < 3; i++) {
			struct nvme_dsm_range range = { 0, 100, 1024 + i * 128 };

			nvme_dsm_range_encode(&range, ranges + i * NVME_DSM_RANGE_BYTES);
			if ((id.dlfeat & NVME_DLFEAT_READ_MASK) == NVME_DLFEAT_ZEROES)
				memset(bench->model[0] + range.lba * TARGET_NS1_BLOCK, 0,
				       100 * TARGET_NS1_BLOCK);
		}
		command.sqe.opcode = NVME_IO_DATASET_MANAGEMENT;
		nvme_dsm_encode(3, NVME_DSM_DEALLOCATE, &command.sqe);
		command.sqe.nsid = 1;
		must_do(&host.io[0], &command);
		if ((id.dlfeat & NVME_DLFEAT_READ_MASK) == NVME_DLFEAT_ZEROES)
			check_blocks(bench, &host, 0, 1024, 384);
		else
			write_blocks(bench, &host, 0, 1024, 384, RAW_TRANSPORT);
	}
	host_close(&host);
}

static void compare_finds_any_difference(void **state)
{
	struct bench *bench = *state;
	struct host host;

	open_host(bench, &host, RAW_HDGST, 0);
	if (!(host.ctrl.oncs & NVME_ONCS_COMPARE)) {
		host_close(&host);
		print_message("skip: the target does not offer Compare\n");
		skip();
	}
	for (unsigned i = 0; i < 24; i++) {
		uint32_t blocks = i % 2 ? 8 : 100;
		struct raw_command command = rw_of(NVME_IO_COMPARE, 0, 300, blocks);

		write_blocks(bench, &host, 0, 300, blocks, RAW_TRANSPORT);
		memcpy(bench->scratch, bench->model[0] + 300 * TARGET_NS1_BLOCK, command.bytes);
		command.out = bench->scratch;
		command.way = blocks == 8 && i % 4 == 1 ? RAW_CAPSULE : RAW_TRANSPORT;
		must_do(&host.io[0], &command);
		bench->scratch[prng_below(&bench->prng, command.bytes)] ^= 1;
		assert_int_equal(raw_do(&host.io[0], &command), 0);
		assert_int_equal(raw_status(&command), NVME_COMPARE_FAILURE);
	}
	host_close(&host);
}

/* SUCCESS stands for a completion without SQHD: only where flow control is off (Base 6.3). */
static void success_flag_needs_flow_control_off(void **state)
{
	struct bench *bench = *state;

	for (unsigned off = 0; off < 2; off++) {
		struct raw_command command = rw_of(NVME_IO_READ, 0, 0, 8);
		struct host_opts opts = { .number = 1 };
		struct host host;

		opts.port = bench->target.port;
		opts.subnqn = bench->target.nqn;
		assert_int_equal(host_open(&host, &opts), 0);
		host.join.cattr = off ? NVME_CATTR_NO_FLOW_CONTROL : 0;
		host.opts.queues = 1;
		host.io = calloc(1, sizeof(*host.io));
		if (host_open_io(&host, 0) < 0)
			fail_msg("%s", host.why);
		command.in = bench->scratch;
		for (unsigned i = 0; i < 300; i++) {
			must_do(&host.io[0], &command);
			if (off)
				continue;
			assert_false(command.by_flag);
			assert_int_equal(command.cqe.sqhd, (i + 2) % host.io[0].entries);
		}
		host_close(&host);
	}
}

static void random_operations(struct bench *bench, struct host *host, unsigned count)
{
	while (count-- > 0) {
		unsigned ns = (unsigned)prng_below(&bench->prng, 2);
		uint64_t lba = prng_below(&bench->prng, 2000);
		uint32_t blocks = 1 + (uint32_t)prng_below(&bench->prng, ns ? 30 : 200);
		bool small = blocks * blocks_of[ns] <= host->capsule_max;

		switch (prng_below(&bench->prng, 6)) {
		case 0:
			do_zeroes(bench, host, ns, lba, blocks, blocks % 2);
			break;
		case 1:
		case 2:
			write_blocks(bench, host, ns, lba, blocks,
				     small ? RAW_CAPSULE : RAW_TRANSPORT);
			break;
		case 3:
			write_blocks(bench, host, ns, lba, blocks, RAW_TRANSPORT);
			break;
		default:
			check_blocks(bench, host, ns, lba, blocks);
		}
	}
}

static void random_operations_leave_what_they_should(void **state)
{
	struct bench *bench = *state;

	for (unsigned i = 0; i < 8; i++) {
		struct host host;

		open_host(bench, &host, (uint8_t)(i % 4), (uint8_t)(4 << i % 6));
		random_operations(bench, &host, getenv("NVMF_ALL") ? 5000 : 200);
		check_blocks(bench, &host, 0, 0, 4096);
		host_close(&host);
	}
}

static int start(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int r = target_start(&bench->target, NULL);

	*state = bench;
	prng_init(&bench->prng, 1, 1);
	bench->model[0] = malloc(TARGET_NS_BYTES);
	bench->model[1] = malloc(TARGET_NS_BYTES);
	bench->scratch = malloc(4u << 20);
	if (r < 0) {
		print_message("skip: no target to judge (%s)\n", strerror(-r));
		return r;
	}
	load_model(bench);
	return 0;
}

static int stop(void **state)
{
	struct bench *bench = *state;
	int status = target_stop(&bench->target);

	free(bench->model[0]);
	free(bench->model[1]);
	free(bench->scratch);
	free(bench);
	return status;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_without_digests),
		cmocka_unit_test(every_size_with_header_digests),
		cmocka_unit_test(every_size_with_data_digests),
		cmocka_unit_test(every_size_with_both_digests),
		cmocka_unit_test(every_alignment_of_data_in_pdus),
		cmocka_unit_test(data_anywhere_in_the_capsule),
		cmocka_unit_test(an_r2t_is_answered_in_any_pieces),
		cmocka_unit_test(data_of_two_writes_may_alternate),
		cmocka_unit_test(the_stream_is_cut_anywhere),
		cmocka_unit_test(a_full_queue_completes),
		cmocka_unit_test(zeroes_are_written),
		cmocka_unit_test(deallocated_blocks_read_as_told),
		cmocka_unit_test(compare_finds_any_difference),
		cmocka_unit_test(success_flag_needs_flow_control_off),
		cmocka_unit_test(random_operations_leave_what_they_should),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
