// SPDX-License-Identifier: Apache-2.0
/*
 * storm - a fuzzer of whole connections: PDUs that are proper for the state a connection is
 * in, some of them spoilt, thousands of connections, beside a host that does nothing wrong.
 *
 *	storm PDUS [SEED]	against `mayastor export nvmf` ($MAYASTOR; best with sanitizers)
 *
 *	open: digests, alignment by lot --> admin or I/O queue by lot
 *	    --> batches of PDUs; R2Ts are answered, mostly well --> until refused, or closed by lot
 *
 * J1. Whatever the target sends is decoded by the rules of a host: a refusal ends the storm.
 * J2. The other host's data are right after every 64 connections, and the target lives.
 * J3. A seed gives the same PDUs, but for what depends on the order of answers.
 * J4. At the end the target stops with status 0: no leak, no finding of a sanitizer.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/crc32c.h"
#include "base/prng.h"
#include "nvmf/host.h"
#include "nvmf/target.h"
#include "wire/nvme_resv.h"
#include "wire/nvmetcp_parser.h"

#define STORM_HOSTS   4
#define STORM_BATCH   32
#define STORM_R2TS    64
#define STORM_PDU_MAX 40000
#define STORM_GOOD    99

struct storm {
	struct target target;
	struct host good;
	struct prng prng;
	struct raw raw;
	struct host host;
	bool io;
	bool dead;
	struct nvmetcp_parser parser;
	uint64_t skip; /* data of the last PDU */
	struct nvmetcp_data r2ts[STORM_R2TS];
	unsigned r2t_count;
	uint64_t pdus, spoilt, connections, refusals, answers;
	uint8_t batch[STORM_BATCH * STORM_PDU_MAX];
};

static uint64_t pick(struct storm *storm, uint64_t n)
{
	return prng_below(&storm->prng, n);
}

static bool chance(struct storm *storm, unsigned permille)
{
	return prng_chance_permille(&storm->prng, permille);
}

/* Of a kind that finds edges. */
static uint64_t edge(struct storm *storm)
{
	static const uint64_t edges[] = { 0,
					  1,
					  2,
					  3,
					  4,
					  7,
					  8,
					  23,
					  24,
					  71,
					  72,
					  127,
					  128,
					  255,
					  256,
					  511,
					  512,
					  4095,
					  4096,
					  8191,
					  8192,
					  16384,
					  32767,
					  32768,
					  65535,
					  65536,
					  0x7fffffff,
					  0x80000000,
					  0xfffffffc,
					  0xffffffff,
					  UINT64_C(1) << 32,
					  UINT64_C(1) << 55,
					  UINT64_C(1) << 63,
					  UINT64_MAX - 3,
					  UINT64_MAX };

	return chance(storm, 700) ? edges[pick(storm, ARRAY_LEN(edges))] : prng_u64(&storm->prng);
}

/* --- what comes back --- */

static void storm_take(struct storm *storm, const struct nvmetcp_pdu *pdu)
{
	if (pdu->type == NVMETCP_R2T && storm->r2t_count < STORM_R2TS)
		storm->r2ts[storm->r2t_count++] = pdu->data;
	storm->answers += pdu->type == NVMETCP_RESP;
	if (pdu->type == NVMETCP_C2H_TERM) {
		storm->refusals++;
		storm->dead = true;
	}
	storm->skip = (uint64_t)pdu->data_bytes + (pdu->ddgst ? NVMETCP_DIGEST_BYTES : 0);
}

/* False: the target sent what no target may (J1). */
static bool storm_parse(struct storm *storm, const uint8_t *bytes, size_t size)
{
	while (size > 0 && !storm->dead) {
		size_t used = (size_t)min_u64(storm->skip, size);
		struct nvmetcp_fault fault;
		struct nvmetcp_pdu pdu;
		int r;

		storm->skip -= used;
		bytes += used;
		size -= used;
		if (size == 0)
			break;
		r = nvmetcp_parser_feed(&storm->parser, &storm->raw.rules, bytes, size, &used, &pdu,
					&fault);
		if (r < 0) {
			fprintf(stderr,
				"storm: the target sent a wrong PDU of type %u: FES %u, FEI %u\n",
				storm->parser.head[0], fault.fes, fault.fei);
			for (unsigned i = 0; i < storm->parser.have; i++)
				fprintf(stderr, "%02x%c", storm->parser.head[i],
					i % 16 == 15 ? '\n' : ' ');
			return false;
		}
		bytes += used;
		size -= used;
		if (r == 0)
			storm_take(storm, &pdu);
	}
	return true;
}

