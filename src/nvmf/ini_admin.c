// SPDX-License-Identifier: Apache-2.0
/*
 * ini_admin - what is said on the admin queue, from Connect to an enabled controller whose
 * limits and namespace are known.
 *
 *   Connect -> CAP -> CC.EN -> CSTS.RDY -> Identify controller -> Number of Queues
 *           -> event configuration -> vendor commands; then Identify namespace, names
 *
 * IA1. A limit the controller gives is obeyed, or the controller is refused with words.
 * IA2. What it says is data of a stranger: no number of it is used unchecked.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"

#define INI_READY_POLL_NS 10000000u
#define INI_READY_MIN_NS  500000000u /* however small CAP.TO is */
#define INI_ENTRIES_MIN	  4u	     /* of an I/O queue that is of use */

static int ini_connect_refused(struct fiber *f, const struct nvme_cqe *cqe)
{
	int r = nvme_status_to_error(cqe->status);

	switch (cqe->status & NVME_SC_MASK) {
	case NVME_CONNECT_INVALID_PARAMS:
		if (cqe->result == nvme_connect_bad(true, NVME_CONNECT_AT_SUBNQN))
			return fiber_fail(f, -ENOENT, "connect: there is no such subsystem");
		r = -EINVAL;
		break;
	case NVME_CONNECT_INVALID_HOST:
		r = -EACCES;
		break;
	case NVME_CONNECT_BUSY:
		r = -EAGAIN;
		break;
	default:
		break;
	}
	return fiber_fail(f, r, "connect: %s (status %03xh)", nvme_status_text(cqe->status),
			  cqe->status & NVME_SC_MASK);
}

int ini_admin_connect(struct fiber *f, struct ini_queue *q, const struct ini_opts *opts,
		      uint16_t cntlid, uint32_t kato_ms, uint16_t *ret_cntlid)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_CONNECT_DATA_BYTES);
	CLEANUP(cleanup_mem) struct nvme_connect *connect = mem_new(fiber_io(f), sizeof(*connect));
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	if (!data || !connect)
		return fiber_fail(f, -ENOMEM, "no memory to connect");
	*connect = (struct nvme_connect){
		.qid = q->qid,
		.sqsize = (uint16_t)q->slots, /* entries, less one (Q2) */
		.cattr = NVME_CATTR_NO_FLOW_CONTROL,
		.kato_ms = kato_ms,
		.cntlid = cntlid,
	};
	memcpy(connect->host_id, opts->host_id.bytes, sizeof(connect->host_id));
	memcpy(connect->subnqn, opts->subnqn, sizeof(connect->subnqn));
	memcpy(connect->hostnqn, opts->hostnqn, sizeof(connect->hostnqn));
	nvme_connect_encode(connect, &sqe, data);
	TRY(ini_call(f, q, &sqe, data, NVME_CONNECT_DATA_BYTES, "connect", &cqe));
	if (cqe.status != NVME_SUCCESS)
		return ini_connect_refused(f, &cqe);
	if (nvme_connect_result_auth(cqe.result))
		return fiber_fail(f, -EACCES, "the controller wants authentication");
	*ret_cntlid = nvme_connect_result_cntlid(cqe.result);
	return 0;
}

/* ---- properties --------------------------------------------------------------------------- */

static int ini_property_get(struct fiber *f, struct ini_queue *q, uint32_t offset, uint8_t bytes,
			    const char *doing, uint64_t *ret)
{
	struct nvme_property property = { .offset = offset, .bytes = bytes };
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &sqe);
	TRY(ini_call_ok(f, q, &sqe, NULL, 0, doing, &cqe));
	*ret = bytes == 8 ? cqe.result : (uint32_t)cqe.result;
	return 0;
}

static int ini_cc_set(struct fiber *f, struct ini_queue *q, bool enable, uint8_t shn)
{
	struct nvme_cc cc = { .enable = enable, .shn = shn, .iosqes = 6, .iocqes = 4 };
	struct nvme_property property = { .offset = NVME_PROP_CC,
					  .bytes = 4,
					  .value = nvme_cc_encode(&cc) };
	struct nvme_sqe sqe = { 0 };
	struct nvme_cqe cqe;

	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &sqe);
	return ini_call_ok(f, q, &sqe, NULL, 0, "setting CC", &cqe);
}

void ini_admin_shutdown(struct fiber *f, struct ini_queue *q)
{
	if (q->state == INI_READY && ini_cc_set(f, q, true, 1) < 0)
		fiber_clear(f); /* it will notice that we are gone */
}

