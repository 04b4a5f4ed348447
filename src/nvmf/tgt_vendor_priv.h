/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_vendor - replica control as vendor commands: see docs/nvme-vendor.md.
 *
 * Offered by subsystems that say so, and refused until the host has set feature C0h to the
 * version it speaks.
 */
#ifndef NVMF_TGT_VENDOR_PRIV_H
#define NVMF_TGT_VENDOR_PRIV_H

#include "wire/nvme.h"

struct fiber;
struct tgt_cmd;

#define TGT_FID_VENDOR	   0xc0u
#define TGT_VENDOR_CALL	   0xc0u /* no data */
#define TGT_VENDOR_SEND	   0xc1u
#define TGT_VENDOR_RECEIVE 0xc2u

uint16_t tgt_vendor_feature_get(struct fiber *f, struct tgt_cmd *cmd, uint32_t *ret);
uint16_t tgt_vendor_feature_set(struct fiber *f, struct tgt_cmd *cmd, uint32_t value);

/* Into the vendor's bytes of a controller's identify data (4096 bytes). */
void tgt_vendor_advertise(uint8_t *data);

#endif
