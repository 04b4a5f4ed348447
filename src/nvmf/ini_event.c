// SPDX-License-Identifier: Apache-2.0
/*
 * ini_event - what goes on by itself on the admin queue of an association: one event request is
 * always out, and a keep alive every half of its timeout.
 */
#include <errno.h>

#include "base/log.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_feature.h"

static void ini_aer_done(struct ini_queue *q, void *owner, int error, const struct nvme_cqe *cqe)
{
	struct ini *ini = owner;
	uint16_t event;
	uint8_t lid;

	(void)q;
	if (error < 0 || cqe->status != NVME_SUCCESS)
		return; /* lost, or it cannot */
	nvme_event_decode((uint32_t)cqe->result, &event, &lid);
	log_debug(reactor_log(ini->home), "event of an NVMe controller",
		  LOG_STR("disk", ini->bdev->name), LOG_HEX("event", event), LOG_HEX("page", lid));
	ini->changed = true;
	event_set(&ini->wake);
}

/* One is always out while the association is up. */
void ini_event_start(struct ini *ini)
{
	struct ini_cmd *cmd = ini_cmd_get(ini->admin);
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_ASYNC_EVENT };
	struct ini_data data = { 0 };

	if (cmd)
		ini_cmd_start(cmd, &sqe, &data, true, ini_aer_done, ini);
}

static void ini_keep_alive_done(struct ini_queue *q, void *owner, int error,
				const struct nvme_cqe *cqe)
{
	struct ini *ini = owner;

	ini->keep_alive_sent = false;
	if (error == 0 && cqe->status != NVME_SUCCESS)
		ini_queue_lost(q, -EIO, "the controller refused a keep alive");
}

/* Half the timeout; an answer that does not come ends the connection as any other (Q6). */
static void ini_keep_alive_due(struct timer *timer)
{
	struct ini *ini = container_of(timer, struct ini, keep_alive);
	struct nvme_sqe sqe = { .opcode = NVME_ADMIN_KEEP_ALIVE };
	struct ini_data data = { 0 };
	struct ini_cmd *cmd;

	timer_start(ini->home, timer, ini->opts.kato_ms * UINT64_C(500000), ini_keep_alive_due);
	if (ini->admin->state != INI_READY || ini->keep_alive_sent)
		return;
	cmd = ini_cmd_get(ini->admin);
	if (!cmd)
		return;
	ini->keep_alive_sent = true;
	ini_cmd_start(cmd, &sqe, &data, false, ini_keep_alive_done, ini);
}

void ini_keep_alive_start(struct ini *ini)
{
	if (ini->opts.kato_ms)
		timer_start(ini->home, &ini->keep_alive, ini->opts.kato_ms * UINT64_C(500000),
			    ini_keep_alive_due);
}
