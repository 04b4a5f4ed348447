/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvme_identify - the Identify command and its data structures (Base 2.0, section 5.17; NVM
 * Command Set 1.0, section 4.1.5). The tables of fields are in nvme_identify.c.
 */
#ifndef WIRE_NVME_IDENTIFY_H
#define WIRE_NVME_IDENTIFY_H

#include "wire/nvme.h"

#define NVME_IDENTIFY_BYTES 4096u
#define NVME_LBAF_MAX	    64u

/* What to identify (CNS). */
enum nvme_cns {
	NVME_CNS_NS = 0x00,
	NVME_CNS_CTRL = 0x01,
	NVME_CNS_ACTIVE_NSIDS = 0x02,
	NVME_CNS_NS_DESCRIPTORS = 0x03,
	NVME_CNS_NVM_SETS = 0x04,
	NVME_CNS_NS_OF_SET = 0x05, /* specific to a command set (CSI) */
	NVME_CNS_CTRL_OF_SET = 0x06,
	NVME_CNS_ACTIVE_NSIDS_OF_SET = 0x07,
	NVME_CNS_NS_INDEPENDENT = 0x08,
	NVME_CNS_NS_FORMAT = 0x09,
	NVME_CNS_NS_FORMAT_OF_SET = 0x0a,
	NVME_CNS_ALLOCATED_NSIDS = 0x10,
	NVME_CNS_ALLOCATED_NS = 0x11,
	NVME_CNS_CTRLS_OF_NS = 0x12,
	NVME_CNS_CTRLS = 0x13,
	NVME_CNS_PRIMARY_CTRL = 0x14,
	NVME_CNS_SECONDARY_CTRLS = 0x15,
	NVME_CNS_GRANULARITY = 0x16,
	NVME_CNS_UUIDS = 0x17,
	NVME_CNS_DOMAINS = 0x18,
	NVME_CNS_ENDURANCE_GROUPS = 0x19,
	NVME_CNS_ALLOCATED_NSIDS_OF_SET = 0x1a,
	NVME_CNS_ALLOCATED_NS_OF_SET = 0x1b,
	NVME_CNS_COMMAND_SETS = 0x1c,
};

#define NVME_CSI_NVM 0u /* the NVM command set */

/* Dword 10: CNS (7:0), CNTID (31:16). Dword 11: CNSSID (15:0), CSI (31:24). Dword 14: UUIDX. */
struct nvme_identify {
	uint8_t cns;
	uint16_t cntid;
	uint16_t cns_specific;
	uint8_t csi;
	uint8_t uuid_index;
};

struct nvme_identify nvme_identify_decode(const struct nvme_sqe *sqe);
/* Sets opcode and dwords 10, 11, 14; NSID is the caller's. */
void nvme_identify_encode(const struct nvme_identify *identify, struct nvme_sqe *ret_sqe);

enum nvme_cmic {
	NVME_CMIC_MULTI_PORT = 1 << 0,
	NVME_CMIC_MULTI_CTRL = 1 << 1,
	NVME_CMIC_ANA = 1 << 3,
};

/* Which events a controller may tell (OAES), and which a host wants (feature 0Bh). */
enum nvme_oaes {
	NVME_OAES_NS_ATTRIBUTE = 1 << 8,
	NVME_OAES_FIRMWARE = 1 << 9,
	NVME_OAES_ANA = 1 << 11,
	NVME_OAES_DISCOVERY = (int)(1u << 31),
};

enum nvme_ctratt {
	NVME_CTRATT_HOST_ID_128 = 1 << 0,
	NVME_CTRATT_TBKAS = 1 << 6, /* traffic based keep alive */
	NVME_CTRATT_UUID_LIST = 1 << 9,
	NVME_CTRATT_EXTENDED_LBAF = 1 << 15,
};

enum nvme_cntrltype {
	NVME_CTRL_IO = 1,
	NVME_CTRL_DISCOVERY = 2,
	NVME_CTRL_ADMIN = 3,
};

enum nvme_oacs {
	NVME_OACS_SECURITY = 1 << 0,
	NVME_OACS_FORMAT = 1 << 1,
	NVME_OACS_FIRMWARE = 1 << 2,
	NVME_OACS_NS_MANAGEMENT = 1 << 3,
	NVME_OACS_SELF_TEST = 1 << 4,
};

enum nvme_lpa {
	NVME_LPA_SMART_PER_NS = 1 << 0,
	NVME_LPA_EFFECTS = 1 << 1,
	NVME_LPA_EXTENDED = 1 << 2, /* Get Log Page takes offset and 32-bit length */
	NVME_LPA_SUPPORTED_PAGES = 1 << 5,
};