static int ini_admin_await_ready(struct fiber *f, struct ini_queue *q, const struct nvme_cap *cap)
{
	uint64_t limit = max_u64(cap->to * UINT64_C(500000000), INI_READY_MIN_NS);
	uint64_t deadline = reactor_now(q->reactor) + limit, csts;

	for (;;) {
		TRY(ini_property_get(f, q, NVME_PROP_CSTS, 4, "reading CSTS", &csts));
		if (csts & NVME_CSTS_FATAL)
			return fiber_fail(f, -EIO, "the controller reports a fatal status");
		if (csts & NVME_CSTS_READY)
			return 0;
		if (reactor_now(q->reactor) >= deadline)
			return fiber_fail(f, -ETIMEDOUT, "the controller does not become ready");
		TRY(fiber_sleep(f, INI_READY_POLL_NS));
	}
}

/* ---- identify ------------------------------------------------------------------------------- */

static int ini_identify(struct fiber *f, struct ini_queue *q, uint8_t cns, uint32_t nsid,
			const char *doing, uint8_t *data)
{
	struct nvme_identify identify = { .cns = cns };
	struct nvme_sqe sqe = { .nsid = nsid };
	struct nvme_cqe cqe;

	nvme_identify_encode(&identify, &sqe);
	return ini_call_ok(f, q, &sqe, data, NVME_IDENTIFY_BYTES, doing, &cqe);
}

static int ini_ctrl_take(struct fiber *f, const struct nvme_id_ctrl *id, struct ini_ctrl *ctrl)
{
	uint64_t capsule = (uint64_t)id->ioccsz * 16;

	if (id->cntrltype == NVME_CTRL_DISCOVERY || id->cntrltype == NVME_CTRL_ADMIN)
		return fiber_fail(f, -EINVAL, "it is a %s controller: it has no namespaces",
				  id->cntrltype == NVME_CTRL_ADMIN ? "management" : "discovery");
	if (capsule < NVME_SQE_BYTES)
		return fiber_fail(f, -EPROTO, "its capsules would have %" PRIu64 " bytes", capsule);
	if ((id->sqes & 15) > 6 || (id->cqes & 15) > 4)
		return fiber_fail(f, -EPROTO, "its queue entries have other sizes");
	ctrl->capsule_max = (uint32_t)min_u64(capsule - NVME_SQE_BYTES, UINT32_MAX);
	if (id->icdoff)
		ctrl->capsule_max = 0; /* TCP has no such offset; then no data in capsules */
	ctrl->max_io_bytes = UINT64_MAX;
	if (id->mdts > 0 && id->mdts < 32)
		ctrl->max_io_bytes = ctrl->page_bytes << id->mdts;
	ctrl->oncs = id->oncs;
	ctrl->ofcs = id->ofcs;
	ctrl->volatile_cache = id->vwc & NVME_VWC_PRESENT;
	return 0;
}

/* Limits of the NVM command set; a controller that has none of this has no limits of this kind. */
static int ini_admin_limits(struct fiber *f, struct ini_queue *q, uint8_t *data,
			    struct ini_ctrl *ctrl)
{
	struct nvme_identify identify = { .cns = NVME_CNS_CTRL_OF_SET, .csi = NVME_CSI_NVM };
	struct nvme_sqe sqe = { 0 };
	struct nvme_id_ctrl_nvm id;
	struct nvme_cqe cqe;

	ctrl->max_zeroes_bytes = ctrl->max_unmap_blocks = UINT64_MAX;
	nvme_identify_encode(&identify, &sqe);
	TRY(ini_call(f, q, &sqe, data, NVME_IDENTIFY_BYTES, "identify", &cqe));
	if (cqe.status != NVME_SUCCESS)
		return 0;
	TRY(nvme_id_ctrl_nvm_decode(data, NVME_IDENTIFY_BYTES, &id));
	if (id.wzsl > 0 && id.wzsl < 32)
		ctrl->max_zeroes_bytes = ctrl->page_bytes << id.wzsl;
	if (id.dmrsl > 0)
		ctrl->max_unmap_blocks = id.dmrsl;
	return 0;
}

