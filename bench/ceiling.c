// SPDX-License-Identifier: Apache-2.0
/*
 * ceiling - what the kernel and the loopback allow one core: an NVMe/TCP responder without a
 * block layer, without validation, for well-behaved hosts without digests only.
 *
 *	ceiling [--spin] [--ram] [--size BYTES]		prints "nvme connect ... -s PORT ..."
 *
 * A read is answered with bytes of whatever buffer, a write is taken and forgotten; with --ram
 * they are sent from, and copied to, where they belong in memory of that size. One ring, a
 * multishot receive into shared buffers per connection, parsing in place, all answers of a
 * turn in one send. The measure for the target, never a target.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>

#include "wire/nvme_fabrics.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"
#include "wire/nvmetcp.h"

#define CEILING_NQN   "nqn.2026-01.io.mayastor:ceiling"
#define CONNS_MAX     256
#define RING_ENTRIES  1024
#define BUFFERS	      256u /* a power of two */
#define BUFFER_BYTES  (128u << 10)
#define OUT_BYTES     (12u << 20)
#define BLOCK_SHIFT   9
#define CIDS	      4096
#define H2C_MAX	      (1u << 20)
#define CAPSULE_BYTES 16384u
#define IOVS_MAX      1024u

enum { OP_ACCEPT, OP_RECV, OP_SEND };

struct out {
	uint8_t *bytes;
	size_t size;
	struct msghdr msg;
	struct iovec *iov; /* IOVS_MAX */
};

struct conn {
	int fd;
	uint16_t qid;
	bool by_flag, sending, dead, receiving;
	uint8_t head[128];
	unsigned have;
	uint32_t skip;	   /* data of the PDU before */
	uint16_t skip_cid; /* what is done when they are here */
	bool skip_done;
	uint32_t left[CIDS]; /* of writes by R2T */
	uint64_t to[CIDS];   /* where they belong */
	uint8_t *put;	     /* where `skip` belongs; NULL: nowhere */
	struct out out[2];   /* [0] is being filled, [1] on its way */
	uint64_t cc;
	uint16_t sqhd, entries;
};

struct ceiling {
	struct io_uring ring;
	struct io_uring_buf_ring *buf_ring;
	uint8_t *buffers;
	struct conn *conns[CONNS_MAX];
	uint64_t size;
	uint8_t *ram; /* NULL: none */
};

static void out_iov(struct out *out, void *base, size_t len)
{
	struct iovec *last = &out->iov[out->msg.msg_iovlen - 1];

	if (out->msg.msg_iovlen && (uint8_t *)last->iov_base + last->iov_len == base) {
		last->iov_len += len;
		return;
	}
	if (out->msg.msg_iovlen == IOVS_MAX) {
		fprintf(stderr, "ceiling: too many at once\n");
		exit(1);
	}
	out->iov[out->msg.msg_iovlen++] = (struct iovec){ base, len };
}

static uint8_t *out_take(struct conn *conn, size_t size)
{
	struct out *out = &conn->out[0];

	if (out->size + size > OUT_BYTES) {
		fprintf(stderr, "ceiling: too much at once\n");
		exit(1);
	}
	out->size += size;
	out_iov(out, out->bytes + out->size - size, size);
	return out->bytes + out->size - size;
}

static void put_resp(struct conn *conn, uint16_t cid, uint64_t result, uint16_t status)
{
	uint8_t *pdu = out_take(conn, NVMETCP_RESP_BYTES);

	if (++conn->sqhd == conn->entries)
		conn->sqhd = 0;
	memset(pdu, 0, NVMETCP_RESP_BYTES);
	pdu[0] = NVMETCP_RESP;
	pdu[2] = NVMETCP_RESP_BYTES;
	pdu[4] = NVMETCP_RESP_BYTES;
	le64_put(pdu + 8, result);
	le16_put(pdu + 16, conn->sqhd);
	le16_put(pdu + 20, cid);
	le16_put(pdu + 22, (uint16_t)(status << 1));
}

