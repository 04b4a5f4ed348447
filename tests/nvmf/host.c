// SPDX-License-Identifier: Apache-2.0
/*
 * host - a well-behaved host on top of raw.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvmf/host.h"

#define HOST_ENABLE_TRIES 1000

void host_init(struct host *host, const struct host_opts *opts)
{
	memset(host, 0, sizeof(*host));
	host->opts = *opts;
	snprintf(host->hostnqn, sizeof(host->hostnqn),
		 "nqn.2014-08.org.nvmexpress:uuid:5e7a0000-0000-4000-8000-%012u", opts->number);
	raw_init(&host->admin, opts->port);
	host->admin.source = opts->source;
	host->admin.digests = opts->digests;
	host->admin.align = opts->align ? opts->align : NVMETCP_ALIGN_MIN;
	host->admin.maxr2t = opts->maxr2t;
	host->why = host->admin.why;
	host->join = (struct raw_join){
		.subnqn = opts->subnqn,
		.hostnqn = opts->hostnqn ? opts->hostnqn : host->hostnqn,
		.entries = 32,
		.cntlid = NVME_CNTLID_ANY,
		.kato_ms = opts->kato_ms,
		.host_id = { 0x5e, 0x7a, 0, 0, 0, 0, 0x40, 0, 0x80 },
	};
	host->join.host_id[13] = (uint8_t)(opts->number >> 16);
	host->join.host_id[14] = (uint8_t)(opts->number >> 8);
	host->join.host_id[15] = (uint8_t)opts->number;
}

static int host_refused(struct raw *raw, const char *what, uint16_t status)
{
	snprintf(raw->why, sizeof(raw->why), "%s: status %03xh, %s", what, status & NVME_SC_MASK,
		 nvme_status_text(status));
	return -EIO;
}

static int host_join_queue(struct raw *raw, const struct raw_join *join)
{
	struct nvme_cqe cqe;
	int r = raw_open(raw);

	if (r == 0)
		r = raw_hello(raw);
	if (r == 0)
		r = raw_join(raw, join, &cqe);
	if (r < 0)
		return r;
	return cqe.status ? host_refused(raw, "connect", cqe.status) : 0;
}

int host_open_admin(struct host *host)
{
	return host_join_queue(&host->admin, &host->join);
}

int host_property_get(struct host *host, uint32_t offset, unsigned bytes, uint64_t *ret_value)
{
	struct nvme_property property = { .offset = offset, .bytes = (uint8_t)bytes };
	struct raw_command command = { 0 };
	int r;

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &command.sqe);
	r = raw_do(&host->admin, &command);
	if (r < 0)
		return r;
	*ret_value = bytes == 4 ? (uint32_t)command.cqe.result : command.cqe.result;
	return command.cqe.status ? host_refused(&host->admin, "property get", command.cqe.status) :
				    0;
}

int host_property_set(struct host *host, uint32_t offset, unsigned bytes, uint64_t value)
{
	struct nvme_property property = {
		.offset = offset,
		.bytes = (uint8_t)bytes,
		.value = value,
	};
	struct raw_command command = { 0 };
	int r;

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &command.sqe);
	r = raw_do(&host->admin, &command);
	if (r < 0)
		return r;
	return command.cqe.status ? host_refused(&host->admin, "property set", command.cqe.status) :
				    0;
}

int host_enable(struct host *host)
{
	struct nvme_cc cc = { .enable = true, .iosqes = 6, .iocqes = 4 };
	uint64_t value = 0;
	int r = host_property_get(host, NVME_PROP_CAP, 8, &value);

	if (r < 0)
		return r;
	host->cap = nvme_cap_decode(value);
	r = host_property_set(host, NVME_PROP_CC, 4, nvme_cc_encode(&cc));
	for (unsigned i = 0; r == 0 && i < HOST_ENABLE_TRIES; i++) {
		r = host_property_get(host, NVME_PROP_CSTS, 4, &value);
		if (r == 0 && value & NVME_CSTS_READY)
			return 0;
	}
	return r < 0 ? r : -ETIMEDOUT;
}

int host_admin(struct host *host, struct raw_command *command)
{
	return raw_do(&host->admin, command);
}

int host_identify(struct host *host, uint8_t cns, uint32_t nsid, uint8_t csi,
		  uint8_t ret[NVME_IDENTIFY_BYTES], uint16_t *ret_status)
{
	struct nvme_identify identify = { .cns = cns, .cntid = NVME_CNTLID_ANY, .csi = csi };
	struct raw_command command = { .bytes = NVME_IDENTIFY_BYTES, .in = ret };
	int r;

	nvme_identify_encode(&identify, &command.sqe);
	command.sqe.nsid = nsid;
	r = host_admin(host, &command);
	*ret_status = raw_status(&command);
	return r;
}

int host_log(struct host *host, const struct nvme_get_log *log, uint32_t nsid, uint8_t *ret,
	     uint16_t *ret_status)
{
	struct raw_command command = { .bytes = (uint32_t)log->length, .in = ret };
	int r;

	nvme_get_log_encode(log, &command.sqe);
	command.sqe.nsid = nsid;
	r = host_admin(host, &command);
	*ret_status = raw_status(&command);
	return r;
}

int host_open_io(struct host *host, unsigned i)
{
	struct raw_join join = host->join;

	raw_init(&host->io[i], host->opts.port);
	host->io[i].source = host->opts.source;
	host->io[i].digests = host->opts.digests;
	host->io[i].align = host->admin.align;
	host->io[i].maxr2t = host->opts.maxr2t;
	host->why = host->io[i].why;
	join.qid = (uint16_t)(i + 1);
	join.entries = (uint16_t)min_u32(HOST_QUEUE_ENTRIES, host->cap.mqes + 1u);
	join.cntlid = host->admin.cntlid;
	join.kato_ms = 0;
	return host_join_queue(&host->io[i], &join);
}

static int host_identify_ctrl(struct host *host)
{
	static uint8_t data[NVME_IDENTIFY_BYTES];
	uint16_t status;
	int r = host_identify(host, NVME_CNS_CTRL, 0, 0, data, &status);

	if (r == 0 && status)
		r = host_refused(&host->admin, "identify controller", status);
	if (r == 0)
		r = nvme_id_ctrl_decode(data, sizeof(data), &host->ctrl);
	host->capsule_max = host->ctrl.ioccsz * 16 - NVME_SQE_BYTES;
	host->data_max = host->ctrl.mdts ? 4096u << host->ctrl.mdts : UINT32_MAX;
	return r;
}

int host_open(struct host *host, const struct host_opts *opts)
{
	struct raw_command queues = { 0 };
	struct nvme_feature feature = { .fid = NVME_FID_QUEUES };
	int r;

	host_init(host, opts);
	r = host_open_admin(host);
	if (r == 0)
		r = host_enable(host);
	if (r == 0)
		r = host_identify_ctrl(host);
	if (r < 0 || opts->queues == 0)
		return r;
	feature.value = nvme_queues_encode(opts->queues, opts->queues);
	queues.sqe.opcode = NVME_ADMIN_SET_FEATURES;
	nvme_feature_encode(&feature, &queues.sqe);
	r = host_admin(host, &queues);
	if (r == 0 && queues.cqe.status)
		r = host_refused(&host->admin, "number of queues", queues.cqe.status);
	host->io = calloc(opts->queues, sizeof(*host->io));
	for (unsigned i = 0; r == 0 && i < opts->queues; i++)
		r = host_open_io(host, i);
	return r;
}

void host_close(struct host *host)
{
	for (unsigned i = 0; host->io && i < host->opts.queues; i++)
		if (host->io[i].port) /* it was begun */
			raw_close(&host->io[i]);
	free(host->io);
	host->io = NULL;
	raw_close(&host->admin);
}