static int ini_admin_identify(struct fiber *f, struct ini_queue *q, struct ini_ctrl *ctrl)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_IDENTIFY_BYTES);
	CLEANUP(cleanup_mem) struct nvme_id_ctrl *id = mem_new(fiber_io(f), sizeof(*id));

	if (!data || !id)
		return fiber_fail(f, -ENOMEM, "no memory to identify the controller");
	TRY(ini_identify(f, q, NVME_CNS_CTRL, 0, "identify controller", data));
	if (nvme_id_ctrl_decode(data, NVME_IDENTIFY_BYTES, id) < 0)
		return fiber_fail(f, -EPROTO, "identify controller: the data make no sense");
	TRY(ini_ctrl_take(f, id, ctrl));
	ctrl->vendor = nvme_vendor_offered(data, NVME_IDENTIFY_BYTES) != 0;
	return ini_admin_limits(f, q, data, ctrl);
}

/* ---- features -------------------------------------------------------------------------------- */

static int ini_feature_set(struct fiber *f, struct ini_queue *q, uint8_t fid, uint32_t value,
			   const char *doing, struct nvme_cqe *ret)
{
	struct nvme_feature feature = { .fid = fid, .value = value };
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_SET_FEATURES };

	nvme_feature_encode(&feature, &sqe);
	return ini_call_ok(f, q, &sqe, NULL, 0, doing, ret);
}

/* What the controller may refuse; then it has not got it. */
static int ini_feature_try(struct fiber *f, struct ini_queue *q, uint8_t fid, uint32_t value,
			   const char *doing, bool *ret)
{
	struct nvme_cqe cqe;

	*ret = ini_feature_set(f, q, fid, value, doing, &cqe) == 0;
	if (*ret)
		return 0;
	if (q->state != INI_READY)
		return -ENOTCONN;
	fiber_clear(f);
	return 0;
}

static int ini_admin_features(struct fiber *f, struct ini_queue *q, uint32_t queues,
			      struct ini_ctrl *ctrl)
{
	uint32_t submission, completion;
	struct nvme_cqe cqe;
	bool tells;

	TRY(ini_feature_set(f, q, NVME_FID_QUEUES, nvme_queues_encode(queues, queues),
			    "asking for queues", &cqe));
	if (nvme_queues_decode((uint32_t)cqe.result, &submission, &completion) != NVME_SUCCESS)
		return fiber_fail(f, -EPROTO, "the controller gave impossible numbers of queues");
	ctrl->queues = min_u32(queues, min_u32(submission, completion));
	TRY(ini_feature_try(f, q, NVME_FID_ASYNC_EVENT, NVME_AEC_NS_ATTRIBUTE, "asking for events",
			    &tells));
	if (!ctrl->vendor)
		return 0;
	return ini_feature_try(f, q, NVME_VENDOR_FID, NVME_VENDOR_VERSION,
			       "asking for replica control", &ctrl->vendor);
}

int ini_admin_enable(struct fiber *f, struct ini_queue *q, const struct ini_opts *opts,
		     struct ini_ctrl *ret)
{
	struct ini_ctrl ctrl = { .cntlid = ret->cntlid };
	struct nvme_cap cap;
	uint64_t value;

	TRY(ini_property_get(f, q, NVME_PROP_CAP, 8, "reading CAP", &value));
	cap = nvme_cap_decode(value);
	ctrl.entries = (uint16_t)min_u32(cap.mqes + 1u, UINT16_MAX);
	ctrl.page_bytes = UINT64_C(4096) << cap.mpsmin;
	if (ctrl.entries < INI_ENTRIES_MIN)
		return fiber_fail(f, -EPROTO, "its queues have only %u entries", ctrl.entries);
	TRY(ini_cc_set(f, q, true, 0));
	TRY(ini_admin_await_ready(f, q, &cap));
	TRY(ini_admin_identify(f, q, &ctrl));
	TRY(ini_admin_features(f, q, opts->queues, &ctrl));
	*ret = ctrl;
	return 0;
}

/* ---- the namespace ------------------------------------------------------------------------------ */

static int ini_ns_first(struct fiber *f, struct ini_queue *q, uint8_t *data, uint32_t *ret)
{
	TRY(ini_identify(f, q, NVME_CNS_ACTIVE_NSIDS, 0, "listing namespaces", data));
	*ret = nvme_nsids_get(data, NVME_IDENTIFY_BYTES, 0);
	if (*ret == 0 || *ret > NVME_NSID_MAX)
		return fiber_fail(f, -ENODEV, "the subsystem has no namespace");
	return 0;
}

