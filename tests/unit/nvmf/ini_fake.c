// SPDX-License-Identifier: Apache-2.0
/*
 * ini_fake - a controller for tests of the initiator.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/crc32c.h"
#include "base/must.h"
#include "ini_fake.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_io.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_sgl.h"
#include "wire/nvme_status.h"

/* ---- out --------------------------------------------------------------------------- */

static void fake_pump(struct fake_conn *conn);

static void fake_sent(struct io_op *op)
{
	struct fake_conn *conn = container_of(op, struct fake_conn, op);

	conn->sending = false;
	if (op->res < 0)
		fake_close(conn);
	if (!conn->closed)
		fake_pump(conn);
}

static void fake_pump(struct fake_conn *conn)
{
	uint8_t *out = conn->out;
	size_t room = conn->out_room;

	if (conn->sending)
		return;
	if (conn->out_bytes == 0) {
		if (conn->close_after)
			fake_close(conn);
		return;
	}
	conn->iov = (struct iovec){out, conn->out_bytes};
	conn->out = conn->sent;
	conn->out_room = conn->sent_room;
	conn->sent = out;
	conn->sent_room = room;
	conn->out_bytes = 0;
	conn->sending = true;
	io_prep_send(&conn->op, conn->sock, &conn->iov, 1, 0, fake_sent);
	io_submit(reactor_io(conn->fake->reactor), &conn->op);
}

static void fake_put(struct fake_conn *conn, const void *bytes, size_t len)
{
	if (conn->closed || len == 0)
		return;
	if (conn->out_bytes + len > conn->out_room) {
		conn->out_room = (conn->out_bytes + len) * 2;
		conn->out = realloc(conn->out, conn->out_room);
	}
	memcpy(conn->out + conn->out_bytes, bytes, len);
	conn->out_bytes += len;
}

void fake_send(struct fake_conn *conn, const void *bytes, size_t len)
{
	fake_put(conn, bytes, len);
	if (!conn->closed)
		fake_pump(conn);
}

void fake_respond(struct fake_conn *conn, uint16_t cid, uint16_t status, uint64_t result)
{
	struct nvme_cqe cqe = {.cid = cid, .status = status, .result = result};
	uint8_t head[NVMETCP_HEAD_MAX];

	fake_send(conn, head, nvmetcp_resp_encode(&conn->rules, &cqe, head));
}

void fake_c2h(struct fake_conn *conn, uint16_t cid, uint32_t offset, const uint8_t *data,
	      uint32_t len, uint8_t flags, bool bad_digest)
{
	struct nvmetcp_data d = {.cccid = cid, .offset = offset, .length = len};
	uint8_t head[NVMETCP_HEAD_MAX], digest[4];

	fake_put(conn, head, nvmetcp_data_encode(&conn->rules, &d, flags, head));
	fake_put(conn, data, len);
	if (conn->rules.ddgst) {
		nvmetcp_digest_put(digest, crc32c(0, data, len) ^ bad_digest);
		fake_put(conn, digest, 4);
	}
	fake_send(conn, NULL, 0);
}

void fake_r2t(struct fake_conn *conn, uint16_t cid, uint16_t ttag, uint32_t offset, uint32_t len)
{
	struct nvmetcp_data d = {.cccid = cid, .ttag = ttag, .offset = offset, .length = len};
	uint8_t head[NVMETCP_HEAD_MAX];

	fake_send(conn, head, nvmetcp_r2t_encode(&conn->rules, &d, head));
}

void fake_close(struct fake_conn *conn)
{
	if (conn->closed)
		return;
	conn->closed = true;
	if (conn->fake->aer == conn)
		conn->fake->aer = NULL;
	io_sock_close(conn->sock);
}

void fake_close_all(struct fake *fake)
{
	for (unsigned i = 0; i < fake->conn_count; i++)
		fake_close(fake->conns[i]);
}

bool fake_event(struct fake *fake)
{
	struct fake_conn *conn = fake->aer;

	if (!conn)
		return false;
	fake->aer = NULL;
	fake_respond(conn, fake->aer_cid, NVME_SUCCESS,
		     nvme_event_encode(NVME_EVENT_NS_ATTRIBUTE, NVME_LID_CHANGED_NS));
	return true;
}

/* ---- commands -------------------------------------------------------------------------- */

