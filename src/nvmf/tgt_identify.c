// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_identify - the Identify command (Base 2.0, section 5.17), one table line per CNS.
 *
 * What is not in the table is an invalid field: NVM sets, endurance groups, domains,
 * virtualization and UUID lists, which no controller of ours claims to have.
 *
 * An identifier that may be a namespace but is none now gives zeros where the specification
 * says so; one that never can be (0, or above NN) is an invalid namespace.
 */
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/le.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_vendor_priv.h"
#include "reactor/fiber.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_status.h"

#define BAD   (NVME_INVALID_FIELD | NVME_DNR)
#define NO_NS (NVME_INVALID_NAMESPACE | NVME_DNR)
#define WZSL  13u /* Write Zeroes: 4096 << 13 bytes, 65536 blocks of 512 */
#define SQES  0x66u
#define CQES  0x44u
#define FRMW  0x03u /* one slot, read-only */
#define POWER 2500u /* centiwatts: something must be said */

/* ---- the controller ------------------------------------------------------------------------- */

/* Of any controller. */
static void id_ctrl_common(const struct tgt_ctrl *ctrl, struct nvme_id_ctrl *id)
{
	const struct tgt_subsys *subsys = ctrl->subsys;

	if (subsys->is_discovery) { /* nobody gave it names */
		tgt_subsys_serial(subsys->nqn, id->sn);
		snprintf(id->mn, sizeof(id->mn), "%s", TGT_MODEL_DEFAULT);
	} else {
		snprintf(id->sn, sizeof(id->sn), "%s", subsys->serial);
		snprintf(id->mn, sizeof(id->mn), "%s", subsys->model);
	}
	snprintf(id->fr, sizeof(id->fr), "%s", TGT_FIRMWARE);
	snprintf(id->subnqn, sizeof(id->subnqn), "%s", subsys->nqn);
	id->mdts = TGT_MDTS;
	id->cntlid = ctrl->cntlid;
	id->ver = TGT_VERSION;
	id->ctratt = NVME_CTRATT_HOST_ID_128;
	id->aerl = TGT_AERS_MAX - 1;
	id->acl = TGT_ABORTS_MAX - 1;
	id->elpe = TGT_ERRORS_MAX - 1;
	id->kas = TGT_KAS_MS / 100;
	id->maxcmd = (uint16_t)(nvme_cap_decode(tgt_ctrl_cap(ctrl)).mqes + 1);
	id->sgls = NVME_SGLS_SUPPORTED | NVME_SGLS_OFFSETS | NVME_SGLS_TRANSPORT;
	id->lpa = NVME_LPA_EXTENDED | NVME_LPA_SUPPORTED_PAGES;
	id->sqes = SQES;
	id->cqes = CQES;
	id->ioccsz = (NVME_SQE_BYTES + TGT_CAPSULE_DATA) / 16;
	id->iorcsz = NVME_CQE_BYTES / 16;
	id->msdbd = 1;
	id->ofcs = 1; /* Disconnect */
}

static void id_ctrl_io(const struct tgt_subsys *subsys, struct nvme_id_ctrl *id)
{
	id->cntrltype = NVME_CTRL_IO;
	id->cmic = NVME_CMIC_MULTI_PORT | NVME_CMIC_MULTI_CTRL | NVME_CMIC_ANA;
	id->oaes = NVME_OAES_NS_ATTRIBUTE | NVME_OAES_ANA;
	id->frmw = FRMW;
	id->lpa |= NVME_LPA_SMART_PER_NS | NVME_LPA_EFFECTS;
	id->wctemp = TGT_KELVIN_WARN;
	id->cctemp = TGT_KELVIN_CRIT;
	id->anatt = TGT_ANA_SECONDS;
	id->anacap = NVME_ANACAP_OPTIMIZED | NVME_ANACAP_NON_OPTIMIZED | NVME_ANACAP_INACCESSIBLE |
		     NVME_ANACAP_PERSISTENT_LOSS | NVME_ANACAP_CHANGE;
	id->anagrpmax = TGT_ANA_GROUPS_MAX;
	id->nanagrpid = TGT_ANA_GROUPS_MAX;
	id->nn = TGT_NAMESPACES_MAX;
	id->mnan = TGT_NAMESPACES_MAX;
	id->oncs = NVME_ONCS_COMPARE | NVME_ONCS_DATASET_MANAGEMENT | NVME_ONCS_WRITE_ZEROES |
		   NVME_ONCS_SAVE_SELECT | NVME_ONCS_TIMESTAMP;
	if (!subsys->no_reservations)
		id->oncs |= NVME_ONCS_RESERVATIONS;
	/* always, or a disk that comes later would have no flushes */
	id->vwc = NVME_VWC_PRESENT | NVME_VWC_FLUSH_ALL_NO;
	id->psd0_mp = POWER;
}

