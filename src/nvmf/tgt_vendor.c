// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_vendor - replica control: negotiation. See docs/nvme-vendor.md.
 */
#include <string.h>

#include "base/le.h"
#include "nvmf/tgt_page_priv.h"
#include "nvmf/tgt_vendor_priv.h"
#include "wire/nvme_status.h"

#define VENDOR_AT      3072u /* bytes 4095:3072 of identify data are the vendor's */
#define VENDOR_MAGIC   "MAYASTOR"
#define VENDOR_VERSION 1u

void tgt_vendor_advertise(uint8_t *data)
{
	memcpy(data + VENDOR_AT, VENDOR_MAGIC, strlen(VENDOR_MAGIC));
	le32_put(data + VENDOR_AT + 8, VENDOR_VERSION);
}

uint16_t tgt_vendor_feature_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret)
{
	*ret = cmd->ctrl->admin.vendor_negotiated ? VENDOR_VERSION : 0;
	return NVME_SUCCESS;
}

uint16_t tgt_vendor_feature_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value)
{
	if (value != VENDOR_VERSION)
		return NVME_INVALID_FIELD | NVME_DNR;
	cmd->ctrl->admin.vendor_negotiated = true;
	cmd->result = VENDOR_VERSION;
	return NVME_SUCCESS;
}

uint16_t tgt_vendor_execute(struct fiber *f, struct tgt_cmd *cmd)
{
	return NVME_INVALID_OPCODE | NVME_DNR;
}