static bool storm_drain(struct storm *storm, int wait_ms)
{
	static uint8_t bytes[1 << 18];
	struct pollfd ready = { .fd = storm->raw.fd, .events = POLLIN };

	while (!storm->dead && poll(&ready, 1, wait_ms) > 0) {
		ssize_t n = recv(storm->raw.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n <= 0) {
			storm->dead = true;
			break;
		}
		if (!storm_parse(storm, bytes, (size_t)n))
			return false;
		wait_ms = 0;
	}
	return true;
}

/* --- PDUs --- */

static uint32_t sqe_io(struct storm *storm, struct nvme_sqe *sqe)
{
	static const uint8_t opcodes[] = { NVME_IO_READ,   NVME_IO_READ,  NVME_IO_WRITE,
					   NVME_IO_WRITE,  NVME_IO_FLUSH, NVME_IO_WRITE_ZEROES,
					   NVME_IO_COMPARE };
	struct nvme_rw rw = { .lba = pick(storm, 16000), .blocks = 1 + (uint32_t)pick(storm, 64) };
	unsigned ns = (unsigned)pick(storm, 2);

	sqe->opcode = opcodes[pick(storm, ARRAY_LEN(opcodes))];
	sqe->nsid = ns + 1;
	if (ns)
		rw.lba %= 3000;
	nvme_rw_encode(&rw, sqe);
	if (sqe->opcode == NVME_IO_FLUSH || sqe->opcode == NVME_IO_WRITE_ZEROES)
		return 0;
	return rw.blocks * (ns ? TARGET_NS2_BLOCK : TARGET_NS1_BLOCK);
}

static uint32_t sqe_resv(struct storm *storm, struct nvme_sqe *sqe, uint8_t *data)
{
	static const uint8_t opcodes[] = { NVME_IO_RESV_REGISTER, NVME_IO_RESV_ACQUIRE,
					   NVME_IO_RESV_RELEASE, NVME_IO_RESV_REPORT };
	struct nvme_resv_cmd cmd = {
		.action = (uint8_t)pick(storm, 3),
		.iekey = chance(storm, 300),
		.type = (uint8_t)pick(storm, 7),
		.cptpl = (uint8_t)(pick(storm, 2) * 2),
		.key = pick(storm, 3),
	};

	cmd.new_key = pick(storm, 3);
	sqe->opcode = opcodes[pick(storm, ARRAY_LEN(opcodes))];
	sqe->nsid = 2; /* the good host uses namespace 1 */
	if (sqe->opcode == NVME_IO_RESV_REPORT) {
		sqe->cdw10 = (uint32_t)pick(storm, 256);
		sqe->cdw11 = (uint32_t)pick(storm, 2);
		return (sqe->cdw10 + 1) * 4;
	}
	nvme_resv_encode(&cmd, sqe, data);
	return (uint32_t)nvme_resv_data_bytes(sqe->opcode);
}

static uint32_t sqe_dsm(struct storm *storm, struct nvme_sqe *sqe, uint8_t *data)
{
	unsigned count = 1 + (unsigned)pick(storm, 16);

	sqe->opcode = NVME_IO_DATASET_MANAGEMENT;
	nvme_dsm_encode(count, NVME_DSM_DEALLOCATE, sqe);
	sqe->nsid = 2;
	for (unsigned i = 0; i < count; i++) {
		struct nvme_dsm_range range = { .lba = pick(storm, 4000) };

		range.blocks = (uint32_t)pick(storm, 90);
		nvme_dsm_range_encode(&range, data + i * NVME_DSM_RANGE_BYTES);
	}
	return count * NVME_DSM_RANGE_BYTES;
}