/* Data to the host and the completion; returns where the data go, if they do not come from `from`. */
static uint8_t *put_data(struct conn *conn, uint16_t cid, uint32_t bytes, uint8_t *from)
{
	uint8_t *pdu = out_take(conn, NVMETCP_DATA_BYTES + (from ? 0 : bytes));

	memset(pdu, 0, NVMETCP_DATA_BYTES);
	pdu[0] = NVMETCP_C2H_DATA;
	pdu[1] = NVMETCP_LAST | (conn->by_flag ? NVMETCP_SUCCESS : 0);
	pdu[2] = NVMETCP_DATA_BYTES;
	pdu[3] = NVMETCP_DATA_BYTES;
	le32_put(pdu + 4, NVMETCP_DATA_BYTES + bytes);
	le16_put(pdu + 8, cid);
	le32_put(pdu + 16, bytes);
	if (from)
		out_iov(&conn->out[0], from, bytes);
	if (!conn->by_flag)
		put_resp(conn, cid, 0, 0);
	return pdu + NVMETCP_DATA_BYTES;
}

static void put_r2t(struct conn *conn, uint16_t cid, uint32_t bytes)
{
	uint8_t *pdu = out_take(conn, NVMETCP_R2T_BYTES);

	memset(pdu, 0, NVMETCP_R2T_BYTES);
	pdu[0] = NVMETCP_R2T;
	pdu[2] = NVMETCP_R2T_BYTES;
	pdu[4] = NVMETCP_R2T_BYTES;
	le16_put(pdu + 8, cid);
	le16_put(pdu + 10, cid);
	le32_put(pdu + 16, bytes);
	conn->left[cid % CIDS] = bytes;
}

/* ---- admin, once in a while ---- */

static void identify(struct ceiling *c, struct conn *conn, const struct nvme_sqe *sqe,
		     uint8_t *data)
{
	static struct nvme_id_ctrl ctrl = {
		.sn = "ceiling",
		.mn = "ceiling",
		.fr = "1",
		.cmic = 2,
		.mdts = 8,
		.ver = 0x10400,
		.ctratt = 1,
		.cntrltype = 1,
		.lpa = 4,
		.kas = 10,
		.sqes = 0x66,
		.cqes = 0x44,
		.maxcmd = 1024,
		.nn = 1,
		.oncs = 0xc,
		.sgls = NVME_SGLS_SUPPORTED | NVME_SGLS_OFFSETS | NVME_SGLS_TRANSPORT,
		.subnqn = CEILING_NQN,
		.ioccsz = 4 + CAPSULE_BYTES / 16,
		.iorcsz = 1,
		.msdbd = 1,
	};
	struct nvme_id_ns ns = { .nsze = c->size >> BLOCK_SHIFT, .nmic = 1, .dlfeat = 1 };
	uint8_t uuid[16] = "ceiling of 2026";
	struct builder builder;

	memset(data, 0, NVME_IDENTIFY_BYTES);
	ns.ncap = ns.nuse = ns.nsze;
	ns.lbaf[0].lbads = BLOCK_SHIFT;
	memcpy(ns.nguid, uuid, 16);
	ctrl.cntlid = 1; /* whoever asks */
	switch ((uint8_t)sqe->cdw10) {
	case NVME_CNS_CTRL:
		nvme_id_ctrl_encode(&ctrl, data);
		break;
	case NVME_CNS_NS:
		nvme_id_ns_encode(&ns, data);
		break;
	case NVME_CNS_ACTIVE_NSIDS:
		le32_put(data, sqe->nsid == 0);
		break;
	case NVME_CNS_NS_DESCRIPTORS:
		builder_init(&builder, data, NVME_IDENTIFY_BYTES);
		if (nvme_ns_name_put(&builder, NVME_NIDT_NGUID, uuid) < 0)
			exit(1);
		break;
	default:
		break;
	}
}

static void fabrics(struct conn *conn, const struct nvme_sqe *sqe)
{
	struct nvme_cap cap = { .mqes = 1023, .cqr = true, .to = 20, .css = 1 };
	uint64_t value = 0;

	if (nvme_sqe_fctype(sqe) == NVME_FABRICS_PROPERTY_SET && sqe->cdw11 == NVME_PROP_CC)
		conn->cc = sqe->cdw12;
	else if (sqe->cdw11 == NVME_PROP_CAP)
		value = nvme_cap_encode(&cap);
	else if (sqe->cdw11 == NVME_PROP_VS)
		value = 0x10400;
	else if (sqe->cdw11 == NVME_PROP_CC)
		value = conn->cc;
	else if (sqe->cdw11 == NVME_PROP_CSTS)
		value = conn->cc & 1 ? (conn->cc >> 14 & 3 ? 9 : 1) : 0;
	put_resp(conn, sqe->cid, value, 0);
}