/* Data to the host, in pieces; then the answer. */
static void fake_answer(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
			uint32_t len)
{
	uint32_t chunk = conn->fake->c2h_chunk;

	for (uint32_t at = 0; at < len; at += chunk) {
		uint32_t n = min_u32(chunk, len - at);
		uint8_t flags = at + n == len ? NVMETCP_LAST : 0;

		if (flags && conn->fake->success && conn->qid)
			flags |= NVMETCP_SUCCESS;
		fake_c2h(conn, sqe->cid, at, data + at, n, flags, false);
		if (flags & NVMETCP_SUCCESS)
			return;
	}
	fake_respond(conn, sqe->cid, NVME_SUCCESS, 0);
}

static void fake_id_ctrl(struct fake *fake, uint8_t *data)
{
	struct nvme_id_ctrl id = {
		.sn = "1", .mn = "fake", .fr = "1", .mdts = fake->mdts, .cntrltype = NVME_CTRL_IO,
		.oaes = NVME_OAES_NS_ATTRIBUTE, .sqes = 0x66, .cqes = 0x44, .nn = 1,
		.oncs = fake->oncs, .vwc = fake->vwc, .ioccsz = (64 + fake->capsule) / 16,
		.iorcsz = 1, .ofcs = 1, .subnqn = FAKE_NQN, .sgls = 0x300005,
	};

	nvme_id_ctrl_encode(&id, data);
	if (fake->vendor)
		nvme_vendor_advertise(data);
}

static void fake_id_ns(struct fake *fake, uint8_t *data)
{
	struct nvme_id_ns id = {.nsze = fake->told_blocks, .ncap = fake->told_blocks,
				.nuse = fake->told_blocks, .dlfeat = fake->dlfeat,
				.rescap = fake->rescap};

	id.lbaf[0].lbads = (uint8_t)__builtin_ctz(fake->block_size);
	memcpy(id.nguid, fake->uuid, 16);
	nvme_id_ns_encode(&id, data);
}

static void fake_identify(struct fake_conn *conn, const struct nvme_sqe *sqe)
{
	struct nvme_identify identify = nvme_identify_decode(sqe);
	uint8_t *data = calloc(1, NVME_IDENTIFY_BYTES);
	static const uint32_t nsids[] = {1};
	struct builder builder;

	builder_init(&builder, data, NVME_IDENTIFY_BYTES);
	switch (identify.cns) {
	case NVME_CNS_CTRL:
		fake_id_ctrl(conn->fake, data);
		break;
	case NVME_CNS_NS:
		if (sqe->nsid == 1)
			fake_id_ns(conn->fake, data);
		break;
	case NVME_CNS_ACTIVE_NSIDS:
		nvme_nsids_encode(nsids, conn->fake->told_blocks ? 1 : 0, data);
		break;
	case NVME_CNS_NS_DESCRIPTORS:
		must(nvme_ns_name_put(&builder, NVME_NIDT_UUID, conn->fake->uuid) == 0);
		break;
	default:
		fake_respond(conn, sqe->cid, NVME_INVALID_FIELD | NVME_DNR, 0);
		free(data);
		return;
	}
	fake_answer(conn, sqe, data, NVME_IDENTIFY_BYTES);
	free(data);
}

static void fake_connect(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
			 uint32_t bytes)
{
	struct fake *fake = conn->fake;
	struct nvme_connect connect;
	uint32_t bad = 0;
	uint16_t status = nvme_connect_decode(sqe, data, bytes, &connect, &bad);

	if (status == NVME_SUCCESS && strcmp(connect.subnqn, FAKE_NQN) != 0)
		status = NVME_CONNECT_INVALID_PARAMS | NVME_DNR;
	if (status == NVME_SUCCESS && connect.qid == 0)
		status = fake->connect_status;
	if (status == NVME_SUCCESS && connect.sqsize > fake->mqes && connect.qid)
		status = NVME_CONNECT_INVALID_PARAMS | NVME_DNR;
	if (status == NVME_SUCCESS) {
		conn->qid = connect.qid;
		memcpy(fake->host_id, connect.host_id, 16);
		strcpy(fake->hostnqn, connect.hostnqn);
		if (connect.qid)
			fake->io_connects++;
		else
			fake->connects++;
	}
	fake_respond(conn, sqe->cid, status, status ? bad : 7);
}