static int host_rw(struct host *host, unsigned i, enum nvme_io_opcode opcode, uint32_t nsid,
		   uint64_t lba, uint32_t blocks, struct raw_command *command)
{
	struct nvme_rw rw = { .lba = lba, .blocks = blocks };
	int r;

	command->sqe.opcode = (uint8_t)opcode;
	command->sqe.nsid = nsid;
	nvme_rw_encode(&rw, &command->sqe);
	host->why = host->io[i].why;
	r = raw_do(&host->io[i], command);
	if (r == 0 && command->cqe.status)
		r = host_refused(&host->io[i], "read or write", command->cqe.status);
	return r;
}

int host_read(struct host *host, unsigned i, uint32_t nsid, uint64_t lba, uint32_t blocks,
	      unsigned block, uint8_t *ret)
{
	struct raw_command command = { .bytes = blocks * block, .in = ret };

	return host_rw(host, i, NVME_IO_READ, nsid, lba, blocks, &command);
}

int host_write(struct host *host, unsigned i, uint32_t nsid, uint64_t lba, uint32_t blocks,
	       unsigned block, const uint8_t *bytes)
{
	struct raw_command command = { .bytes = blocks * block, .out = bytes };

	command.way = command.bytes <= host->capsule_max ? RAW_CAPSULE : RAW_TRANSPORT;
	return host_rw(host, i, NVME_IO_WRITE, nsid, lba, blocks, &command);
}