static void admin(struct ceiling *c, struct conn *conn, const struct nvme_sqe *sqe)
{
	uint32_t bytes = le32_get(sqe->dptr + 8);

	if (sqe->opcode == NVME_ADMIN_ASYNC_EVENT)
		return;
	if (sqe->opcode == NVME_FABRICS)
		fabrics(conn, sqe);
	else if (sqe->opcode == NVME_ADMIN_IDENTIFY)
		identify(c, conn, sqe, put_data(conn, sqe->cid, NVME_IDENTIFY_BYTES, NULL));
	else if (nvme_sqe_dir(sqe) == NVME_DIR_TO_HOST && bytes)
		memset(put_data(conn, sqe->cid, bytes, NULL), 0, bytes);
	else
		put_resp(conn, sqe->cid, (uint8_t)sqe->cdw10 == NVME_FID_QUEUES ? sqe->cdw11 : 0,
			 0);
}

static void connected(struct conn *conn, const uint8_t *sqe)
{
	conn->qid = le16_get(sqe + 42);
	conn->entries = (uint16_t)(le16_get(sqe + 44) + 1);
	conn->by_flag = sqe[46] & NVME_CATTR_NO_FLOW_CONTROL;
	put_resp(conn, le16_get(sqe + 2), 1, 0);
}

/* ---- PDUs ---- */

/* Of an I/O command in its memory; NULL: it has none. */
static uint8_t *place(const struct ceiling *c, const uint8_t *sqe)
{
	uint64_t at = le64_get(sqe + 40) << BLOCK_SHIFT;

	return c->ram ? c->ram + at % c->size : NULL;
}

static void command(struct ceiling *c, struct conn *conn, const uint8_t *pdu)
{
	const uint8_t *bytes = pdu + NVMETCP_AT_SQE;
	uint32_t plen = le32_get(pdu + 4);
	uint16_t cid = le16_get(bytes + 2);
	struct nvme_sqe sqe;

	if (plen > NVMETCP_CMD_BYTES) {
		conn->skip = plen - NVMETCP_CMD_BYTES;
		conn->skip_cid = cid;
		conn->skip_done = bytes[0] != NVME_FABRICS;
		conn->put = conn->qid && bytes[0] == NVME_IO_WRITE ? place(c, bytes) : NULL;
		if (bytes[0] == NVME_FABRICS)
			connected(conn, bytes); /* its names are all right */
		return;
	}
	if (conn->qid && bytes[0] == NVME_IO_READ) {
		put_data(conn, cid, (le16_get(bytes + 48) + 1u) << BLOCK_SHIFT, place(c, bytes));
	} else if (conn->qid && bytes[0] == NVME_IO_WRITE) {
		conn->to[cid % CIDS] = le64_get(bytes + 40) << BLOCK_SHIFT;
		put_r2t(conn, cid, (le16_get(bytes + 48) + 1u) << BLOCK_SHIFT);
	} else if (conn->qid && bytes[0] != NVME_FABRICS) {
		put_resp(conn, cid, 0, 0);
	} else {
		nvme_sqe_decode(bytes, &sqe);
		admin(c, conn, &sqe);
	}
}

static void pdu_head(struct ceiling *c, struct conn *conn, const uint8_t *pdu)
{
	struct nvmetcp_ic ic = { .align = NVMETCP_ALIGN_MIN, .maxh2cdata = H2C_MAX };
	uint16_t cid;

	switch (pdu[0]) {
	case NVMETCP_ICREQ:
		nvmetcp_icresp_encode(&ic, out_take(conn, NVMETCP_IC_BYTES));
		break;
	case NVMETCP_CMD:
		command(c, conn, pdu);
		break;
	case NVMETCP_H2C_DATA:
		cid = le16_get(pdu + 8);
		conn->skip = le32_get(pdu + 4) - NVMETCP_DATA_BYTES;
		conn->put = c->ram ?
				    c->ram + (conn->to[cid % CIDS] + le32_get(pdu + 12)) % c->size :
				    NULL;
		conn->left[cid % CIDS] -= conn->skip;
		conn->skip_cid = cid;
		conn->skip_done = conn->left[cid % CIDS] == 0;
		break;
	default:
		conn->dead = true;
	}
}