static void fake_fabrics(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
			 uint32_t bytes)
{
	struct nvme_property property;
	struct nvme_cap cap = {.mqes = conn->fake->mqes, .cqr = true, .to = 1, .css = 1};
	uint64_t value = 0;

	switch (nvme_sqe_fctype(sqe)) {
	case NVME_FABRICS_CONNECT:
		fake_connect(conn, sqe, data, bytes);
		return;
	case NVME_FABRICS_DISCONNECT:
		conn->fake->disconnects++;
		break;
	case NVME_FABRICS_PROPERTY_SET:
		must(nvme_property_decode(sqe, &property) == NVME_SUCCESS);
		if (property.offset == NVME_PROP_CC && nvme_cc_decode((uint32_t)property.value).shn)
			conn->fake->shutdowns++;
		break;
	default:
		must(nvme_property_decode(sqe, &property) == NVME_SUCCESS);
		value = property.offset == NVME_PROP_CAP ? nvme_cap_encode(&cap) : NVME_CSTS_READY;
	}
	fake_respond(conn, sqe->cid, NVME_SUCCESS, value);
}

static void fake_vendor(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
			uint32_t bytes)
{
	struct fake *fake = conn->fake;
	uint8_t info[NVME_REPLICA_BYTES];
	struct nvme_sgl sgl;

	fake->vendor_cmd = nvme_vendor_decode(sqe);
	if (bytes)
		memcpy(fake->vendor_sent, data, min_size(bytes, sizeof(fake->vendor_sent)));
	fake->vendor_waiting += fake->vendor_hangs;
	if (fake->vendor_hangs)
		return;
	if (fake->vendor_refused) {
		fake->vendor_refused--;
		fake_respond(conn, sqe->cid, fake->vendor_status, 0);
		return;
	}
	if (sqe->opcode != NVME_VENDOR_RECV) {
		fake_respond(conn, sqe->cid, NVME_SUCCESS, fake->vendor_result);
		return;
	}
	must(nvme_sgl_decode(sqe, 0, &sgl) == NVME_SUCCESS);
	nvme_replica_encode(&fake->replica, info);
	data = fake->vendor_cmd.function == NVME_VENDOR_INFO ? info : fake->vendor_data;
	fake_c2h(conn, sqe->cid, 0, data, sgl.length, NVMETCP_LAST, false);
	fake_respond(conn, sqe->cid, NVME_SUCCESS, fake->vendor_result);
}

static void fake_admin(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
		       uint32_t bytes)
{
	struct fake *fake = conn->fake;
	uint8_t page[NVME_LIST_BYTES] = {1};
	struct nvme_feature feature;

	switch (sqe->opcode) {
	case NVME_ADMIN_IDENTIFY:
		fake_identify(conn, sqe);
		return;
	case NVME_ADMIN_KEEP_ALIVE:
		fake->keep_alives++;
		if (!fake->no_keep_alive)
			fake_respond(conn, sqe->cid, NVME_SUCCESS, 0);
		return;
	case NVME_ADMIN_ASYNC_EVENT:
		fake->aer = conn;
		fake->aer_cid = sqe->cid;
		return;
	case NVME_ADMIN_GET_LOG_PAGE:
		fake_answer(conn, sqe, page, sizeof(page));
		return;
	case NVME_ADMIN_SET_FEATURES:
		must(nvme_feature_decode(sqe, &feature) == NVME_SUCCESS);
		fake->vendor_negotiated += feature.fid == NVME_VENDOR_FID;
		fake_respond(conn, sqe->cid, NVME_SUCCESS,
			     feature.fid == NVME_FID_QUEUES ?
				     nvme_queues_encode(fake->queues, fake->queues) : 0);
		return;
	default:
		if (fake->vendor && sqe->opcode >= NVME_VENDOR_CALL &&
		    sqe->opcode <= NVME_VENDOR_RECV)
			fake_vendor(conn, sqe, data, bytes);
		else
			fake_respond(conn, sqe->cid, NVME_INVALID_OPCODE | NVME_DNR, 0);
	}
}

