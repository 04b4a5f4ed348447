/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_vendor - replica control as vendor commands: see docs/nvme-vendor.md.
 */
#ifndef NVMF_TGT_VENDOR_PRIV_H
#define NVMF_TGT_VENDOR_PRIV_H

#include "wire/nvme_vendor.h"

struct fiber;
struct tgt_cmd;

uint16_t tgt_vendor_feature_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret);
uint16_t tgt_vendor_feature_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value);

#endif
