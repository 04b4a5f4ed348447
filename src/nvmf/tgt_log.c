// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_log - Get Log Page (Base 2.0, section 5.16), one table line per page.
 *
 * A page is put into the window that was asked for; reading beyond its end is an invalid
 * field, reading across it gives zeros. Reading with RAE cleared ends the event of that page,
 * and takes out what was told: changed namespaces, the oldest reservation notification.
 */
#include <stdio.h>
#include <string.h>

#include "base/le.h"
#include "base/must.h"
#include "nvmf/tgt_page_priv.h"
#include "reactor/fiber.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"
#include "wire/nvme_status.h"

#define BAD	    (NVME_INVALID_FIELD | NVME_DNR)
#define SMART_UNIT  (1000u * 512) /* bytes that DATA UNITS READ counts */
#define NS_PER_HOUR (3600ull * 1000 * 1000 * 1000)
#define ANA_PAGE_MAX                                                                 \
	(NVME_ANA_HEAD_BYTES + TGT_ANA_GROUPS_MAX * (uint64_t)NVME_ANA_GROUP_BYTES + \
	 TGT_NAMESPACES_MAX * UINT64_C(4))
#define SPARE_PERCENT 100u
#define SPARE_LEAST   10u

struct page_ask {
	struct nvme_get_log log;
	struct tgt_window window;
	uint64_t size; /* of the whole page, set by who makes it */
};

/* ---- what there is: pages, features, commands ----------------------------------------------- */

static uint32_t page_supported(const struct tgt_subsys *subsys, uint8_t lid);

static uint16_t page_of_pages(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	for (unsigned lid = 0; lid < 256; lid++) {
		uint8_t entry[4];

		le32_put(entry, page_supported(cmd->ctrl->subsys, (uint8_t)lid));
		tgt_window_put(&ask->window, 4 * (uint64_t)lid, entry, sizeof(entry));
	}
	ask->size = NVME_SUPPORTED_BYTES;
	return NVME_SUCCESS;
}

static uint16_t page_of_features(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	for (unsigned fid = 0; fid < 256; fid++) {
		uint8_t entry[4];

		le32_put(entry, tgt_feature_supported(cmd->ctrl->subsys, (uint8_t)fid));
		tgt_window_put(&ask->window, 4 * (uint64_t)fid, entry, sizeof(entry));
	}
	ask->size = NVME_SUPPORTED_BYTES;
	return NVME_SUCCESS;
}

static uint32_t io_effects(const struct tgt_subsys *subsys, uint8_t opcode)
{
	switch (opcode) {
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
	case NVME_IO_FLUSH:
		return NVME_EFFECT_SUPPORTED;
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_ZEROES:
	case NVME_IO_DATASET_MANAGEMENT:
		return NVME_EFFECT_SUPPORTED | NVME_EFFECT_DATA;
	case NVME_IO_RESV_REGISTER:
	case NVME_IO_RESV_REPORT:
	case NVME_IO_RESV_ACQUIRE:
	case NVME_IO_RESV_RELEASE:
		return subsys->no_reservations ? 0 : NVME_EFFECT_SUPPORTED;
	default:
		return 0;
	}
}

/* Admin commands at 0, I/O commands at 1024. */
static uint16_t page_of_commands(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	const struct tgt_subsys *subsys = cmd->ctrl->subsys;

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		uint8_t entry[4];

		le32_put(entry, tgt_admin_effects(subsys, (uint8_t)opcode));
		tgt_window_put(&ask->window, 4 * (uint64_t)opcode, entry, sizeof(entry));
		le32_put(entry, io_effects(subsys, (uint8_t)opcode));
		tgt_window_put(&ask->window, 1024 + 4 * (uint64_t)opcode, entry, sizeof(entry));
	}
	ask->size = NVME_EFFECTS_BYTES;
	return NVME_SUCCESS;
}

/* ---- errors, health, firmware --------------------------------------------------------------- */

static uint16_t page_of_errors(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	const struct tgt_ctrl_admin *admin = &cmd->ctrl->admin;
	uint64_t count = min_u64(admin->error_count, TGT_ERRORS_MAX);

	for (uint64_t i = 0; i < count; i++) {
		uint8_t entry[NVME_ERROR_ENTRY_BYTES];

		nvme_error_entry_encode(
			&admin->errors[(admin->error_count - 1 - i) % TGT_ERRORS_MAX], entry);
		tgt_window_put(&ask->window, i * sizeof(entry), entry, sizeof(entry));
	}
	ask->size = TGT_ERRORS_MAX * NVME_ERROR_ENTRY_BYTES;
	return NVME_SUCCESS;
}