enum nvme_anacap {
	NVME_ANACAP_OPTIMIZED = 1 << 0,
	NVME_ANACAP_NON_OPTIMIZED = 1 << 1,
	NVME_ANACAP_INACCESSIBLE = 1 << 2,
	NVME_ANACAP_PERSISTENT_LOSS = 1 << 3,
	NVME_ANACAP_CHANGE = 1 << 4,
	NVME_ANACAP_GROUP_STABLE = 1 << 6,
	NVME_ANACAP_GROUP_ID = 1 << 7,
};

enum nvme_oncs {
	NVME_ONCS_COMPARE = 1 << 0,
	NVME_ONCS_WRITE_UNCORRECTABLE = 1 << 1,
	NVME_ONCS_DATASET_MANAGEMENT = 1 << 2,
	NVME_ONCS_WRITE_ZEROES = 1 << 3,
	NVME_ONCS_SAVE_SELECT = 1 << 4,
	NVME_ONCS_RESERVATIONS = 1 << 5,
	NVME_ONCS_TIMESTAMP = 1 << 6,
	NVME_ONCS_VERIFY = 1 << 7,
	NVME_ONCS_COPY = 1 << 8,
};

enum nvme_vwc {
	NVME_VWC_PRESENT = 1 << 0,
	NVME_VWC_FLUSH_ALL_NO = 2 << 1,	 /* Flush with NSID FFFFFFFFh is refused, */
	NVME_VWC_FLUSH_ALL_YES = 3 << 1, /* or flushes all */
};

/* SGLS: supported (1:0: 1 without alignment), keyed (2), transport blocks (21), offsets (20). */
enum nvme_sgls {
	NVME_SGLS_SUPPORTED = 1 << 0,
	NVME_SGLS_KEYED = 1 << 2,
	NVME_SGLS_OFFSETS = 1 << 20,
	NVME_SGLS_TRANSPORT = 1 << 21,
};

/* 16-byte numbers of the wire are kept in 64 bits. */
struct nvme_id_ctrl {
	uint16_t vid;
	uint16_t ssvid;
	char sn[21];
	char mn[41];
	char fr[9];
	uint8_t rab;
	uint32_t ieee;
	uint8_t cmic;
	uint8_t mdts;
	uint16_t cntlid;
	uint32_t ver;
	uint32_t rtd3r;
	uint32_t rtd3e;
	uint32_t oaes;
	uint32_t ctratt;
	uint16_t rrls;
	uint8_t cntrltype;
	uint8_t fguid[16];
	uint16_t crdt[3];
	uint8_t nvmsr;
	uint8_t vwci;
	uint8_t mec;
	uint16_t oacs;
	uint8_t acl;
	uint8_t aerl;
	uint8_t frmw;
	uint8_t lpa;
	uint8_t elpe;
	uint8_t npss;
	uint8_t avscc;
	uint8_t apsta;
	uint16_t wctemp;
	uint16_t cctemp;
	uint16_t mtfa;
	uint32_t hmpre;
	uint32_t hmmin;
	uint64_t tnvmcap;
	uint64_t unvmcap;
	uint32_t rpmbs;
	uint16_t edstt;
	uint8_t dsto;
	uint8_t fwug;
	uint16_t kas;
	uint16_t hctma;
	uint16_t mntmt;
	uint16_t mxtmt;
	uint32_t sanicap;
	uint32_t hmminds;
	uint16_t hmmaxd;
	uint16_t nsetidmax;
	uint16_t endgidmax;
	uint8_t anatt;
	uint8_t anacap;
	uint32_t anagrpmax;
	uint32_t nanagrpid;
	uint32_t pels;
	uint16_t domain;
	uint64_t megcap;
	uint8_t sqes;
	uint8_t cqes;
	uint16_t maxcmd;
	uint32_t nn;
	uint16_t oncs;
	uint16_t fuses;
	uint8_t fna;
	uint8_t vwc;
	uint16_t awun;
	uint16_t awupf;
	uint8_t icsvscc;
	uint8_t nwpc;
	uint16_t acwu;
	uint16_t ocfs;
	uint32_t sgls;
	uint32_t mnan;
	uint64_t maxdna;
	uint32_t maxcna;
	char subnqn[NVME_NQN_MAX + 1];
	uint32_t ioccsz;
	uint32_t iorcsz;
	uint16_t icdoff;
	uint8_t fcatt;
	uint8_t msdbd;
	uint16_t ofcs;
	uint8_t dctype;
	uint16_t psd0_mp; /* power state 0: maximum power */
	uint8_t psd0_flags;
};

enum nvme_nsfeat {
	NVME_NSFEAT_THIN = 1 << 0,
	NVME_NSFEAT_ATOMIC = 1 << 1, /* NAWUN, NAWUPF, NACWU are valid */
	NVME_NSFEAT_DEALLOCATED_ERROR = 1 << 2,
	NVME_NSFEAT_UID_REUSE = 1 << 3,
	NVME_NSFEAT_OPTIMAL_IO = 1 << 4, /* NPWG to NOWS are valid */
};