static uint32_t sqe_log(struct storm *storm, struct nvme_sqe *sqe)
{
	static const uint8_t pages[] = { 0, 1, 2, 3, 4, 5, 0xc, 0x12, 0x70, 0x80 };
	struct nvme_get_log log = { .lid = pages[pick(storm, ARRAY_LEN(pages))] };

	log.length = 4 * (1 + pick(storm, 2048));
	log.offset = chance(storm, 300) ? 4 * pick(storm, 1024) : 0;
	nvme_get_log_encode(&log, sqe);
	sqe->nsid = NVME_NSID_ALL;
	return (uint32_t)log.length;
}

static uint32_t sqe_feature(struct storm *storm, struct nvme_sqe *sqe)
{
	static const uint8_t fids[] = { 0x01, 0x04, 0x06, 0x07, 0x0b, 0x0e,
					0x0f, 0x16, 0x81, 0x82, 0x83 };
	struct nvme_feature feature = { .fid = fids[pick(storm, ARRAY_LEN(fids))] };

	feature.select = (uint8_t)pick(storm, 4);
	sqe->opcode = chance(storm, 500) ? NVME_ADMIN_GET_FEATURES : NVME_ADMIN_SET_FEATURES;
	feature.value = (uint32_t)edge(storm);
	nvme_feature_encode(&feature, sqe);
	sqe->nsid = (uint32_t)pick(storm, 3);
	return feature.fid == 0x16 ? 512 : feature.fid == 0x0e ? 8 : feature.fid == 0x81 ? 16 : 0;
}

static uint32_t sqe_property(struct storm *storm, struct nvme_sqe *sqe)
{
	static const uint32_t offsets[] = { 0, 8, 0x14, 0x14, 0x1c, 0x20, 0x68 };
	struct nvme_cc cc = { .enable = chance(storm, 800), .iosqes = 6, .iocqes = 4 };
	struct nvme_property property = { .offset = offsets[pick(storm, ARRAY_LEN(offsets))] };
	bool set = chance(storm, 300);

	property.bytes = property.offset ? 4 : 8;
	cc.shn = (uint8_t)(chance(storm, 100) ? 1 : 0);
	property.value = nvme_cc_encode(&cc);
	nvme_property_encode(&property, set ? NVME_FABRICS_PROPERTY_SET : NVME_FABRICS_PROPERTY_GET,
			     sqe);
	return 0;
}

static uint32_t sqe_admin(struct storm *storm, struct nvme_sqe *sqe)
{
	static const uint8_t plain[] = { NVME_ADMIN_KEEP_ALIVE, NVME_ADMIN_ASYNC_EVENT,
					 NVME_ADMIN_ABORT };
	struct nvme_identify identify = { .cns = (uint8_t)pick(storm, 0x20) };

	switch (pick(storm, 5)) {
	case 0:
		nvme_identify_encode(&identify, sqe);
		sqe->nsid = (uint32_t)pick(storm, 4);
		return NVME_IDENTIFY_BYTES;
	case 1:
		return sqe_log(storm, sqe);
	case 2:
		return sqe_feature(storm, sqe);
	case 3:
		return sqe_property(storm, sqe);
	default:
		sqe->opcode = plain[pick(storm, ARRAY_LEN(plain))];
		sqe->cdw10 = (uint32_t)pick(storm, 128) << 16 | (uint32_t)pick(storm, 3);
		return 0;
	}
}

/* A spoilt entry: a field or two of any value. */
static void sqe_spoil(struct storm *storm, struct nvme_sqe *sqe)
{
	uint8_t bytes[NVME_SQE_BYTES];
	unsigned at = (unsigned)pick(storm, NVME_SQE_BYTES - 8);
	uint64_t value = edge(storm);

	nvme_sqe_encode(sqe, bytes);
	memcpy(bytes + at, &value, chance(storm, 500) ? 1 : 4);
	nvme_sqe_decode(bytes, sqe);
}

