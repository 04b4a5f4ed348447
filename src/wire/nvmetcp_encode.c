// SPDX-License-Identifier: Apache-2.0
/*
 * nvmetcp_encode - what we send. T1..T5 and the layouts stand in nvmetcp.h.
 */
#include "base/crc32c.h"
#include "base/must.h"
#include "wire/nvmetcp.h"

void nvmetcp_rules_init(struct nvmetcp_rules *rules, bool controller)
{
	*rules = (struct nvmetcp_rules){
		.controller = controller,
		.rx_align = NVMETCP_ALIGN_MIN,
		.tx_align = NVMETCP_ALIGN_MIN,
		.capsule_data_max = NVMETCP_ADMIN_CAPSULE_DATA,
	};
}

void nvmetcp_rules_agree(struct nvmetcp_rules *rules, const struct nvmetcp_ic *icreq,
			 const struct nvmetcp_ic *icresp)
{
	rules->connected = true;
	rules->hdgst = icreq->hdgst && icresp->hdgst;
	rules->ddgst = icreq->ddgst && icresp->ddgst;
	rules->rx_align = rules->controller ? icresp->align : icreq->align;
	rules->tx_align = rules->controller ? icreq->align : icresp->align;
	rules->h2c_data_max = icresp->maxh2cdata;
}

/*
 * Common header, digest, padding; the rest of the header is there. data_bytes 0: no data,
 * and so no padding. Returns the bytes of the head.
 */
static unsigned head_finish(const struct nvmetcp_rules *rules, enum nvmetcp_type type,
			    unsigned hlen, uint8_t flags, uint32_t data_bytes, uint8_t *ret)
{
	unsigned head = hlen + (rules->hdgst ? NVMETCP_DIGEST_BYTES : 0);
	uint32_t plen = head;

	if (rules->hdgst)
		flags |= NVMETCP_HDGSTF;
	if (data_bytes) {
		unsigned align = rules->tx_align;
		unsigned pdo = (head + align - 1) / align * align;

		memset(ret + head, 0, pdo - head);
		head = pdo;
		plen = pdo + data_bytes;
		if (rules->ddgst) {
			flags |= NVMETCP_DDGSTF;
			plen += NVMETCP_DIGEST_BYTES;
		}
	}
	ret[NVMETCP_AT_TYPE] = (uint8_t)type;
	ret[NVMETCP_AT_FLAGS] = flags;
	ret[NVMETCP_AT_HLEN] = (uint8_t)hlen;
	ret[NVMETCP_AT_PDO] = (uint8_t)(data_bytes ? head : 0);
	le32_put(ret + NVMETCP_AT_PLEN, plen);
	if (rules->hdgst)
		nvmetcp_digest_put(ret + hlen, crc32c(0, ret, hlen));
	return head;
}

static unsigned ic_encode(enum nvmetcp_type type, const struct nvmetcp_ic *ic, uint32_t last,
			  uint8_t *ret)
{
	must(ic->align >= NVMETCP_ALIGN_MIN && ic->align <= NVMETCP_ALIGN_MAX &&
	     ic->align % 4 == 0);
	memset(ret, 0, NVMETCP_IC_BYTES);
	ret[NVMETCP_AT_TYPE] = (uint8_t)type;
	ret[NVMETCP_AT_HLEN] = NVMETCP_IC_BYTES;
	le32_put(ret + NVMETCP_AT_PLEN, NVMETCP_IC_BYTES);
	le16_put(ret + NVMETCP_AT_PFV, NVMETCP_PFV);
	ret[NVMETCP_AT_PDA] = (uint8_t)(ic->align / 4 - 1);
	ret[NVMETCP_AT_DGST] = (uint8_t)(ic->hdgst | ic->ddgst << 1);
	le32_put(ret + NVMETCP_AT_MAXR2T, last);
	return NVMETCP_IC_BYTES;
}

unsigned nvmetcp_icreq_encode(const struct nvmetcp_ic *ic, uint8_t *ret)
{
	return ic_encode(NVMETCP_ICREQ, ic, ic->maxr2t, ret);
}

unsigned nvmetcp_icresp_encode(const struct nvmetcp_ic *ic, uint8_t *ret)
{
	must(ic->maxh2cdata >= NVMETCP_MAXH2CDATA_MIN && ic->maxh2cdata % 4 == 0);
	return ic_encode(NVMETCP_ICRESP, ic, ic->maxh2cdata, ret);
}

unsigned nvmetcp_cmd_encode(const struct nvmetcp_rules *rules, const struct nvme_sqe *sqe,
			    uint32_t data_bytes, uint8_t *ret)
{
	nvme_sqe_encode(sqe, ret + NVMETCP_AT_SQE);
	return head_finish(rules, NVMETCP_CMD, NVMETCP_CMD_BYTES, 0, data_bytes, ret);
}

unsigned nvmetcp_resp_encode(const struct nvmetcp_rules *rules, const struct nvme_cqe *cqe,
			     uint8_t *ret)
{
	nvme_cqe_encode(cqe, ret + NVMETCP_AT_CQE);
	return head_finish(rules, NVMETCP_RESP, NVMETCP_RESP_BYTES, 0, 0, ret);
}

static void extent_encode(const struct nvmetcp_data *data, uint16_t ttag, uint8_t *ret)
{
	le16_put(ret + NVMETCP_AT_CCCID, data->cccid);
	le16_put(ret + NVMETCP_AT_TTAG, ttag);
	le32_put(ret + NVMETCP_AT_DATAO, data->offset);
	le32_put(ret + NVMETCP_AT_DATAL, data->length);
	le32_put(ret + 20, 0);
}

unsigned nvmetcp_data_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_data *data,
			     uint8_t flags, uint8_t *ret)
{
	must(data->length > 0);
	extent_encode(data, rules->controller ? 0 : data->ttag, ret);
	return head_finish(rules, rules->controller ? NVMETCP_C2H_DATA : NVMETCP_H2C_DATA,
			   NVMETCP_DATA_BYTES, flags, data->length, ret);
}

unsigned nvmetcp_r2t_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_data *data,
			    uint8_t *ret)
{
	extent_encode(data, data->ttag, ret);
	return head_finish(rules, NVMETCP_R2T, NVMETCP_R2T_BYTES, 0, 0, ret);
}

unsigned nvmetcp_term_encode(const struct nvmetcp_rules *rules, const struct nvmetcp_fault *fault,
			     const uint8_t *header, size_t size, uint8_t *ret)
{
	size = min_size(size, NVMETCP_TERM_DATA_MAX);
	memset(ret, 0, NVMETCP_TERM_BYTES);
	ret[NVMETCP_AT_TYPE] = rules->controller ? NVMETCP_C2H_TERM : NVMETCP_H2C_TERM;
	ret[NVMETCP_AT_HLEN] = NVMETCP_TERM_BYTES;
	le32_put(ret + NVMETCP_AT_PLEN, (uint32_t)(NVMETCP_TERM_BYTES + size));
	le16_put(ret + NVMETCP_AT_FES, fault->fes);
	le32_put(ret + NVMETCP_AT_FEI, fault->fei);
	if (size)
		memcpy(ret + NVMETCP_TERM_BYTES, header, size);
	return (unsigned)(NVMETCP_TERM_BYTES + size);
}
