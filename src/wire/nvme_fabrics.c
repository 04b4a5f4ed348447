// SPDX-License-Identifier: Apache-2.0
/*
 * nvme_fabrics - fabrics commands and controller properties. The layouts stand in
 * nvme_fabrics.h.
 */
#include "base/le.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_status.h"

/* Linux refuses every command over fabrics whose PSDT does not say SGL, also those without data. */
static void fabrics_start(enum nvme_fctype type, struct nvme_sqe *ret_sqe)
{
	*ret_sqe = (struct nvme_sqe){
		.opcode = NVME_FABRICS,
		.flags = NVME_PSDT_SGL,
		.cid = ret_sqe->cid,
		.nsid = type,
	};
}

/* A name of 1..223 bytes that ends in its field. */
static bool nqn_decode(const uint8_t *data, size_t at, char ret[NVME_NQN_MAX + 1])
{
	size_t len = strnlen((const char *)data + at, NVME_NQN_MAX + 1);

	if (len == 0 || len > NVME_NQN_MAX)
		return false;
	memcpy(ret, data + at, len);
	memset(ret + len, 0, NVME_NQN_MAX + 1 - len);
	return true;
}

static uint16_t connect_invalid(bool in_data, uint16_t offset, uint32_t *ret_bad)
{
	*ret_bad = nvme_connect_bad(in_data, offset);
	return NVME_CONNECT_INVALID_PARAMS | NVME_DNR;
}

uint16_t nvme_connect_decode(const struct nvme_sqe *sqe, const uint8_t *data, size_t size,
			     struct nvme_connect *ret, uint32_t *ret_bad)
{
	struct nvme_connect connect = {
		.qid = (uint16_t)(sqe->cdw10 >> 16),
		.sqsize = (uint16_t)sqe->cdw11,
		.cattr = (uint8_t)(sqe->cdw11 >> 16),
		.kato_ms = sqe->cdw12,
	};

	if ((uint16_t)sqe->cdw10 != 0)
		return NVME_CONNECT_FORMAT | NVME_DNR;
	if (size != NVME_CONNECT_DATA_BYTES)
		return NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR;
	if (connect.sqsize == 0)
		return connect_invalid(false, NVME_CONNECT_AT_SQSIZE, ret_bad);
	if (!nqn_decode(data, NVME_CONNECT_AT_SUBNQN, connect.subnqn))
		return connect_invalid(true, NVME_CONNECT_AT_SUBNQN, ret_bad);
	if (!nqn_decode(data, NVME_CONNECT_AT_HOSTNQN, connect.hostnqn))
		return connect_invalid(true, NVME_CONNECT_AT_HOSTNQN, ret_bad);
	memcpy(connect.host_id, data + NVME_CONNECT_AT_HOST_ID, sizeof(connect.host_id));
	connect.cntlid = le16_get(data + NVME_CONNECT_AT_CNTLID);
	*ret = connect;
	return NVME_SUCCESS;
}

void nvme_connect_encode(const struct nvme_connect *connect, struct nvme_sqe *ret_sqe,
			 uint8_t ret_data[NVME_CONNECT_DATA_BYTES])
{
	fabrics_start(NVME_FABRICS_CONNECT, ret_sqe);
	ret_sqe->cdw10 = (uint32_t)connect->qid << 16;
	ret_sqe->cdw11 = connect->sqsize | (uint32_t)connect->cattr << 16;
	ret_sqe->cdw12 = connect->kato_ms;
	memset(ret_data, 0, NVME_CONNECT_DATA_BYTES);
	memcpy(ret_data + NVME_CONNECT_AT_HOST_ID, connect->host_id, sizeof(connect->host_id));
	le16_put(ret_data + NVME_CONNECT_AT_CNTLID, connect->cntlid);
	memcpy(ret_data + NVME_CONNECT_AT_SUBNQN, connect->subnqn,
	       strnlen(connect->subnqn, NVME_NQN_MAX));
	memcpy(ret_data + NVME_CONNECT_AT_HOSTNQN, connect->hostnqn,
	       strnlen(connect->hostnqn, NVME_NQN_MAX));
}