void tgt_id_ctrl(const struct tgt_ctrl *ctrl, struct nvme_id_ctrl *ret)
{
	*ret = (struct nvme_id_ctrl){ 0 };
	id_ctrl_common(ctrl, ret);
	if (ctrl->subsys->is_discovery) {
		ret->cntrltype = NVME_CTRL_DISCOVERY;
		ret->oaes = (uint32_t)NVME_OAES_DISCOVERY;
		return;
	}
	id_ctrl_io(ctrl->subsys, ret);
}

static uint16_t cns_ctrl(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	struct nvme_id_ctrl id;

	tgt_id_ctrl(cmd->ctrl, &id);
	nvme_id_ctrl_encode(&id, cmd->data);
	if (cmd->ctrl->subsys->vendor)
		nvme_vendor_advertise(cmd->data);
	return NVME_SUCCESS;
}

static uint16_t cns_ctrl_nvm(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	const struct nvme_id_ctrl_nvm id = { .wzsl = WZSL };

	if (asked->csi != NVME_CSI_NVM)
		return BAD;
	nvme_id_ctrl_nvm_encode(&id, cmd->data);
	return NVME_SUCCESS;
}

/* ---- a namespace ---------------------------------------------------------------------------- */

static uint8_t rescap(const struct tgt_ns *ns)
{
	if (ns->subsys->no_reservations)
		return 0;
	return NVME_RESCAP_WRITE_EXCLUSIVE | NVME_RESCAP_EXCLUSIVE_ACCESS | NVME_RESCAP_IEKEY_13 |
	       (tgt_resv_can_persist(ns) ? NVME_RESCAP_PTPL : 0);
}

static uint16_t zero_based(uint64_t blocks)
{
	return blocks ? (uint16_t)(min_u64(blocks, 65536) - 1) : 0;
}

/* Preferred sizes of writes and deallocations, from what the disk is made of. */
static void id_ns_sizes(const struct tgt_ns *ns, struct nvme_id_ns *id)
{
	const struct bdev *bdev = ns->bdev;
	uint64_t physical = bdev->physical_block_size >> ns->shift;

	id->nsfeat |= NVME_NSFEAT_OPTIMAL_IO;
	id->npwg = id->npwa = zero_based(physical);
	id->npdg = id->npda = id->npwg;
	id->nows = bdev->optimal_io_blocks ? zero_based(bdev->optimal_io_blocks) : id->npwg;
}

void tgt_id_ns(const struct tgt_ns *ns, struct nvme_id_ns *ret)
{
	const struct bdev *bdev = ns->bdev;

	*ret = (struct nvme_id_ns){
		.nsze = bdev->blocks,
		.ncap = bdev->blocks,
		.nuse = bdev->blocks,
		.nvmcap = bdev->blocks << ns->shift,
		.nmic = NVME_NMIC_SHARED,
		.rescap = rescap(ns),
		.anagrpid = ns->ana_group,
		.nsattr = ns->rules.is_read_only ? NVME_NSATTR_WRITE_PROTECT : 0,
		.lbaf[0] = { .lbads = ns->shift },
	};
	memcpy(ret->nguid, ns->nguid, sizeof(ret->nguid));
	memcpy(ret->eui64, ns->eui64, sizeof(ret->eui64));
	if (bdev->unmap_zeroes)
		ret->dlfeat = NVME_DLFEAT_ZEROES;
	if (bdev->can_zeroes)
		ret->dlfeat |= NVME_DLFEAT_WRITE_ZEROES;
	id_ns_sizes(ns, ret);
}