static void stats_add(struct fiber *f, struct tgt_ns *ns, struct nvme_smart *smart)
{
	struct tgt_view_stats stats = { 0 };

	if (!tgt_ns_hold(f, ns))
		return;
	if (ns->rules.is_visible)
		tgt_view_stats(f, ns, &stats);
	smart->host_reads += stats.reads;
	smart->host_writes += stats.writes;
	smart->media_errors += stats.errors;
	smart->data_read += div_up_u64(stats.read_blocks << ns->shift, SMART_UNIT);
	smart->data_written += div_up_u64(stats.written_blocks << ns->shift, SMART_UNIT);
	tgt_ns_drop(f, ns);
}

static uint16_t page_of_health(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	const struct tgt_ctrl *ctrl = cmd->ctrl;
	uint64_t now_ns = reactor_now(ctrl->subsys->tgt->home);
	struct nvme_smart smart = {
		.temperature = TGT_KELVIN,
		.spare_percent = SPARE_PERCENT,
		.spare_threshold = SPARE_LEAST,
		.power_cycles = 1,
		.power_on_hours = (now_ns - ctrl->connected_ns) / NS_PER_HOUR,
		.error_entries = ctrl->admin.error_count,
	};
	bool all = cmd->sqe.nsid == 0 || cmd->sqe.nsid == NVME_NSID_ALL;
	uint8_t page[NVME_SMART_BYTES];

	if (!all && !tgt_ns_active(ctrl->subsys, cmd->sqe.nsid))
		return NVME_INVALID_NAMESPACE | NVME_DNR;
	for (uint32_t nsid = 1; nsid <= TGT_NAMESPACES_MAX; nsid++)
		if ((all || nsid == cmd->sqe.nsid) && tgt_ns_active(ctrl->subsys, nsid))
			stats_add(f, ctrl->subsys->ns[nsid - 1], &smart);
	nvme_smart_encode(&smart, page);
	ask->size = sizeof(page);
	tgt_window_put(&ask->window, 0, page, sizeof(page));
	return NVME_SUCCESS;
}

static uint16_t page_of_firmware(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	struct nvme_firmware firmware = { .active = 1 };
	uint8_t page[NVME_FIRMWARE_BYTES];

	snprintf(firmware.revision[0], sizeof(firmware.revision[0]), "%s", TGT_FIRMWARE);
	nvme_firmware_encode(&firmware, page);
	ask->size = sizeof(page);
	tgt_window_put(&ask->window, 0, page, sizeof(page));
	return NVME_SUCCESS;
}

/* ---- what events tell of -------------------------------------------------------------------- */

static uint16_t page_of_changed_ns(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	struct tgt_ctrl_admin *admin = &cmd->ctrl->admin;
	uint64_t at = 0;

	for (uint32_t nsid = 1; nsid <= TGT_NAMESPACES_MAX; nsid++) {
		uint8_t entry[4];

		if (!(admin->changed[(nsid - 1) / 32] >> (nsid - 1) % 32 & 1))
			continue;
		le32_put(entry, nsid);
		tgt_window_put(&ask->window, at, entry, sizeof(entry));
		at += sizeof(entry);
	}
	ask->size = NVME_LIST_BYTES;
	if (!ask->log.retain && ask->log.offset <= ask->size) {
		memset(admin->changed, 0, sizeof(admin->changed));
		tgt_aer_read(cmd->ctrl, TGT_EVENT_NS, false);
	}
	return NVME_SUCCESS;
}

static uint16_t page_of_ana(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	tgt_ana_page(cmd->ctrl->subsys, ask->log.lsp & NVME_LSP_ANA_GROUPS_ONLY, &ask->window);
	ask->size = ANA_PAGE_MAX; /* hosts read as much as there might be */
	if (!ask->log.retain && ask->log.offset <= ask->size)
		tgt_aer_read(cmd->ctrl, TGT_EVENT_ANA, false);
	return NVME_SUCCESS;
}