/* Bytes of a property; 0: there is no such thing over fabrics. */
static uint8_t property_bytes(uint32_t offset)
{
	switch (offset) {
	case NVME_PROP_CAP:
		return 8;
	case NVME_PROP_VS:
	case NVME_PROP_CC:
	case NVME_PROP_CSTS:
	case NVME_PROP_NSSR:
	case NVME_PROP_CRTO:
		return 4;
	default:
		return 0;
	}
}

uint16_t nvme_property_decode(const struct nvme_sqe *sqe, struct nvme_property *ret)
{
	struct nvme_property property = {
		.offset = sqe->cdw11,
		.bytes = (sqe->cdw10 & 7) == 1 ? 8 : 4,
		.value = (uint64_t)sqe->cdw13 << 32 | sqe->cdw12,
	};

	if ((sqe->cdw10 & 7) > 1 || property.bytes != property_bytes(property.offset))
		return NVME_INVALID_FIELD | NVME_DNR;
	if (property.bytes == 4)
		property.value = (uint32_t)property.value;
	*ret = property;
	return NVME_SUCCESS;
}

void nvme_property_encode(const struct nvme_property *property, enum nvme_fctype type,
			  struct nvme_sqe *ret_sqe)
{
	fabrics_start(type, ret_sqe);
	ret_sqe->cdw10 = property->bytes == 8;
	ret_sqe->cdw11 = property->offset;
	if (type == NVME_FABRICS_PROPERTY_SET) {
		ret_sqe->cdw12 = (uint32_t)property->value;
		ret_sqe->cdw13 = (uint32_t)(property->value >> 32);
	}
}

uint16_t nvme_disconnect_decode(const struct nvme_sqe *sqe)
{
	return (uint16_t)sqe->cdw10 ? NVME_CONNECT_FORMAT | NVME_DNR : NVME_SUCCESS;
}

void nvme_disconnect_encode(struct nvme_sqe *ret_sqe)
{
	fabrics_start(NVME_FABRICS_DISCONNECT, ret_sqe);
}

uint64_t nvme_cap_encode(const struct nvme_cap *cap)
{
	return cap->mqes | (uint64_t)cap->cqr << 16 | (uint64_t)(cap->ams & 3) << 17 |
	       (uint64_t)cap->to << 24 | (uint64_t)(cap->dstrd & 15) << 32 |
	       (uint64_t)cap->nssrs << 36 | (uint64_t)cap->css << 37 |
	       (uint64_t)(cap->mpsmin & 15) << 48 | (uint64_t)(cap->mpsmax & 15) << 52 |
	       (uint64_t)(cap->crms & 3) << 59;
}

struct nvme_cap nvme_cap_decode(uint64_t value)
{
	return (struct nvme_cap){
		.mqes = (uint16_t)value,
		.cqr = value >> 16 & 1,
		.ams = value >> 17 & 3,
		.to = (uint8_t)(value >> 24),
		.dstrd = value >> 32 & 15,
		.nssrs = value >> 36 & 1,
		.css = (uint8_t)(value >> 37),
		.mpsmin = value >> 48 & 15,
		.mpsmax = value >> 52 & 15,
		.crms = value >> 59 & 3,
	};
}

uint32_t nvme_cc_encode(const struct nvme_cc *cc)
{
	return (uint32_t)cc->enable | (cc->css & 7u) << 4 | (cc->mps & 15u) << 7 |
	       (cc->ams & 7u) << 11 | (cc->shn & 3u) << 14 | (cc->iosqes & 15u) << 16 |
	       (cc->iocqes & 15u) << 20 | (uint32_t)cc->crime << 24;
}

struct nvme_cc nvme_cc_decode(uint32_t value)
{
	return (struct nvme_cc){
		.enable = value & 1,
		.css = value >> 4 & 7,
		.mps = value >> 7 & 15,
		.ams = value >> 11 & 7,
		.shn = value >> 14 & 3,
		.iosqes = value >> 16 & 15,
		.iocqes = value >> 20 & 15,
		.crime = value >> 24 & 1,
	};
}
