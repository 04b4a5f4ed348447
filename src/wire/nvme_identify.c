// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_identify - the Identify command and its data structures, as tables.
 */
#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "wire/field.h"
#include "wire/nvme_identify.h"

#define C struct nvme_id_ctrl

/* Base 2.0, section 5.17.2.1 (CNS 01h). */
static const struct wire_field id_ctrl_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 2, C, vid),
	F_LE(2, 2, C, ssvid),
	F_TEXT(4, 20, C, sn),
	F_TEXT(24, 40, C, mn),
	F_TEXT(64, 8, C, fr),
	F_LE(72, 1, C, rab),
	F_LE(73, 3, C, ieee),
	F_LE(76, 1, C, cmic),
	F_LE(77, 1, C, mdts),
	F_LE(78, 2, C, cntlid),
	F_LE(80, 4, C, ver),
	F_LE(84, 4, C, rtd3r),
	F_LE(88, 4, C, rtd3e),
	F_LE(92, 4, C, oaes),
	F_LE(96, 4, C, ctratt),
	F_LE(100, 2, C, rrls),
	F_LE(111, 1, C, cntrltype),
	F_BYTES(112, 16, C, fguid),
	F_LES(128, 2, C, crdt, 3),
	F_LE(253, 1, C, nvmsr),
	F_LE(254, 1, C, vwci),
	F_LE(255, 1, C, mec),
	F_LE(256, 2, C, oacs),
	F_LE(258, 1, C, acl),
	F_LE(259, 1, C, aerl),
	F_LE(260, 1, C, frmw),
	F_LE(261, 1, C, lpa),
	F_LE(262, 1, C, elpe),
	F_LE(263, 1, C, npss),
	F_LE(264, 1, C, avscc),
	F_LE(265, 1, C, apsta),
	F_LE(266, 2, C, wctemp),
	F_LE(268, 2, C, cctemp),
	F_LE(270, 2, C, mtfa),
	F_LE(272, 4, C, hmpre),
	F_LE(276, 4, C, hmmin),
	F_LE(280, 16, C, tnvmcap),
	F_LE(296, 16, C, unvmcap),
	F_LE(312, 4, C, rpmbs),
	F_LE(316, 2, C, edstt),
	F_LE(318, 1, C, dsto),
	F_LE(319, 1, C, fwug),
	F_LE(320, 2, C, kas),
	F_LE(322, 2, C, hctma),
	F_LE(324, 2, C, mntmt),
	F_LE(326, 2, C, mxtmt),
	F_LE(328, 4, C, sanicap),
	F_LE(332, 4, C, hmminds),
	F_LE(336, 2, C, hmmaxd),
	F_LE(338, 2, C, nsetidmax),
	F_LE(340, 2, C, endgidmax),
	F_LE(342, 1, C, anatt),
	F_LE(343, 1, C, anacap),
	F_LE(344, 4, C, anagrpmax),
	F_LE(348, 4, C, nanagrpid),
	F_LE(352, 4, C, pels),
	F_LE(356, 2, C, domain),
	F_LE(368, 16, C, megcap),
	F_LE(512, 1, C, sqes),
	F_LE(513, 1, C, cqes),
	F_LE(514, 2, C, maxcmd),
	F_LE(516, 4, C, nn),
	F_LE(520, 2, C, oncs),
	F_LE(522, 2, C, fuses),
	F_LE(524, 1, C, fna),
	F_LE(525, 1, C, vwc),
	F_LE(526, 2, C, awun),
	F_LE(528, 2, C, awupf),
	F_LE(530, 1, C, icsvscc),
	F_LE(531, 1, C, nwpc),
	F_LE(532, 2, C, acwu),
	F_LE(534, 2, C, ocfs),
	F_LE(536, 4, C, sgls),
	F_LE(540, 4, C, mnan),
	F_LE(544, 16, C, maxdna),
	F_LE(560, 4, C, maxcna),
	F_NAME(768, 256, C, subnqn),
	/* fabrics */
	F_LE(1792, 4, C, ioccsz),
	F_LE(1796, 4, C, iorcsz),
	F_LE(1800, 2, C, icdoff),
	F_LE(1802, 1, C, fcatt),
	F_LE(1803, 1, C, msdbd),
	F_LE(1804, 2, C, ofcs),
	F_LE(1806, 1, C, dctype),
	/* power state descriptor 0 of 32 */
	F_LE(2048, 2, C, psd0_mp),
	F_LE(2051, 1, C, psd0_flags),
};