static uint16_t page_of_discovery(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	uint16_t status = tgt_discovery_page(cmd->ctrl, &ask->window, &ask->size);

	if (!status && !ask->log.retain && ask->log.offset <= ask->size)
		tgt_aer_read(cmd->ctrl, TGT_EVENT_DISCOVERY, false);
	return status;
}

static uint16_t page_of_resv(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask)
{
	struct tgt_ctrl_admin *admin = &cmd->ctrl->admin;
	struct nvme_resv_log log = { 0 };
	uint8_t page[NVME_RESV_LOG_BYTES];

	if (admin->resv_log_waiting) {
		log = admin->resv_logs[admin->resv_log_first];
		log.more = (uint8_t)(admin->resv_log_waiting - 1);
	}
	nvme_resv_log_encode(&log, page);
	ask->size = sizeof(page);
	tgt_window_put(&ask->window, 0, page, sizeof(page));
	if (ask->log.retain || ask->log.offset > ask->size)
		return NVME_SUCCESS;
	if (admin->resv_log_waiting) {
		admin->resv_log_waiting--;
		admin->resv_log_first = (admin->resv_log_first + 1) % TGT_RESV_LOGS_MAX;
	}
	if (admin->resv_log_waiting)
		admin->pending |= 1u << TGT_EVENT_RESV;
	tgt_aer_read(cmd->ctrl, TGT_EVENT_RESV, admin->resv_log_waiting > 0);
	return NVME_SUCCESS;
}

/* ---- the table ------------------------------------------------------------------------------ */

enum page_kind { OF_IO = 1 << 0, OF_DISCOVERY = 1 << 1, OF_RESV = 1 << 2 };

static const struct page {
	uint8_t lid;
	uint8_t kind;
	uint16_t (*put)(struct fiber *f, struct tgt_cmd *cmd, struct page_ask *ask);
} pages[] = {
	{ NVME_LID_SUPPORTED, OF_IO | OF_DISCOVERY, page_of_pages },
	{ NVME_LID_ERROR, OF_IO | OF_DISCOVERY, page_of_errors },
	{ NVME_LID_SMART, OF_IO, page_of_health },
	{ NVME_LID_FIRMWARE, OF_IO, page_of_firmware },
	{ NVME_LID_CHANGED_NS, OF_IO, page_of_changed_ns },
	{ NVME_LID_EFFECTS, OF_IO | OF_DISCOVERY, page_of_commands },
	{ NVME_LID_ANA, OF_IO, page_of_ana },
	{ NVME_LID_FEATURES, OF_IO | OF_DISCOVERY, page_of_features },
	{ NVME_LID_DISCOVERY, OF_DISCOVERY, page_of_discovery },
	{ NVME_LID_RESERVATION, OF_IO | OF_RESV, page_of_resv },
};

static const struct page *page_find(const struct tgt_subsys *subsys, uint8_t lid)
{
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		if (pages[i].lid != lid)
			continue;
		if ((pages[i].kind & OF_RESV) && subsys->no_reservations)
			return NULL;
		return pages[i].kind & (subsys->is_discovery ? OF_DISCOVERY : OF_IO) ? &pages[i] :
										       NULL;
	}
	return NULL;
}

static uint32_t page_supported(const struct tgt_subsys *subsys, uint8_t lid)
{
	return page_find(subsys, lid) ? NVME_SUPPORTED : 0;
}

uint16_t tgt_log_get(struct fiber *f, struct tgt_cmd *cmd)
{
	const struct page *page;
	struct page_ask ask = { 0 };
	uint16_t status = nvme_get_log_decode(&cmd->sqe, &ask.log);

	if (status)
		return status;
	page = page_find(cmd->ctrl->subsys, ask.log.lid);
	if (!page)
		return NVME_INVALID_LOG_PAGE | NVME_DNR;
	if (ask.log.offset_is_index)
		return BAD;
	if (cmd->data_bytes < ask.log.length)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	ask.window = (struct tgt_window){
		.out = cmd->data,
		.offset = ask.log.offset,
		.length = ask.log.length,
	};
	cmd->ret_bytes = (uint32_t)ask.log.length;
	status = page->put(f, cmd, &ask);
	if (status == NVME_SUCCESS && ask.log.offset > ask.size)
		status = BAD;
	return status;
}