static void fake_dsm(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
		     uint32_t bytes)
{
	struct fake *fake = conn->fake;
	struct nvme_dsm_range range;

	for (unsigned i = 0; i < nvme_dsm_ranges(sqe); i++) {
		must(nvme_dsm_range_decode(data, bytes, i, fake->blocks, &range) == NVME_SUCCESS);
		memset(fake->data + range.lba * fake->block_size, 0xdd,
		       (size_t)range.blocks * fake->block_size);
	}
	fake_respond(conn, sqe->cid, NVME_SUCCESS, 0);
}

static void fake_rw(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data)
{
	struct fake *fake = conn->fake;
	uint16_t status = NVME_SUCCESS;
	struct nvme_rw rw;
	uint8_t *at;
	size_t len;

	if (nvme_rw_decode(sqe, fake->blocks, &rw) != NVME_SUCCESS) {
		fake_respond(conn, sqe->cid, NVME_LBA_OUT_OF_RANGE | NVME_DNR, 0);
		return;
	}
	at = fake->data + rw.lba * fake->block_size;
	len = (size_t)rw.blocks * fake->block_size;
	if (sqe->opcode == NVME_IO_READ) {
		fake_answer(conn, sqe, at, (uint32_t)len);
		return;
	}
	if (sqe->opcode == NVME_IO_WRITE) {
		fake->writes++;
		memcpy(at, data, len);
	} else if (sqe->opcode == NVME_IO_WRITE_ZEROES) {
		memset(at, 0, len);
	} else if (memcmp(at, data, len) != 0) {
		status = NVME_COMPARE_FAILURE | NVME_DNR;
	}
	fake_respond(conn, sqe->cid, status, 0);
}

static void fake_resv_report(struct fake_conn *conn, const struct nvme_sqe *sqe)
{
	struct nvme_resv_report report = {.generation = 3, .registrants = 1, .ptpl = true,
					  .type = NVME_RESV_EXCLUSIVE_ACCESS};
	struct nvme_resv_host host = {.cntlid = 7, .holder = true, .key = conn->fake->key};
	uint32_t bytes = (sqe->cdw10 + 1) * 4;
	uint8_t *data = calloc(1, bytes);

	memcpy(host.host_id, conn->fake->host_id, 16);
	nvme_resv_report_encode(&report, true, data);
	nvme_resv_host_encode(&host, true, data + NVME_RESV_REPORT_EXT_BYTES);
	fake_answer(conn, sqe, data, bytes);
	free(data);
}

static void fake_resv(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
		      uint32_t bytes)
{
	struct nvme_resv_cmd cmd;

	if (sqe->opcode == NVME_IO_RESV_REPORT) {
		fake_resv_report(conn, sqe);
		return;
	}
	must(nvme_resv_decode(sqe, data, bytes, &cmd) == NVME_SUCCESS);
	if (sqe->opcode == NVME_IO_RESV_REGISTER && cmd.action != NVME_RESV_UNREGISTER) {
		conn->fake->key = cmd.new_key;
		conn->fake->registers++;
	}
	fake_respond(conn, sqe->cid, NVME_SUCCESS, 0);
}

static void fake_execute(struct fake_conn *conn, const struct nvme_sqe *sqe, const uint8_t *data,
			 uint32_t bytes)
{
	struct fake *fake = conn->fake;

	if (sqe->opcode == NVME_FABRICS) {
		fake_fabrics(conn, sqe, data, bytes);
		return;
	}
	if (conn->qid == 0) {
		fake_admin(conn, sqe, data, bytes);
		return;
	}
	switch (sqe->opcode) {
	case NVME_IO_FLUSH:
		fake_respond(conn, sqe->cid, NVME_SUCCESS, 0);
		return;
	case NVME_IO_DATASET_MANAGEMENT:
		fake_dsm(conn, sqe, data, bytes);
		return;
	case NVME_IO_RESV_REGISTER:
	case NVME_IO_RESV_ACQUIRE:
	case NVME_IO_RESV_RELEASE:
	case NVME_IO_RESV_REPORT:
		fake_resv(conn, sqe, data, bytes);
		return;
	default:
		must(fake->oncs || sqe->opcode <= NVME_IO_READ);
		fake_rw(conn, sqe, data);
	}
}

/* ---- in ----------------------------------------------------------------------------------- */

