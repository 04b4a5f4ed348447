/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_page - within the admin half: who answers what, events, and pages of which a part is read.
 */
#ifndef NVMF_TGT_PAGE_PRIV_H
#define NVMF_TGT_PAGE_PRIV_H

#include "nvmf/tgt_priv.h"

/* ---- commands: a status; what goes to the host is set in cmd ---------------------------------- */

MUST_USE uint16_t tgt_identify(struct fiber *f, struct tgt_cmd *cmd);
MUST_USE uint16_t tgt_log_get(struct fiber *f, struct tgt_cmd *cmd);
MUST_USE uint16_t tgt_feature_get(struct fiber *f, struct tgt_cmd *cmd);
MUST_USE uint16_t tgt_feature_set(struct fiber *f, struct tgt_cmd *cmd);
/* Of the page of supported features (12h); 0: it has not. */
uint32_t tgt_feature_supported(const struct tgt_subsys *subsys, uint8_t fid);
/* Defaults; the rest of *admin is zero. */
void tgt_feature_reset(struct tgt_ctrl_admin *admin);
MUST_USE uint16_t tgt_vendor_execute(struct fiber *f, struct tgt_cmd *cmd);
/* An event request; completed now if it is one too many or there is something to tell. */
void tgt_aer_execute(struct tgt_cmd *cmd);

/* For the page of commands and their effects; 0: there is no such. */
uint32_t tgt_admin_effects(const struct tgt_subsys *subsys, uint8_t opcode);
/* For the error log; count is set here. */
void tgt_ctrl_admin_error(struct tgt_ctrl *ctrl, const struct nvme_error_entry *error);

/* ---- events ------------------------------------------------------------------------------------ */

void tgt_aer_raise(struct tgt_ctrl *ctrl, enum tgt_event event);
/* Its log page was read with RAE cleared; `again`: something is still in it. */
void tgt_aer_read(struct tgt_ctrl *ctrl, enum tgt_event event, bool again);

/* To every controller of the subsystem: a namespace came, went, changed. */
void tgt_event_ns(struct tgt_subsys *subsys, uint32_t nsid);
void tgt_event_ana(struct tgt_subsys *subsys);

/* ---- reservations ------------------------------------------------------------------------------ */

/* Feature 83h, and the rules of the data side after a change of ns->resv. */
MUST_USE int tgt_resv_load(struct fiber *f, struct tgt_ns *ns);
void tgt_resv_rules_set(struct tgt_ns *ns);
MUST_USE uint16_t tgt_resv_persist(struct fiber *f, struct tgt_ns *ns, bool on);
bool tgt_resv_can_persist(const struct tgt_ns *ns);

/* ---- namespaces -------------------------------------------------------------------------------- */

/* The active one of this number; NULL. Valid until the fiber suspends, or between hold and drop. */
struct tgt_ns *tgt_ns_active(const struct tgt_subsys *subsys, uint32_t nsid);
/* One change at a time; false (and not held): it is being removed. */
MUST_USE bool tgt_ns_hold(struct fiber *f, struct tgt_ns *ns);
void tgt_ns_drop(struct fiber *f, struct tgt_ns *ns);

/* What a namespace is called if nobody says (tgt_ns.c): the same for ever. */
struct uuid tgt_ns_name(const char *subnqn, const struct bdev *bdev);
#define TGT_MODEL_DEFAULT "Mayastor"
/* 20 hexadecimal digits. */
void tgt_subsys_serial(const char *nqn, char ret[TGT_SERIAL_MAX + 1]);
/* nqn.yyyy-mm.domain[:text]; printable, at most 223 bytes. */
bool tgt_nqn_is_good(const char *nqn);

/* ---- pages ------------------------------------------------------------------------------------- */

/* The part of a page that was asked for. */
struct tgt_window {
	uint8_t *out; /* zeroed: so is what no one puts */
	uint64_t offset;
	uint64_t length;
};

/* These bytes of the page, as far as they lie in the window. */
void tgt_window_put(const struct tgt_window *window, uint64_t at, const void *bytes, size_t size);

void tgt_ana_page(const struct tgt_subsys *subsys, bool groups_only,
		      const struct tgt_window *window);
/* A status. */
MUST_USE uint16_t tgt_discovery_page(const struct tgt_ctrl *ctrl, const struct tgt_window *window,
				     uint64_t *ret_size);

/* Identify data as told to this controller. */
struct nvme_id_ctrl;
struct nvme_id_ns;
void tgt_id_ctrl(const struct tgt_ctrl *ctrl, struct nvme_id_ctrl *ret);
void tgt_id_ns(const struct tgt_ns *ns, struct nvme_id_ns *ret);

#endif
