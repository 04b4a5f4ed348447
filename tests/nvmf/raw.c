// SPDX-License-Identifier: Apache-2.0
/*
 * raw - an NVMe/TCP host of one connection. Q1..Q3 stand in raw.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "nvmf/raw.h"

/* Q3 */
#define raw_fail(raw, error, ...) (snprintf((raw)->why, sizeof((raw)->why), __VA_ARGS__), (error))

void raw_init(struct raw *raw, uint16_t port)
{
	*raw = (struct raw){
		.fd = -1,
		.port = port,
		.align = NVMETCP_ALIGN_MIN,
		.wait_ms = RAW_WAIT_MS,
	};
}

static int raw_bind(struct raw *raw)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int on = 1;

	if (!raw->source)
		return 0;
	inet_pton(AF_INET, raw->source, &from.sin_addr);
	setsockopt(raw->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(raw->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ? -errno : 0;
}

int raw_open(struct raw *raw)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(raw->port) };
	int on = 1, r;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (raw->fd < 0)
		return raw_fail(raw, -errno, "socket: %s", strerror(errno));
	r = raw_bind(raw);
	if (r == 0 && connect(raw->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		r = -errno;
	if (r < 0) {
		raw_close(raw);
		return raw_fail(raw, r, "connect to port %u: %s", raw->port, strerror(-r));
	}
	setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	nvmetcp_rules_init(&raw->rules, false);
	raw->rules.hdgst = raw->digests & RAW_HDGST;
	raw->rules.ddgst = raw->digests & RAW_DDGST;
	memset(raw->commands, 0, sizeof(raw->commands));
	if (!raw->data)
		raw->data = malloc(RAW_DATA_MAX);
	return raw->data ? 0 : -ENOMEM;
}

void raw_close(struct raw *raw)
{
	if (raw->fd >= 0)
		close(raw->fd);
	raw->fd = -1;
	free(raw->data);
	raw->data = NULL;
}

int raw_send(struct raw *raw, const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size > 0) {
		ssize_t n = send(raw->fd, at, size, MSG_NOSIGNAL);

		if (n < 0)
			return raw_fail(raw, -ENOTCONN, "send: %s", strerror(errno));
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

static int64_t raw_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static int raw_get(struct raw *raw, uint8_t *at, size_t size)
{
	int64_t deadline = raw_now_ms() + raw->wait_ms;

	while (size > 0) {
		struct pollfd ready = { .fd = raw->fd, .events = POLLIN };
		int64_t left = deadline - raw_now_ms();
		ssize_t n = recv(raw->fd, at, size, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			if (left <= 0)
				return raw_fail(raw, -ETIMEDOUT, "nothing came in time");
			poll(&ready, 1, (int)left);
			continue;
		}
		if (n <= 0)
			return raw_fail(raw, -ENOTCONN, "the target closed the connection%s",
					n < 0 ? " (reset)" : "");
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

/* What follows the head, and its digest. */
static int raw_get_data(struct raw *raw, const struct nvmetcp_pdu *pdu)
{
	uint8_t digest[NVMETCP_DIGEST_BYTES];
	int r;

	if (pdu->data_bytes > RAW_DATA_MAX)
		return raw_fail(raw, -EPROTO, "%u bytes of data in a PDU", pdu->data_bytes);
	r = raw_get(raw, raw->data, pdu->data_bytes);
	if (r < 0 || !pdu->ddgst)
		return r;
	r = raw_get(raw, digest, sizeof(digest));
	if (r < 0)
		return r;
	if (!nvmetcp_digest_is(digest, crc32c(0, raw->data, pdu->data_bytes)))
		return raw_fail(raw, -EPROTO, "wrong data digest of %u bytes", pdu->data_bytes);
	return 0;
}

int raw_recv(struct raw *raw, struct nvmetcp_pdu *ret)
{
	struct nvmetcp_fault fault;
	size_t have = 0;

	for (;;) {
		int need = nvmetcp_decode(&raw->rules, raw->head, have, ret, &fault);
		int r;

		if (need < 0) /* Q1 */
			return raw_fail(raw, -EPROTO, "PDU of type %u refused: FES %u, FEI %u",
					raw->head[0], fault.fes, fault.fei);
		if (need == 0)
			break;
		r = raw_get(raw, raw->head + have, (size_t)need - have);
		if (r < 0)
			return r;
		have = (size_t)need;
	}
	return raw_get_data(raw, ret);
}

int raw_wait_closed(struct raw *raw)
{
	uint8_t byte[4096];
	int64_t deadline = raw_now_ms() + raw->wait_ms;

	while (raw_now_ms() < deadline) {
		struct pollfd ready = { .fd = raw->fd, .events = POLLIN };
		ssize_t n;

		poll(&ready, 1, 100);
		n = recv(raw->fd, byte, sizeof(byte), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return 0;
	}
	return raw_fail(raw, -ETIMEDOUT, "the target did not close the connection");
}

int raw_hello(struct raw *raw)
{
	struct nvmetcp_ic icreq = {
		.align = raw->align,
		.hdgst = raw->digests & RAW_HDGST,
		.ddgst = raw->digests & RAW_DDGST,
		.maxr2t = raw->maxr2t,
	};
	uint8_t bytes[NVMETCP_HEAD_MAX];
	struct nvmetcp_pdu pdu;
	int r = raw_send(raw, bytes, nvmetcp_icreq_encode(&icreq, bytes));

	if (r == 0)
		r = raw_recv(raw, &pdu);
	if (r < 0)
		return r;
	if (pdu.type == NVMETCP_C2H_TERM) {
		raw->term = (struct nvmetcp_fault){ .fes = pdu.term.fes, .fei = pdu.term.fei };
		return raw_fail(raw, -ECONNABORTED, "terminated: FES %u, FEI %u", pdu.term.fes,
				pdu.term.fei);
	}
	raw->icresp = pdu.ic;
	nvmetcp_rules_agree(&raw->rules, &icreq, &pdu.ic);
	return 0;
}

/* Digest and data behind a head; returns bytes in all. */
static size_t raw_finish(const struct raw *raw, const void *data, uint32_t bytes, unsigned head,
			 uint8_t *ret)
{
	if (!bytes)
		return head;
	memcpy(ret + head, data, bytes);
	if (!raw->rules.ddgst)
		return head + bytes;
	nvmetcp_digest_put(ret + head + bytes, crc32c(0, data, bytes));
	return head + bytes + NVMETCP_DIGEST_BYTES;
}

size_t raw_capsule(const struct raw *raw, const struct nvme_sqe *sqe, const void *data,
		   uint32_t bytes, uint8_t *ret)
{
	return raw_finish(raw, data, bytes, nvmetcp_cmd_encode(&raw->rules, sqe, bytes, ret), ret);
}

size_t raw_h2c(const struct raw *raw, const struct nvmetcp_data *extent, bool last,
	       const void *data, uint8_t *ret)
{
	unsigned head = nvmetcp_data_encode(&raw->rules, extent, last ? NVMETCP_LAST : 0, ret);

	return raw_finish(raw, data, extent->length, head, ret);
}

static int raw_take_cid(struct raw *raw, struct raw_command *command)
{
	for (unsigned i = 0; i < RAW_COMMANDS_MAX; i++) {
		uint16_t cid = raw->next_cid++ % RAW_COMMANDS_MAX;

		if (!raw->commands[cid]) {
			raw->commands[cid] = command;
			command->sqe.cid = cid;
			return 0;
		}
	}
	return raw_fail(raw, -EBUSY, "too many commands at once");
}

static int raw_send_capsule(struct raw *raw, const struct raw_command *command)
{
	uint32_t bytes = command->capsule_offset + command->bytes;
	uint8_t *capsule = calloc(1, NVMETCP_HEAD_MAX + bytes + NVMETCP_DIGEST_BYTES);
	uint8_t *data = calloc(1, bytes);
	int r = -ENOMEM;

	if (capsule && data) {
		memcpy(data + command->capsule_offset, command->out, command->bytes);
		r = raw_send(raw, capsule, raw_capsule(raw, &command->sqe, data, bytes, capsule));
	}
	free(capsule);
	free(data);
	return r;
}

int raw_post(struct raw *raw, struct raw_command *command)
{
	struct nvme_sgl sgl = {
		.in_capsule = command->way == RAW_CAPSULE,
		.offset = command->capsule_offset,
		.length = command->bytes,
	};
	uint8_t bytes[NVMETCP_HEAD_MAX];
	int r = raw_take_cid(raw, command);

	if (r < 0)
		return r;
	command->done = command->by_flag = false;
	command->moved = command->r2ts = 0;
	if (command->way != RAW_AS_IS) {
		nvme_sgl_encode(&sgl, &command->sqe);
		if (command->sqe.opcode == NVME_FABRICS)
			command->sqe.flags = NVME_PSDT_SGL;
	}
	if (command->way == RAW_CAPSULE && command->bytes)
		return raw_send_capsule(raw, command);
	return raw_send(raw, bytes, nvmetcp_cmd_encode(&raw->rules, &command->sqe, 0, bytes));
}

static struct raw_command *raw_find(struct raw *raw, uint16_t cid)
{
	return cid < RAW_COMMANDS_MAX ? raw->commands[cid] : NULL;
}

static int raw_c2h_data(struct raw *raw, const struct nvmetcp_pdu *pdu)
{
	struct raw_command *command = raw_find(raw, pdu->data.cccid);

	if (!command || !command->in)
		return raw_fail(raw, -EPROTO, "data for command %u, which has none",
				pdu->data.cccid);
	if (pdu->data.offset != command->moved ||
	    pdu->data.length > command->bytes - command->moved)
		return raw_fail(raw, -EPROTO, "data %u+%u after %u of %u bytes", pdu->data.offset,
				pdu->data.length, command->moved, command->bytes);
	memcpy(command->in + command->moved, raw->data, pdu->data.length);
	command->moved += pdu->data.length;
	if (!!(pdu->flags & NVMETCP_LAST) != (command->moved == command->bytes))
		return raw_fail(raw, -EPROTO, "LAST_PDU at %u of %u bytes", command->moved,
				command->bytes);
	if (pdu->flags & NVMETCP_SUCCESS) {
		command->cqe = (struct nvme_cqe){ .cid = command->sqe.cid };
		command->done = command->by_flag = true;
		raw->commands[command->sqe.cid] = NULL;
	}
	return 0;
}

/* Answers the R2T with as many H2CData as MAXH2CDATA makes of it. */
static int raw_r2t(struct raw *raw, const struct nvmetcp_pdu *pdu)
{
	struct raw_command *command = raw_find(raw, pdu->data.cccid);
	struct nvmetcp_data extent = pdu->data;
	uint32_t end = pdu->data.offset + pdu->data.length;
	int r = 0;

	if (!command || !command->out || command->way == RAW_CAPSULE)
		return raw_fail(raw, -EPROTO, "R2T for command %u, which has no data",
				pdu->data.cccid);
	if (extent.offset != command->moved || end > command->bytes)
		return raw_fail(raw, -EPROTO, "R2T %u+%u after %u of %u bytes", extent.offset,
				extent.length, command->moved, command->bytes);
	command->r2ts++;
	while (r == 0 && extent.offset < end) {
		uint8_t *bytes;

		extent.length = min_u32(end - extent.offset, raw->rules.h2c_data_max);
		bytes = malloc(NVMETCP_HEAD_MAX + extent.length + NVMETCP_DIGEST_BYTES);
		if (!bytes)
			return -ENOMEM;
		r = raw_send(raw, bytes,
			     raw_h2c(raw, &extent, extent.offset + extent.length == end,
				     command->out + extent.offset, bytes));
		free(bytes);
		extent.offset += extent.length;
	}
	command->moved = end;
	return r;
}

static int raw_response(struct raw *raw, const struct nvmetcp_pdu *pdu)
{
	struct nvme_cqe cqe;
	struct raw_command *command;

	nvme_cqe_decode(pdu->cqe, &cqe);
	command = raw_find(raw, cqe.cid);
	if (!command)
		return raw_fail(raw, -EPROTO, "a completion of command %u, which there is not",
				cqe.cid);
	raw->commands[cqe.cid] = NULL;
	command->cqe = cqe;
	command->done = true;
	if (cqe.status == NVME_SUCCESS && command->moved != command->bytes &&
	    command->way == RAW_TRANSPORT) /* Q2 */
		return raw_fail(raw, -EPROTO, "command %u ended after %u of %u bytes", cqe.cid,
				command->moved, command->bytes);
	return 0;
}

int raw_pump(struct raw *raw)
{
	struct nvmetcp_pdu pdu;
	int r = raw_recv(raw, &pdu);

	if (r < 0)
		return r;
	switch (pdu.type) {
	case NVMETCP_RESP:
		return raw_response(raw, &pdu);
	case NVMETCP_C2H_DATA:
		return raw_c2h_data(raw, &pdu);
	case NVMETCP_R2T:
		return raw_r2t(raw, &pdu);
	default:
		raw->term = (struct nvmetcp_fault){ .fes = pdu.term.fes, .fei = pdu.term.fei };
		return raw_fail(raw, -ECONNABORTED, "terminated: FES %u, FEI %u", pdu.term.fes,
				pdu.term.fei);
	}
}

int raw_wait(struct raw *raw, struct raw_command *command)
{
	while (!command->done) {
		int r = raw_pump(raw);

		if (r < 0)
			return r;
	}
	return 0;
}

int raw_do(struct raw *raw, struct raw_command *command)
{
	int r = raw_post(raw, command);

	return r < 0 ? r : raw_wait(raw, command);
}

int raw_join(struct raw *raw, const struct raw_join *join, struct nvme_cqe *ret_cqe)
{
	struct nvme_connect connect = {
		.qid = join->qid,
		.sqsize = (uint16_t)(join->entries - 1),
		.cattr = join->cattr,
		.kato_ms = join->kato_ms,
		.cntlid = join->cntlid,
	};
	uint8_t data[NVME_CONNECT_DATA_BYTES];
	struct raw_command command = {
		.way = RAW_CAPSULE,
		.bytes = sizeof(data),
		.out = data,
	};
	int r;

	memcpy(connect.host_id, join->host_id, sizeof(connect.host_id));
	snprintf(connect.subnqn, sizeof(connect.subnqn), "%s", join->subnqn);
	snprintf(connect.hostnqn, sizeof(connect.hostnqn), "%s", join->hostnqn);
	nvme_connect_encode(&connect, &command.sqe, data);
	r = raw_do(raw, &command);
	if (r < 0)
		return r;
	*ret_cqe = command.cqe;
	raw->qid = join->qid;
	raw->entries = join->entries;
	raw->cntlid = nvme_connect_result_cntlid(command.cqe.result);
	return 0;
}