static void feed(struct ceiling *c, struct conn *conn, const uint8_t *at, size_t size)
{
	while (size > 0 && !conn->dead) {
		unsigned hlen;

		if (conn->skip) {
			uint32_t used = (uint32_t)min_size(conn->skip, size);

			if (conn->put) {
				memcpy(conn->put, at, used);
				conn->put += used;
			}
			conn->skip -= used;
			at += used;
			size -= used;
			if (!conn->skip && conn->skip_done)
				put_resp(conn, conn->skip_cid, 0, 0);
			continue;
		}
		if (!conn->have && size >= NVMETCP_CH_BYTES && size >= at[2]) {
			hlen = at[2];
			pdu_head(c, conn, at);
			at += hlen;
			size -= hlen;
			continue;
		}
		conn->head[conn->have++] = *at++;
		size--;
		if (conn->have >= NVMETCP_CH_BYTES && conn->have == conn->head[2]) {
			conn->have = 0;
			pdu_head(c, conn, conn->head);
		}
	}
}

/* ---- the ring ---- */

static struct io_uring_sqe *sqe_get(struct ceiling *c)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&c->ring);

	if (!sqe) {
		io_uring_submit(&c->ring);
		sqe = io_uring_get_sqe(&c->ring);
	}
	return sqe;
}