#undef C
#define N struct nvme_id_ns

/* NVM Command Set 1.0, section 4.1.5.1 (CNS 00h); LBAF is at 128, 4 bytes each. */
static const struct wire_field id_ns_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 8, N, nsze),	  F_LE(8, 8, N, ncap),	      F_LE(16, 8, N, nuse),
	F_LE(24, 1, N, nsfeat),	  F_LE(25, 1, N, nlbaf),      F_LE(26, 1, N, flbas),
	F_LE(27, 1, N, mc),	  F_LE(28, 1, N, dpc),	      F_LE(29, 1, N, dps),
	F_LE(30, 1, N, nmic),	  F_LE(31, 1, N, rescap),     F_LE(32, 1, N, fpi),
	F_LE(33, 1, N, dlfeat),	  F_LE(34, 2, N, nawun),      F_LE(36, 2, N, nawupf),
	F_LE(38, 2, N, nacwu),	  F_LE(40, 2, N, nabsn),      F_LE(42, 2, N, nabo),
	F_LE(44, 2, N, nabspf),	  F_LE(46, 2, N, noiob),      F_LE(48, 16, N, nvmcap),
	F_LE(64, 2, N, npwg),	  F_LE(66, 2, N, npwa),	      F_LE(68, 2, N, npdg),
	F_LE(70, 2, N, npda),	  F_LE(72, 2, N, nows),	      F_LE(74, 2, N, mssrl),
	F_LE(76, 4, N, mcl),	  F_LE(80, 1, N, msrc),	      F_LE(82, 1, N, nulbaf),
	F_LE(92, 4, N, anagrpid), F_LE(99, 1, N, nsattr),     F_LE(100, 2, N, nvmsetid),
	F_LE(102, 2, N, endgid),  F_BYTES(104, 16, N, nguid), F_BYTES(120, 8, N, eui64),
};

#define ID_NS_LBAF 128u

#undef N
#define I struct nvme_id_ns_independent

/* Base 2.0, section 5.17.2.8 (CNS 08h). */
static const struct wire_field id_ns_independent_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 1, I, nsfeat),	  F_LE(1, 1, I, nmic),	   F_LE(2, 1, I, rescap),
	F_LE(3, 1, I, fpi),	  F_LE(4, 4, I, anagrpid), F_LE(8, 1, I, nsattr),
	F_LE(10, 2, I, nvmsetid), F_LE(12, 2, I, endgid),  F_LE(14, 1, I, nstat),
};

#undef I
#define V struct nvme_id_ns_nvm

/* NVM Command Set 1.0, section 4.1.5.3 (CNS 05h). */
static const struct wire_field id_ns_nvm_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 8, V, lbstm),
	F_LE(8, 1, V, pic),
	F_LES(12, 4, V, elbaf, NVME_LBAF_MAX),
};

#undef V
#define O struct nvme_id_ctrl_nvm

/* NVM Command Set 1.0, section 4.1.5.4 (CNS 06h). */
static const struct wire_field id_ctrl_nvm_fields[] = {
	/*   OFFSET SIZE  FIELD */
	F_LE(0, 1, O, vsl),  F_LE(1, 1, O, wzsl),  F_LE(2, 1, O, wusl),
	F_LE(3, 1, O, dmrl), F_LE(4, 4, O, dmrsl), F_LE(8, 8, O, dmsl),
};

#undef O

struct nvme_identify nvme_identify_decode(const struct nvme_sqe *sqe)
{
	return (struct nvme_identify){
		.cns = (uint8_t)sqe->cdw10,
		.cntid = (uint16_t)(sqe->cdw10 >> 16),
		.cns_specific = (uint16_t)sqe->cdw11,
		.csi = (uint8_t)(sqe->cdw11 >> 24),
		.uuid_index = sqe->cdw14 & 0x7f,
	};
}