static size_t pdu_capsule(struct storm *storm, uint8_t *ret, bool bad)
{
	static uint8_t data[16384];
	struct nvme_sqe sqe = { .cid = (uint16_t)pick(storm, 120) };
	struct nvme_sgl sgl = { 0 };
	uint32_t bytes;

	if (!storm->io)
		bytes = sqe_admin(storm, &sqe);
	else if (chance(storm, 800))
		bytes = sqe_io(storm, &sqe);
	else
		bytes = chance(storm, 500) ? sqe_resv(storm, &sqe, data) :
					     sqe_dsm(storm, &sqe, data);
	sgl.length = bytes;
	sgl.in_capsule = nvme_sqe_dir(&sqe) == NVME_DIR_TO_CONTROLLER && bytes > 0 &&
			 bytes <= (storm->io ? sizeof(data) : 8192) && chance(storm, 600);
	nvme_sgl_encode(&sgl, &sqe);
	if (bad && chance(storm, 500))
		sqe_spoil(storm, &sqe);
	return raw_capsule(&storm->raw, &sqe, data, sgl.in_capsule ? bytes : 0, ret);
}

/* Part of an R2T that is open; what is left of it stays open. */
static size_t pdu_h2c(struct storm *storm, uint8_t *ret)
{
	static uint8_t data[32768];
	unsigned i = (unsigned)pick(storm, storm->r2t_count);
	struct nvmetcp_data *r2t = &storm->r2ts[i], extent = *r2t;
	bool last;

	extent.length = min_u32(r2t->length, chance(storm, 500) ? 4096 : sizeof(data));
	last = extent.length == r2t->length;
	r2t->offset += extent.length;
	r2t->length -= extent.length;
	if (last)
		storm->r2ts[i] = storm->r2ts[--storm->r2t_count];
	return raw_h2c(&storm->raw, &extent, last, data, ret);
}

/* Spoils a head; with a digest that fits again, mostly. */
static void pdu_spoil(struct storm *storm, uint8_t *pdu)
{
	unsigned hlen = pdu[NVMETCP_AT_HLEN];
	uint64_t value = edge(storm);

	memcpy(pdu + pick(storm, 24), &value, chance(storm, 500) ? 1 : 4);
	if (storm->raw.rules.hdgst && hlen <= NVMETCP_CMD_BYTES && chance(storm, 800))
		nvmetcp_digest_put(pdu + hlen, crc32c(0, pdu, hlen));
}

static size_t pdu_odd(struct storm *storm, uint8_t *ret)
{
	struct nvmetcp_ic ic = { .align = 4 };
	struct nvmetcp_fault fault = { .fes = (uint16_t)pick(storm, 8) };
	struct nvmetcp_data extent = { 0 };

	switch (pick(storm, 4)) {
	case 0:
		return nvmetcp_icreq_encode(&ic, ret);
	case 1:
		return nvmetcp_term_encode(&storm->raw.rules, &fault, storm->batch, 24, ret);
	case 2:
		extent.cccid = (uint16_t)pick(storm, 120);
		extent.ttag = (uint16_t)pick(storm, 120);
		extent.offset = 4 * (uint32_t)pick(storm, 4096);
		extent.length = 512;
		memset(ret, 0, 1024);
		return raw_h2c(&storm->raw, &extent, chance(storm, 500), ret + 4096, ret);
	default:
		prng_fill(&storm->prng, ret, 200);
		return 200;
	}
}

static size_t storm_pdu(struct storm *storm, uint8_t *ret)
{
	bool bad = chance(storm, 25);
	size_t size;

	storm->pdus++;
	storm->spoilt += bad;
	if (bad && chance(storm, 150))
		return pdu_odd(storm, ret);
	if (storm->r2t_count && chance(storm, 700))
		size = pdu_h2c(storm, ret);
	else
		size = pdu_capsule(storm, ret, bad);
	if (bad && chance(storm, 500))
		pdu_spoil(storm, ret);
	return size;
}

/* --- connections --- */

