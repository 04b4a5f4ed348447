/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_admin - what a controller keeps for its host's admin commands: features, events, logs.
 *
 * A1. An event of a kind that was told is not told again before its log page was read with
 *     RAE cleared; what happens meanwhile is told then, once.
 * A2. No log grows without bound: each has a named limit, and says so when it lost something.
 */
#ifndef NVMF_TGT_ADMIN_PRIV_H
#define NVMF_TGT_ADMIN_PRIV_H

#include "base/list.h"
#include "wire/nvme_log.h"

struct tgt_cmd;

#define TGT_ERRORS_MAX	  64u	/* entries of the error log (ELPE + 1) */
#define TGT_RESV_LOGS_MAX 64u	/* reservation notifications that wait */
#define TGT_NSID_MAX	  1024u /* as TGT_NAMESPACES_MAX */
#define TGT_KELVIN	  298u	/* there is no sensor: room temperature, always */
#define TGT_KELVIN_WARN	  343u
#define TGT_KELVIN_CRIT	  353u
#define TGT_ANA_SECONDS	  10u /* a change of state takes no longer (ANATT) */

/* Kinds of events, each masked on its own (A1). */
enum tgt_event { TGT_EVENT_NS, TGT_EVENT_ANA, TGT_EVENT_DISCOVERY, TGT_EVENT_RESV, TGT_EVENTS };

/* Set in tgt_ctrl_admin_init(); of controllers that live. */
struct tgt_ctrl_admin {
	/* events */
	struct list aers; /* tgt_cmd.link: parked, oldest first */
	unsigned aer_count;
	uint32_t event_config; /* feature 0Bh */
	uint8_t pending;       /* 1 << enum tgt_event: to be told */
	uint8_t masked;	       /* told, page not read yet (A1) */

	/* features */
	uint32_t arbitration;
	uint32_t error_recovery;
	uint32_t write_atomicity;
	uint16_t kelvin_over, kelvin_under;
	bool command_retry, extended_lbaf;
	uint16_t queues_granted; /* pairs of I/O queues; 0: not asked yet */
	bool timestamp_is_set;
	uint64_t timestamp_ms, timestamp_at_ms;
	bool vendor_negotiated;

	/* logs */
	uint32_t changed[TGT_NSID_MAX / 32]; /* bit nsid - 1 */
	uint64_t error_count;		     /* ever; entry n is at (n - 1) % max */
	struct nvme_error_entry errors[TGT_ERRORS_MAX];
	uint64_t resv_log_count; /* pages ever */
	unsigned resv_log_first, resv_log_waiting;
	struct nvme_resv_log resv_logs[TGT_RESV_LOGS_MAX]; /* ring */
	uint8_t resv_mask[TGT_NSID_MAX];		   /* feature 82h: enum nvme_resv_mask */
};

#endif