enum nvme_dlfeat {
	NVME_DLFEAT_ZEROES = 1, /* deallocated blocks read as zeroes */
	NVME_DLFEAT_ONES = 2,
	NVME_DLFEAT_READ_MASK = 7,
	NVME_DLFEAT_WRITE_ZEROES = 1 << 3, /* Write Zeroes may deallocate */
};

#define NVME_NMIC_SHARED	  1u
#define NVME_NSATTR_WRITE_PROTECT 1u
#define NVME_NSTAT_READY	  1u

struct nvme_lbaf {
	uint16_t ms;   /* bytes of metadata */
	uint8_t lbads; /* log2 of a block's bytes; 0: no such format */
	uint8_t rp;    /* relative performance, 0 is best */
};

struct nvme_id_ns {
	uint64_t nsze;
	uint64_t ncap;
	uint64_t nuse;
	uint8_t nsfeat;
	uint8_t nlbaf;
	uint8_t flbas;
	uint8_t mc;
	uint8_t dpc;
	uint8_t dps;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint8_t dlfeat;
	uint16_t nawun;
	uint16_t nawupf;
	uint16_t nacwu;
	uint16_t nabsn;
	uint16_t nabo;
	uint16_t nabspf;
	uint16_t noiob;
	uint64_t nvmcap;
	uint16_t npwg;
	uint16_t npwa;
	uint16_t npdg;
	uint16_t npda;
	uint16_t nows;
	uint16_t mssrl;
	uint32_t mcl;
	uint8_t msrc;
	uint8_t nulbaf;
	uint32_t anagrpid;
	uint8_t nsattr;
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nguid[16];
	uint8_t eui64[8];
	struct nvme_lbaf lbaf[NVME_LBAF_MAX];
};

/* The format in use: FLBAS bits 6:5 and 3:0. */
static inline unsigned nvme_id_ns_format(const struct nvme_id_ns *ns)
{
	return (ns->flbas & 0xf) | (ns->nlbaf > 15 ? (ns->flbas >> 1 & 0x30) : 0);
}

/* CNS 08h: what does not depend on the command set. */
struct nvme_id_ns_independent {
	uint8_t nsfeat;
	uint8_t nmic;
	uint8_t rescap;
	uint8_t fpi;
	uint32_t anagrpid;
	uint8_t nsattr;
	uint16_t nvmsetid;
	uint16_t endgid;
	uint8_t nstat;
};

/* CNS 05h, CSI 0: what the NVM command set adds. */
struct nvme_id_ns_nvm {
	uint64_t lbstm;
	uint8_t pic;
	uint32_t elbaf[NVME_LBAF_MAX];
};

/* CNS 06h, CSI 0. */
struct nvme_id_ctrl_nvm {
	uint8_t vsl;
	uint8_t wzsl;
	uint8_t wusl;
	uint8_t dmrl;
	uint32_t dmrsl;
	uint64_t dmsl;
};

/* Encoders write all 4096 bytes; decoders refuse less than those (-EBADMSG). */
void nvme_id_ctrl_encode(const struct nvme_id_ctrl *ctrl, uint8_t ret[NVME_IDENTIFY_BYTES]);
void nvme_id_ns_encode(const struct nvme_id_ns *ns, uint8_t ret[NVME_IDENTIFY_BYTES]);
void nvme_id_ns_independent_encode(const struct nvme_id_ns_independent *ns,
				   uint8_t ret[NVME_IDENTIFY_BYTES]);
void nvme_id_ns_nvm_encode(const struct nvme_id_ns_nvm *ns, uint8_t ret[NVME_IDENTIFY_BYTES]);
void nvme_id_ctrl_nvm_encode(const struct nvme_id_ctrl_nvm *ctrl, uint8_t ret[NVME_IDENTIFY_BYTES]);

/* Also -EBADMSG: a subsystem name without end, or longer than 223 bytes. */
MUST_USE int nvme_id_ctrl_decode(const uint8_t *data, size_t size, struct nvme_id_ctrl *ret);
/* Also -EBADMSG: the format in use does not exist, or its blocks are not 512 bytes to 64 KiB. */
MUST_USE int nvme_id_ns_decode(const uint8_t *data, size_t size, struct nvme_id_ns *ret);
MUST_USE int nvme_id_ns_independent_decode(const uint8_t *data, size_t size,
					   struct nvme_id_ns_independent *ret);
MUST_USE int nvme_id_ns_nvm_decode(const uint8_t *data, size_t size, struct nvme_id_ns_nvm *ret);
MUST_USE int nvme_id_ctrl_nvm_decode(const uint8_t *data, size_t size,
				     struct nvme_id_ctrl_nvm *ret);

#endif