static void fake_write_begin(struct fake_conn *conn, const struct nvme_sqe *sqe, uint32_t bytes)
{
	unsigned ttag = 0;
	struct fake_xfer *xfer;

	while (conn->xfers[ttag].used)
		ttag++;
	xfer = &conn->xfers[ttag];
	*xfer = (struct fake_xfer){.used = true, .sqe = *sqe, .bytes = bytes,
				   .buf = malloc(bytes), .flow = {.end = bytes}};
	fake_r2t(conn, sqe->cid, (uint16_t)ttag, 0, bytes);
}

static void fake_command(struct fake_conn *conn, uint32_t capsule_bytes)
{
	struct nvme_sqe sqe = conn->sqe;
	struct nvme_sgl sgl;

	must(nvme_sgl_decode(&sqe, capsule_bytes, &sgl) == NVME_SUCCESS);
	if (!(sqe.opcode == NVME_FABRICS))
		conn->fake->commands[sqe.opcode]++;
	if (conn->fake->script && conn->fake->script(conn, &sqe, conn->fake->script_ctx))
		return;
	if (nvme_sqe_dir(&sqe) == NVME_DIR_TO_CONTROLLER && sgl.length && !sgl.in_capsule)
		fake_write_begin(conn, &sqe, sgl.length);
	else
		fake_execute(conn, &sqe, conn->capsule, capsule_bytes);
}

static void fake_data_end(struct fake_conn *conn)
{
	struct fake_xfer *xfer = conn->xfer;

	conn->xfer = NULL;
	if (!nvmetcp_flow_done(&xfer->flow))
		return;
	fake_execute(conn, &xfer->sqe, xfer->buf, xfer->bytes);
	free(xfer->buf);
	xfer->used = false;
}

static void fake_icreq(struct fake_conn *conn, const struct nvmetcp_pdu *pdu)
{
	struct fake *fake = conn->fake;
	struct nvmetcp_ic ic = {.align = fake->align, .hdgst = fake->hdgst && pdu->ic.hdgst,
				.ddgst = fake->ddgst && pdu->ic.ddgst,
				.maxh2cdata = fake->maxh2cdata};
	uint8_t out[NVMETCP_IC_BYTES];

	nvmetcp_icresp_encode(&ic, out);
	nvmetcp_rules_agree(&conn->rules, &pdu->ic, &ic);
	fake_send(conn, out, sizeof(out));
}

static void fake_h2c(struct fake_conn *conn, const struct nvmetcp_pdu *pdu)
{
	struct nvmetcp_fault fault;

	must(pdu->data.ttag < FAKE_XFERS && conn->xfers[pdu->data.ttag].used);
	conn->xfer = &conn->xfers[pdu->data.ttag];
	must(conn->xfer->sqe.cid == pdu->data.cccid);
	must(nvmetcp_flow_step(&conn->xfer->flow, pdu, &fault) == 0);
	conn->to = conn->xfer->buf + pdu->data.offset;
}

static uint32_t fake_capsule_bytes(const struct fake_conn *conn)
{
	struct nvme_sgl sgl;

	return nvme_sgl_decode(&conn->sqe, UINT32_MAX, &sgl) == NVME_SUCCESS && sgl.in_capsule ?
		       sgl.length : 0;
}

static void fake_pdu(struct fake_conn *conn, const struct nvmetcp_pdu *pdu)
{
	switch (pdu->type) {
	case NVMETCP_ICREQ:
		fake_icreq(conn, pdu);
		return;
	case NVMETCP_H2C_TERM:
		conn->fake->term = pdu->term;
		conn->fake->terms++;
		fake_close(conn);
		return;
	case NVMETCP_CMD:
		nvme_sqe_decode(pdu->sqe, &conn->sqe);
		conn->to = pdu->data_bytes ? conn->capsule : NULL;
		break;
	default:
		fake_h2c(conn, pdu);
	}
	conn->left = pdu->data_bytes;
	conn->crc = 0;
	conn->digest_left = pdu->ddgst && pdu->data_bytes ? 4 : 0;
	if (!conn->left)
		fake_command(conn, 0);
}