static bool nsid_is_valid(uint32_t nsid)
{
	return nsid >= 1 && nsid <= TGT_NAMESPACES_MAX;
}

static uint16_t cns_ns(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	const struct tgt_ns *ns = tgt_ns_active(cmd->ctrl->subsys, cmd->sqe.nsid);
	struct nvme_id_ns id;

	if (!nsid_is_valid(cmd->sqe.nsid))
		return NO_NS;
	if (!ns)
		return NVME_SUCCESS; /* zeros */
	tgt_id_ns(ns, &id);
	nvme_id_ns_encode(&id, cmd->data);
	return NVME_SUCCESS;
}

static uint16_t cns_ns_independent(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	const struct tgt_ns *ns = tgt_ns_active(cmd->ctrl->subsys, cmd->sqe.nsid);
	struct nvme_id_ns_independent id;
	struct nvme_id_ns full;

	if (!nsid_is_valid(cmd->sqe.nsid))
		return NO_NS;
	if (!ns)
		return NVME_SUCCESS;
	tgt_id_ns(ns, &full);
	id = (struct nvme_id_ns_independent){
		.nsfeat = full.nsfeat,
		.nmic = full.nmic,
		.rescap = full.rescap,
		.fpi = full.fpi,
		.anagrpid = full.anagrpid,
		.nsattr = full.nsattr,
		.nstat = NVME_NSTAT_READY,
	};
	nvme_id_ns_independent_encode(&id, cmd->data);
	return NVME_SUCCESS;
}

/* No protection information, no storage tags: all zeros, of any namespace. */
static uint16_t cns_ns_nvm(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	if (asked->csi != NVME_CSI_NVM)
		return BAD;
	return nsid_is_valid(cmd->sqe.nsid) ? NVME_SUCCESS : NO_NS;
}

static uint16_t cns_descriptors(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	static const uint8_t zeros[16];
	const struct tgt_ns *ns = tgt_ns_active(cmd->ctrl->subsys, cmd->sqe.nsid);
	const uint8_t csi = NVME_CSI_NVM;
	struct builder builder;
	int r = 0;

	if (!ns)
		return NO_NS;
	builder_init(&builder, cmd->data, NVME_IDENTIFY_BYTES);
	if (memcmp(ns->eui64, zeros, sizeof(ns->eui64)) != 0)
		r = nvme_ns_name_put(&builder, NVME_NIDT_EUI64, ns->eui64);
	if (r == 0)
		r = nvme_ns_name_put(&builder, NVME_NIDT_NGUID, ns->nguid);
	if (r == 0)
		r = nvme_ns_name_put(&builder, NVME_NIDT_UUID, ns->uuid.bytes);
	if (r == 0)
		r = nvme_ns_name_put(&builder, NVME_NIDT_CSI, &csi);
	return r == 0 ? NVME_SUCCESS : NVME_INTERNAL_ERROR;
}

/* ---- lists ---------------------------------------------------------------------------------- */

static uint16_t cns_nsids(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	unsigned count = 0;

	if (cmd->sqe.nsid >= NVME_NSID_MAX)
		return NO_NS;
	for (uint32_t nsid = cmd->sqe.nsid + 1; nsid <= TGT_NAMESPACES_MAX; nsid++)
		if (tgt_ns_active(cmd->ctrl->subsys, nsid))
			le32_put(cmd->data + 4 * (size_t)count++, nsid);
	return NVME_SUCCESS;
}

static uint16_t cns_nsids_of_set(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	return asked->csi == NVME_CSI_NVM ? cns_nsids(cmd, asked) : BAD;
}