void nvme_identify_encode(const struct nvme_identify *identify, struct nvme_sqe *ret_sqe)
{
	ret_sqe->opcode = NVME_ADMIN_IDENTIFY;
	ret_sqe->cdw10 = identify->cns | (uint32_t)identify->cntid << 16;
	ret_sqe->cdw11 = identify->cns_specific | (uint32_t)identify->csi << 24;
	ret_sqe->cdw14 = identify->uuid_index & 0x7fu;
}

#define IDENTIFY_ENCODE(fields, from, to)                         \
	do {                                                      \
		memset(to, 0, NVME_IDENTIFY_BYTES);               \
		wire_encode(fields, ARRAY_LEN(fields), from, to); \
	} while (0)

/* On a copy: W1. */
#define IDENTIFY_DECODE(fields, data, size, copy)  \
	((size) < NVME_IDENTIFY_BYTES ? -EBADMSG : \
					wire_decode(fields, ARRAY_LEN(fields), data, copy))

void nvme_id_ctrl_encode(const struct nvme_id_ctrl *ctrl, uint8_t ret[NVME_IDENTIFY_BYTES])
{
	IDENTIFY_ENCODE(id_ctrl_fields, ctrl, ret);
}

int nvme_id_ctrl_decode(const uint8_t *data, size_t size, struct nvme_id_ctrl *ret)
{
	struct nvme_id_ctrl ctrl;

	if (IDENTIFY_DECODE(id_ctrl_fields, data, size, &ctrl) < 0)
		return -EBADMSG;
	*ret = ctrl;
	return 0;
}

void nvme_id_ns_encode(const struct nvme_id_ns *ns, uint8_t ret[NVME_IDENTIFY_BYTES])
{
	IDENTIFY_ENCODE(id_ns_fields, ns, ret);
	for (unsigned i = 0; i < NVME_LBAF_MAX; i++) {
		uint8_t *at = ret + ID_NS_LBAF + 4 * i;

		le16_put(at, ns->lbaf[i].ms);
		at[2] = ns->lbaf[i].lbads;
		at[3] = ns->lbaf[i].rp & 3;
	}
}

int nvme_id_ns_decode(const uint8_t *data, size_t size, struct nvme_id_ns *ret)
{
	struct nvme_id_ns ns;
	uint8_t lbads;

	if (IDENTIFY_DECODE(id_ns_fields, data, size, &ns) < 0)
		return -EBADMSG;
	for (unsigned i = 0; i < NVME_LBAF_MAX; i++) {
		const uint8_t *at = data + ID_NS_LBAF + 4 * i;

		ns.lbaf[i] = (struct nvme_lbaf){
			.ms = le16_get(at),
			.lbads = at[2],
			.rp = at[3] & 3,
		};
	}
	lbads = ns.lbaf[nvme_id_ns_format(&ns)].lbads;
	if (ns.nsze && (lbads < 9 || lbads > 16))
		return -EBADMSG;
	*ret = ns;
	return 0;
}

void nvme_id_ns_independent_encode(const struct nvme_id_ns_independent *ns,
				   uint8_t ret[NVME_IDENTIFY_BYTES])
{
	IDENTIFY_ENCODE(id_ns_independent_fields, ns, ret);
}

int nvme_id_ns_independent_decode(const uint8_t *data, size_t size,
				  struct nvme_id_ns_independent *ret)
{
	return IDENTIFY_DECODE(id_ns_independent_fields, data, size, ret);
}

void nvme_id_ns_nvm_encode(const struct nvme_id_ns_nvm *ns, uint8_t ret[NVME_IDENTIFY_BYTES])
{
	IDENTIFY_ENCODE(id_ns_nvm_fields, ns, ret);
}

int nvme_id_ns_nvm_decode(const uint8_t *data, size_t size, struct nvme_id_ns_nvm *ret)
{
	return IDENTIFY_DECODE(id_ns_nvm_fields, data, size, ret);
}

void nvme_id_ctrl_nvm_encode(const struct nvme_id_ctrl_nvm *ctrl, uint8_t ret[NVME_IDENTIFY_BYTES])
{
	IDENTIFY_ENCODE(id_ctrl_nvm_fields, ctrl, ret);
}

int nvme_id_ctrl_nvm_decode(const uint8_t *data, size_t size, struct nvme_id_ctrl_nvm *ret)
{
	return IDENTIFY_DECODE(id_ctrl_nvm_fields, data, size, ret);
}