static size_t fake_data(struct fake_conn *conn, const uint8_t *data, size_t len)
{
	size_t n;

	if (conn->left) {
		n = min_size(len, conn->left);
		memcpy(conn->to, data, n);
		conn->crc = crc32c(conn->crc, data, n);
		conn->to += n;
		conn->left -= (uint32_t)n;
	} else {
		n = min_size(len, conn->digest_left);
		memcpy(conn->digest + 4 - conn->digest_left, data, n);
		conn->digest_left = (uint8_t)(conn->digest_left - n);
		if (!conn->digest_left)
			must(nvmetcp_digest_is(conn->digest, conn->crc));
	}
	if (conn->left || conn->digest_left)
		return n;
	conn->to = NULL;
	if (conn->xfer)
		fake_data_end(conn);
	else
		fake_command(conn, fake_capsule_bytes(conn));
	return n;
}

static void fake_recv(void *ctx, const uint8_t *data, ssize_t len)
{
	struct fake_conn *conn = ctx;

	if (len <= 0)
		fake_close(conn);
	while (len > 0 && !conn->closed) {
		struct nvmetcp_fault fault;
		struct nvmetcp_pdu pdu;
		size_t n = 0;
		int r;

		if (conn->to) {
			n = fake_data(conn, data, (size_t)len);
		} else {
			r = nvmetcp_parser_feed(&conn->parser, &conn->rules, data, (size_t)len, &n,
						&pdu, &fault);
			must(r >= 0); /* the initiator says nothing wrong */
			if (r == 0)
				fake_pdu(conn, &pdu);
		}
		data += n;
		len -= (ssize_t)n;
	}
}

/* ---- life --------------------------------------------------------------------------------- */

static void fake_accept(void *ctx, int res, struct io_sock *sock)
{
	struct fake *fake = ctx;
	struct fake_conn *conn;

	must(res == 0);
	if (fake->refuse || fake->conn_count == FAKE_CONNS) {
		io_sock_close(sock);
		return;
	}
	conn = calloc(1, sizeof(*conn));
	conn->fake = fake;
	conn->sock = sock;
	nvmetcp_rules_init(&conn->rules, true);
	conn->rules.capsule_data_max = 16384;
	conn->rules.h2c_data_max = fake->maxh2cdata;
	nvmetcp_parser_init(&conn->parser);
	fake->conns[fake->conn_count++] = conn;
	io_recv_start(sock, fake_recv, conn);
}

struct fake *fake_new(struct fiber *f)
{
	struct io_addr addr = {.family = AF_INET, .ip = {127, 0, 0, 1}};
	struct io_sock_opts opts = {0};
	struct fake *fake = calloc(1, sizeof(*fake));

	*fake = (struct fake){
		.reactor = fiber_reactor(f), .block_size = 512, .blocks = 4096, .told_blocks = 4096,
		.hdgst = true, .ddgst = true, .align = 4, .maxh2cdata = 131072, .capsule = 8192,
		.mqes = 127, .queues = 8, .vwc = 1, .dlfeat = NVME_DLFEAT_WRITE_ZEROES, .c2h_chunk = UINT32_MAX / 2,
		.oncs = NVME_ONCS_COMPARE | NVME_ONCS_WRITE_ZEROES | NVME_ONCS_DATASET_MANAGEMENT,
		.uuid = {1, 2, 3}, .rescap = 4,
	};
	fake->data = calloc(fake->blocks, fake->block_size);
	must(io_listen(fiber_io(f), &addr, &opts, fake_accept, fake, &fake->listener,
		       fiber_err(f)) == 0);
	io_listener_addr(fake->listener, &addr);
	fake->port = addr.port;
	return fake;
}

void fake_free(struct fiber *f, struct fake *fake)
{
	io_listener_close(fake->listener);
	fake_close_all(fake);
	for (unsigned i = 0; i < fake->conn_count; i++) {
		struct fake_conn *conn = fake->conns[i];

		while (conn->sending)
			fiber_yield(f);
		for (unsigned t = 0; t < FAKE_XFERS; t++)
			if (conn->xfers[t].used)
				free(conn->xfers[t].buf);
		free(conn->out);
		free(conn->sent);
		free(conn);
	}
	for (int i = 0; i < 8; i++) /* what was closed is given back in turns to come */
		fiber_yield(f);
	free(fake->data);
	free(fake);
}

const char *fake_uri(const struct fake *fake, const char *extra, char text[512])
{
	snprintf(text, 512, "nvmf://127.0.0.1:%u/%s?%s", fake->port, FAKE_NQN, extra);
	return text;
}