static void arm_recv(struct ceiling *c, unsigned i)
{
	struct io_uring_sqe *sqe = sqe_get(c);

	io_uring_prep_recv_multishot(sqe, c->conns[i]->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 0;
	io_uring_sqe_set_data64(sqe, (uint64_t)i << 8 | OP_RECV);
	c->conns[i]->receiving = true;
}

static void arm_send(struct ceiling *c, unsigned i)
{
	struct conn *conn = c->conns[i];
	struct io_uring_sqe *sqe;
	struct out out;

	if (conn->sending || conn->dead || !conn->out[0].size)
		return;
	out = conn->out[0];
	conn->out[0] = conn->out[1];
	conn->out[1] = out;
	conn->out[0].size = 0;
	conn->out[0].msg.msg_iovlen = 0;
	conn->sending = true;
	sqe = sqe_get(c);
	conn->out[1].msg.msg_iov = out.iov;
	if (out.msg.msg_iovlen == 1)
		io_uring_prep_send(sqe, conn->fd, out.bytes, out.size, MSG_WAITALL | MSG_NOSIGNAL);
	else
		io_uring_prep_sendmsg(sqe, conn->fd, &conn->out[1].msg, MSG_WAITALL | MSG_NOSIGNAL);
	io_uring_sqe_set_data64(sqe, (uint64_t)i << 8 | OP_SEND);
}

static void accepted(struct ceiling *c, int fd)
{
	int on = 1;

	for (unsigned i = 0; i < CONNS_MAX; i++) {
		struct conn *conn;

		if (c->conns[i])
			continue;
		conn = calloc(1, sizeof(*conn));
		if (!conn)
			break;
		conn->fd = fd;
		for (unsigned o = 0; o < 2; o++) {
			conn->out[o].bytes = malloc(OUT_BYTES);
			conn->out[o].iov = calloc(IOVS_MAX, sizeof(struct iovec));
			if (!conn->out[o].bytes || !conn->out[o].iov)
				exit(1);
			memset(conn->out[o].bytes, 0xa5, OUT_BYTES); /* pages of their own */
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c->conns[i] = conn;
		arm_recv(c, i);
		return;
	}
	close(fd);
}

static void give_back(struct ceiling *c, unsigned id)
{
	io_uring_buf_ring_add(c->buf_ring, c->buffers + (size_t)id * BUFFER_BYTES, BUFFER_BYTES,
			      (unsigned short)id, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(c->buf_ring, 1);
}

static void drop(struct ceiling *c, unsigned i)
{
	struct conn *conn = c->conns[i];

	if (!conn->dead)
		shutdown(conn->fd, SHUT_RDWR);
	conn->dead = true;
	if (conn->sending || conn->receiving)
		return;
	close(conn->fd);
	free(conn->out[0].bytes);
	free(conn->out[1].bytes);
	free(conn->out[0].iov);
	free(conn->out[1].iov);
	free(conn);
	c->conns[i] = NULL;
}

static void received(struct ceiling *c, unsigned i, const struct io_uring_cqe *cqe)
{
	struct conn *conn = c->conns[i];

	if (!(cqe->flags & IORING_CQE_F_MORE))
		conn->receiving = false;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

		if (cqe->res > 0 && !conn->dead)
			feed(c, conn, c->buffers + (size_t)id * BUFFER_BYTES, (size_t)cqe->res);
		give_back(c, id);
	}
	if (conn->dead || cqe->res == 0 || (cqe->res < 0 && cqe->res != -ENOBUFS))
		drop(c, i);
	else if (!conn->receiving)
		arm_recv(c, i);
}

static void completed(struct ceiling *c, const struct io_uring_cqe *cqe)
{
	unsigned i = (unsigned)(cqe->user_data >> 8);

	switch (cqe->user_data & 0xff) {
	case OP_ACCEPT:
		if (cqe->res >= 0)
			accepted(c, cqe->res);
		break;
	case OP_RECV:
		received(c, i, cqe);
		break;
	default:
		c->conns[i]->sending = false;
		if (cqe->res < 0 || c->conns[i]->dead)
			drop(c, i);
	}
}

static void serve(struct ceiling *c, bool spin)
{
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		if (spin)
			io_uring_submit_and_get_events(&c->ring);
		else
			io_uring_submit_and_wait(&c->ring, 1);
		io_uring_for_each_cqe(&c->ring, head, cqe)
		{
			completed(c, cqe);
			count++;
		}
		io_uring_cq_advance(&c->ring, count);
		for (unsigned i = 0; count && i < CONNS_MAX; i++)
			if (c->conns[i])
				arm_send(c, i);
	}
}

static int listen_anywhere(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t size = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 128) < 0)
		return -errno;
	getsockname(fd, (struct sockaddr *)&addr, &size);
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static int start_ring(struct ceiling *c)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 16384,
	};
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS };
	void *memory;
	int r = io_uring_queue_init_params(RING_ENTRIES, &c->ring, &params);

	if (r < 0)
		return r;
	c->buffers = malloc((size_t)BUFFERS * BUFFER_BYTES);
	if (!c->buffers || posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)))
		return -ENOMEM;
	c->buf_ring = memory;
	reg.ring_addr = (uint64_t)(uintptr_t)memory;
	io_uring_buf_ring_init(c->buf_ring);
	r = io_uring_register_buf_ring(&c->ring, &reg, 0);
	for (unsigned id = 0; r == 0 && id < BUFFERS; id++)
		give_back(c, id);
	return r;
}

int main(int argc, char **argv)
{
	static struct ceiling c = { .size = UINT64_C(1) << 30 };
	struct io_uring_sqe *sqe;
	bool spin = false, ram = false;
	uint16_t port = 0;
	int fd, r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--spin") == 0)
			spin = true;
		else if (strcmp(argv[i], "--ram") == 0)
			ram = true;
		else if (strcmp(argv[i], "--size") == 0 && i + 1 < argc)
			c.size = strtoull(argv[++i], NULL, 0);
	}
	if (ram) {
		c.ram = malloc(c.size + H2C_MAX);
		if (!c.ram)
			return 2;
		memset(c.ram, 0xa5, c.size + H2C_MAX);
	}
	fd = listen_anywhere(&port);
	r = fd < 0 ? fd : start_ring(&c);
	if (r < 0) {
		fprintf(stderr, "ceiling: %s\n", strerror(-r));
		return 2;
	}
	sqe = sqe_get(&c);
	io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, 0);
	io_uring_sqe_set_data64(sqe, OP_ACCEPT);
	printf("nvme connect -t tcp -a 127.0.0.1 -s %u -n %s\n", port, CEILING_NQN);
	fflush(stdout);
	serve(&c, spin);
	return 0;
}