static int storm_open(struct storm *storm)
{
	struct host_opts opts = {
		.port = storm->target.port,
		.subnqn = storm->target.nqn,
		.number = 1 + (unsigned)pick(storm, STORM_HOSTS),
		.digests = (uint8_t)pick(storm, 4),
		.queues = 1,
	};
	int r;

	opts.align = (uint8_t)(4 + 4 * pick(storm, chance(storm, 200) ? 32 : 1));
	opts.kato_ms = chance(storm, 100) ? 30000 : 0; /* no one shall be given up while we sleep */
	storm->io = chance(storm, 800);
	opts.queues = storm->io;
	r = host_open(&storm->host, &opts);
	if (r < 0)
		return r;
	storm->raw = storm->io ? storm->host.io[0] : storm->host.admin;
	storm->dead = false;
	storm->skip = 0;
	storm->r2t_count = 0;
	nvmetcp_parser_init(&storm->parser);
	storm->connections++;
	return 0;
}

static bool storm_connection(struct storm *storm)
{
	unsigned batches = 1 + (unsigned)pick(storm, 60);

	while (batches-- > 0 && !storm->dead) {
		unsigned count = 1 + (unsigned)pick(storm, STORM_BATCH);
		size_t size = 0;

		while (count-- > 0)
			size += storm_pdu(storm, storm->batch + size);
		if (chance(storm, 20)) /* cut anywhere */
			size = (size_t)pick(storm, size);
		if (raw_send(&storm->raw, storm->batch, size) < 0)
			break;
		if (!storm_drain(storm, chance(storm, 900) ? 1 : 0))
			return false;
	}
	return true;
}

/* J2 */
static bool storm_good(struct storm *storm)
{
	uint8_t out[8 * TARGET_NS1_BLOCK], in[sizeof(out)];

	prng_fill(&storm->prng, out, sizeof(out));
	memset(in, 0, sizeof(in));
	if (!target_runs(&storm->target)) {
		fprintf(stderr, "storm: the target is gone\n");
		return false;
	}
	if (host_write(&storm->good, 0, 1, 30000, 8, TARGET_NS1_BLOCK, out) < 0 ||
	    host_read(&storm->good, 0, 1, 30000, 8, TARGET_NS1_BLOCK, in) < 0) {
		fprintf(stderr, "storm: the good host: %s\n", storm->good.why);
		return false;
	}
	if (memcmp(in, out, sizeof(in)) != 0)
		fprintf(stderr, "storm: the good host reads other data\n");
	return memcmp(in, out, sizeof(in)) == 0;
}

static bool storm_run(struct storm *storm, uint64_t pdus)
{
	while (storm->pdus < pdus) {
		int r = storm_open(storm);
		bool good;

		if (r < 0) {
			fprintf(stderr, "storm: a proper connection: %s\n", storm->host.why);
			host_close(&storm->host);
			return false;
		}
		good = storm_connection(storm);
		host_close(&storm->host);
		if (!good)
			return false;
		if (storm->connections % 64 == 0 && !storm_good(storm))
			return false;
	}
	return storm_good(storm);
}

int main(int argc, char **argv)
{
	struct storm *storm = calloc(1, sizeof(*storm));
	struct host_opts opts = { .number = STORM_GOOD, .queues = 1 };
	uint64_t pdus = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	int status;
	bool good;

	if (!storm || target_start(&storm->target, NULL) < 0) {
		printf("1..0 # SKIP no target to judge\n");
		return 77;
	}
	prng_init(&storm->prng, seed, 1);
	opts.port = storm->target.port;
	opts.subnqn = storm->target.nqn;
	good = host_open(&storm->good, &opts) == 0 && storm_run(storm, pdus);
	host_close(&storm->good);
	status = target_stop(&storm->target); /* J4 */
	printf("1..1\n# %" PRIu64 " PDUs, %" PRIu64 " of them spoilt, %" PRIu64
	       " connections, %" PRIu64 " terminated, %" PRIu64 " answers, seed %" PRIu64
	       ", exit status %d\n",
	       storm->pdus, storm->spoilt, storm->connections, storm->refusals, storm->answers,
	       seed, status);
	printf("%sok 1 - storm_of_pdus_is_weathered\n", good && status == 0 ? "" : "not ");
	free(storm);
	return !good || status != 0;
}