static uint16_t cns_ns_of_set(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	return cns_ns_nvm(cmd, asked);
}

/* The lowest controller that lives, from this number on; 0: none. */
static uint16_t cntlid_from(const struct tgt_subsys *subsys, uint32_t from)
{
	const struct tgt_ctrl *ctrl;
	uint16_t lowest = 0;

	list_for_each(ctrl, &subsys->ctrls, link)
		if (ctrl->state == TGT_CTRL_LIVE && ctrl->cntlid >= from &&
		    (!lowest || ctrl->cntlid < lowest))
			lowest = ctrl->cntlid;
	return lowest;
}

static uint16_t cns_ctrls(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	uint32_t from = asked->cntid;
	uint16_t count = 0, cntlid;

	while (count < NVME_CNTLIDS_MAX && (cntlid = cntlid_from(cmd->ctrl->subsys, from))) {
		count++;
		le16_put(cmd->data + 2 * (size_t)count, cntlid);
		from = cntlid + 1u;
	}
	le16_put(cmd->data, count);
	return NVME_SUCCESS;
}

/* All controllers see all namespaces. */
static uint16_t cns_ctrls_of_ns(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	return tgt_ns_active(cmd->ctrl->subsys, cmd->sqe.nsid) ? cns_ctrls(cmd, asked) : NO_NS;
}

static uint16_t cns_command_sets(struct tgt_cmd *cmd, const struct nvme_identify *asked)
{
	static const uint64_t sets[] = { UINT64_C(1) << NVME_CSI_NVM };

	if (asked->cntid != NVME_CNTLID_ANY && asked->cntid != cmd->ctrl->cntlid)
		return BAD;
	nvme_command_sets_encode(sets, ARRAY_LEN(sets), cmd->data);
	return NVME_SUCCESS;
}

/* ---- the table ------------------------------------------------------------------------------ */

static const struct {
	uint8_t cns;
	bool of_discovery; /* discovery controllers have it, too */
	uint16_t (*run)(struct tgt_cmd *cmd, const struct nvme_identify *asked);
} table[] = {
	{ NVME_CNS_NS, false, cns_ns },
	{ NVME_CNS_CTRL, true, cns_ctrl },
	{ NVME_CNS_ACTIVE_NSIDS, true, cns_nsids }, /* empty there */
	{ NVME_CNS_NS_DESCRIPTORS, false, cns_descriptors },
	{ NVME_CNS_NS_OF_SET, false, cns_ns_of_set },
	{ NVME_CNS_CTRL_OF_SET, false, cns_ctrl_nvm },
	{ NVME_CNS_ACTIVE_NSIDS_OF_SET, false, cns_nsids_of_set },
	{ NVME_CNS_NS_INDEPENDENT, false, cns_ns_independent },
	{ NVME_CNS_ALLOCATED_NSIDS, false, cns_nsids },
	{ NVME_CNS_ALLOCATED_NS, false, cns_ns },
	{ NVME_CNS_CTRLS_OF_NS, false, cns_ctrls_of_ns },
	{ NVME_CNS_CTRLS, false, cns_ctrls },
	{ NVME_CNS_ALLOCATED_NSIDS_OF_SET, false, cns_nsids_of_set },
	{ NVME_CNS_ALLOCATED_NS_OF_SET, false, cns_ns_of_set },
	{ NVME_CNS_COMMAND_SETS, false, cns_command_sets },
};

uint16_t tgt_identify(struct fiber *f, struct tgt_cmd *cmd)
{
	struct nvme_identify asked = nvme_identify_decode(&cmd->sqe);

	(void)f;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (table[i].cns != asked.cns)
			continue;
		if (cmd->ctrl->subsys->is_discovery && !table[i].of_discovery)
			return BAD;
		if (cmd->data_bytes < NVME_IDENTIFY_BYTES)
			return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
		cmd->ret_bytes = NVME_IDENTIFY_BYTES;
		return table[i].run(cmd, &asked);
	}
	return BAD;
}