static int ini_ns_take(struct fiber *f, const struct nvme_id_ns *id, struct ini_ns *ns)
{
	const struct nvme_lbaf *format = &id->lbaf[nvme_id_ns_format(id)];

	if (id->nsze == 0)
		return fiber_fail(f, -ENODEV, "namespace %" PRIu32 " is not there", ns->nsid);
	if (format->ms)
		return fiber_fail(f, -ENOTSUP,
				  "namespace %" PRIu32 " has %u bytes of metadata a block",
				  ns->nsid, format->ms);
	ns->block_size = UINT32_C(1) << format->lbads;
	if (id->nsze > (uint64_t)INT64_MAX / ns->block_size)
		return fiber_fail(f, -EPROTO, "namespace %" PRIu32 " has %" PRIu64 " blocks",
				  ns->nsid, id->nsze);
	ns->blocks = id->nsze;
	ns->physical_block_size = ns->block_size;
	if (id->nsfeat & NVME_NSFEAT_OPTIMAL_IO) {
		uint64_t physical = (id->npwg + UINT64_C(1)) * ns->block_size;

		if (is_pow2_u64(physical) && physical <= BDEV_BLOCK_MAX)
			ns->physical_block_size = (uint32_t)physical;
		ns->optimal_io_blocks = id->nows + 1u;
	}
	ns->dlfeat = id->dlfeat;
	ns->rescap = id->rescap;
	ns->read_only = id->nsattr & NVME_NSATTR_WRITE_PROTECT;
	memcpy(ns->nguid.bytes, id->nguid, sizeof(ns->nguid.bytes));
	memcpy(ns->eui64, id->eui64, sizeof(ns->eui64));
	return 0;
}

/* Its UUID, where it tells one; old controllers do not know the question. */
static int ini_ns_names(struct fiber *f, struct ini_queue *q, uint8_t *data, struct ini_ns *ns)
{
	struct nvme_identify identify = { .cns = NVME_CNS_NS_DESCRIPTORS };
	struct nvme_sqe sqe = { .nsid = ns->nsid };
	struct nvme_ns_name name;
	struct nvme_cqe cqe;
	struct cursor cursor;

	nvme_identify_encode(&identify, &sqe);
	TRY(ini_call(f, q, &sqe, data, NVME_IDENTIFY_BYTES, "identify", &cqe));
	if (cqe.status != NVME_SUCCESS)
		return 0;
	cursor_init(&cursor, data, NVME_IDENTIFY_BYTES);
	while (nvme_ns_name_next(&cursor, &name) > 0)
		if (name.type == NVME_NIDT_UUID && name.length == sizeof(ns->uuid.bytes))
			memcpy(ns->uuid.bytes, name.bytes, sizeof(ns->uuid.bytes));
	return 0;
}

int ini_admin_namespace(struct fiber *f, struct ini_queue *q, uint32_t nsid, struct ini_ns *ret)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_IDENTIFY_BYTES);
	CLEANUP(cleanup_mem) struct nvme_id_ns *id = mem_new(fiber_io(f), sizeof(*id));
	struct ini_ns ns = { .nsid = nsid };

	if (!data || !id)
		return fiber_fail(f, -ENOMEM, "no memory to identify the namespace");
	if (nsid == 0)
		TRY(ini_ns_first(f, q, data, &ns.nsid));
	TRY(ini_identify(f, q, NVME_CNS_NS, ns.nsid, "identify namespace", data));
	if (le64_get(data) == 0)
		return fiber_fail(f, -ENODEV, "namespace %" PRIu32 " is not there", ns.nsid);
	if (nvme_id_ns_decode(data, NVME_IDENTIFY_BYTES, id) < 0)
		return fiber_fail(f, -EPROTO, "identify namespace: the data make no sense");
	TRY(ini_ns_take(f, id, &ns));
	TRY(ini_ns_names(f, q, data, &ns));
	*ret = ns;
	return 0;
}

int ini_admin_changed(struct fiber *f, struct ini_queue *q, uint32_t nsid, bool *ret)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), NVME_LIST_BYTES);
	struct nvme_get_log log = { .lid = NVME_LID_CHANGED_NS, .length = NVME_LIST_BYTES };
	struct nvme_sqe sqe = { .nsid = NVME_NSID_ALL };
	struct nvme_cqe cqe;
	uint32_t one;

	if (!data)
		return fiber_fail(f, -ENOMEM, "no memory for the list of changed namespaces");
	nvme_get_log_encode(&log, &sqe);
	TRY(ini_call_ok(f, q, &sqe, data, NVME_LIST_BYTES, "listing changed namespaces", &cqe));
	*ret = false;
	for (size_t i = 0; (one = nvme_nsids_get(data, NVME_LIST_BYTES, i)); i++)
		*ret |= one == nsid || one == NVME_NSID_ALL;
	return 0;
}
