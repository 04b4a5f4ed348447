// SPDX-License-Identifier: Apache-2.0
/*
 * Golden bytes of wire/: written out from the specifications, not from our encoders. They are
 * other people's formats, so a change here means that we misread one.
 *
 * A structure is given as what is not zero: "OFFSET: bytes in hex; OFFSET: ...".
 */
#include <stdlib.h>
#include <string.h>

#include "unit/unit.h"

#include "base/cursor.h"
#include "wire/nbd_io.h"
#include "wire/nbd_option.h"
#include "wire/nvme_discovery.h"
#include "wire/nvme_fabrics.h"
#include "wire/nvme_feature.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_io.h"
#include "wire/nvme_list.h"
#include "wire/nvme_log.h"
#include "wire/nvme_resv.h"
#include "wire/nvme_sgl.h"
#include "wire/nvmetcp.h"

static void golden_fill(const char *golden, uint8_t *ret, size_t size)
{
	size_t at = 0;

	memset(ret, 0, size);
	while (*golden) {
		char *end;
		unsigned long number;

		if (*golden == ' ' || *golden == ';') {
			golden++;
			continue;
		}
		number = strtoul(golden, &end, 10);
		if (*end == ':') {
			at = number;
		} else {
			number = strtoul(golden, &end, 16);
			assert_true(at < size && number < 256 && end > golden);
			ret[at++] = (uint8_t)number;
		}
		golden = *end == ':' ? end + 1 : end;
	}
}

static void assert_golden(const uint8_t *bytes, size_t size, const char *golden)
{
	uint8_t wanted[4096];

	assert_true(size <= sizeof(wanted));
	golden_fill(golden, wanted, size);
	assert_memory_equal(bytes, wanted, size);
}

static struct nvme_sqe write_command(void)
{
	struct nvme_rw rw = { .lba = 0x100, .blocks = 8, .flags = NVME_RW_FUA };
	struct nvme_sgl sgl = { .in_capsule = true, .length = 4096 };
	struct nvme_sqe sqe = { .opcode = NVME_IO_WRITE, .cid = 0x1234, .nsid = 1 };

	nvme_sgl_encode(&sgl, &sqe);
	nvme_rw_encode(&rw, &sqe);
	return sqe;
}

static const struct nvme_cqe failed_command = {
	.result = UINT64_C(0x1122334455667788),
	.sqhd = 5,
	.cid = 0x1234,
	.status = 0x4080, /* LBA Out of Range, do not retry */
};

static void commands(void **state)
{
	struct nvme_sgl sgl = { .length = 8192 };
	struct nvme_sqe sqe = write_command();
	uint8_t bytes[NVME_SQE_BYTES];

	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes),
		      "0: 01 40 34 12 01 00 00 00; 32: 00 10; 39: 01; 41: 01; 48: 07 00 00 40");
	nvme_sgl_encode(&sgl, &sqe);
	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes),
		      "0: 01 40 34 12 01; 32: 00 20; 39: 5a; 41: 01; 48: 07 00 00 40");
	nvme_cqe_encode(&failed_command, bytes);
	assert_golden(bytes, NVME_CQE_BYTES, "0: 88 77 66 55 44 33 22 11 05 00 00 00 34 12 00 81");
}

static void ranges(void **state)
{
	struct nvme_dsm_range range = { .attributes = 1, .blocks = 0x200, .lba = 0x1122334455 };
	uint8_t bytes[NVME_DSM_RANGE_BYTES];

	nvme_dsm_range_encode(&range, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01; 5: 02; 8: 55 44 33 22 11");
}

static void agreed(struct nvmetcp_rules *rules, bool controller, uint8_t cpda)
{
	struct nvmetcp_ic icreq = { .align = 4, .hdgst = true, .ddgst = true };
	struct nvmetcp_ic icresp = {
		.align = cpda,
		.hdgst = true,
		.ddgst = true,
		.maxh2cdata = 8192,
	};

	nvmetcp_rules_init(rules, controller);
	nvmetcp_rules_agree(rules, &icreq, &icresp);
}

static void connections_of_nvmetcp(void **state)
{
	struct nvmetcp_ic icreq = { .align = 64, .hdgst = true, .maxr2t = 3 };
	struct nvmetcp_ic icresp = { .align = 4, .ddgst = true, .maxh2cdata = 0x20000 };
	struct nvmetcp_fault fault = { .fes = NVMETCP_FES_FIELD, .fei = 0x01020304 };
	struct nvmetcp_rules rules;
	uint8_t bytes[NVMETCP_TERM_MAX];

	assert_golden(bytes, nvmetcp_icreq_encode(&icreq, bytes),
		      "0: 00 00 80 00 80; 10: 0f 01 03");
	assert_golden(bytes, nvmetcp_icresp_encode(&icresp, bytes),
		      "0: 01 00 80 00 80; 10: 00 02 00 00 02");
	agreed(&rules, true, 4);
	assert_golden(bytes, nvmetcp_term_encode(&rules, &fault, (const uint8_t *)"abc", 3, bytes),
		      "0: 03 00 18 00 1b; 8: 01 00 04 03 02 01; 24: 61 62 63");
	agreed(&rules, false, 4);
	assert_golden(bytes, nvmetcp_term_encode(&rules, &fault, NULL, 0, bytes),
		      "0: 02 00 18 00 18; 8: 01 00 04 03 02 01");
}

static void pdus_of_nvmetcp(void **state)
{
	struct nvmetcp_data data = { 0x1234, 0x5678, 4096, 8192 };
	struct nvme_sqe sqe = write_command();
	struct nvmetcp_rules host, ctrl;
	uint8_t bytes[NVMETCP_HEAD_MAX];

	agreed(&host, false, 64);
	agreed(&ctrl, true, 64);
	assert_golden(bytes, nvmetcp_cmd_encode(&host, &sqe, 4096, bytes),
		      "0: 04 03 48 80 84 10 00 00; 8: 01 40 34 12 01; 40: 00 10; 47: 01; 49: 01;"
		      "56: 07 00 00 40; 72: e9 bd 2e f4; 127: 00");
	assert_golden(bytes, nvmetcp_resp_encode(&ctrl, &failed_command, bytes),
		      "0: 05 01 18 00 1c; 8: 88 77 66 55 44 33 22 11 05 00 00 00 34 12 00 81;"
		      "24: 86 1b 90 c5");
	assert_golden(bytes,
		      nvmetcp_data_encode(&ctrl, &data, NVMETCP_LAST | NVMETCP_SUCCESS, bytes),
		      "0: 07 0f 18 1c 20 20; 8: 34 12; 13: 10 00 00 00 20; 24: 8d 1b f7 56");
	agreed(&host, false, 4);
	assert_golden(bytes, nvmetcp_data_encode(&host, &data, NVMETCP_LAST, bytes),
		      "0: 06 07 18 1c 20 20; 8: 34 12 78 56; 13: 10 00 00 00 20; 24: 49 e5 60 f1");
	assert_golden(bytes, nvmetcp_r2t_encode(&ctrl, &data, bytes),
		      "0: 09 01 18 00 1c; 8: 34 12 78 56; 13: 10 00 00 00 20; 24: 57 9d 8a 21");
}

static void fabrics_commands(void **state)
{
	struct nvme_connect connect = {
		.qid = 1,
		.sqsize = 127,
		.cattr = NVME_CATTR_NO_FLOW_CONTROL,
		.kato_ms = 0x11223344,
		.host_id = { 0xaa, 0xbb },
		.cntlid = 0xffff,
		.subnqn = "sub",
		.hostnqn = "host",
	};
	struct nvme_property property = { NVME_PROP_CC, 4, 0x460001 };
	uint8_t bytes[NVME_SQE_BYTES], data[NVME_CONNECT_DATA_BYTES];
	struct nvme_sqe sqe = { .cid = 7 };

	nvme_connect_encode(&connect, &sqe, data);
	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 7f 40 07 00 01; 42: 01 00 7f 00 04 00 44 33 22 11");
	assert_golden(data, sizeof(data), "0: aa bb; 16: ff ff; 256: 73 75 62; 512: 68 6f 73 74");
	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_SET, &sqe);
	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 7f 40 07; 44: 14 00 00 00 01 00 46");
	property = (struct nvme_property){ NVME_PROP_CAP, 8, 0 };
	nvme_property_encode(&property, NVME_FABRICS_PROPERTY_GET, &sqe);
	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 7f 40 07 00 04; 40: 01");
	nvme_disconnect_encode(&sqe);
	nvme_sqe_encode(&sqe, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 7f 40 07 00 08");
}

static void properties_of_a_controller(void **state)
{
	struct nvme_cap cap = { .mqes = 127, .cqr = true, .to = 30, .css = 1, .crms = 1 };
	struct nvme_cc cc = { .enable = true, .shn = 1, .iosqes = 6, .iocqes = 4 };

	assert_true(nvme_cap_encode(&cap) == UINT64_C(0x080000201e01007f));
	assert_int_equal(nvme_cc_encode(&cc), 0x464001);
	assert_int_equal(nvme_version(1, 4, 0), 0x00010400);
}

static void identify_controller(void **state)
{
	struct nvme_id_ctrl ctrl = {
		.vid = 0x1b36,
		.sn = "serial",
		.mn = "Mayastor",
		.fr = "0.1.0",
		.ieee = 0x123456,
		.cmic = NVME_CMIC_MULTI_CTRL | NVME_CMIC_ANA,
		.mdts = 8,
		.cntlid = 0x1122,
		.ver = 0x10400,
		.oaes = (uint32_t)NVME_OAES_DISCOVERY | NVME_OAES_NS_ATTRIBUTE,
		.ctratt = NVME_CTRATT_HOST_ID_128 | NVME_CTRATT_TBKAS,
		.cntrltype = NVME_CTRL_IO,
		.crdt = { 0, 0, 5 },
		.aerl = 3,
		.kas = 10,
		.anacap = NVME_ANACAP_OPTIMIZED | NVME_ANACAP_CHANGE,
		.anagrpmax = 1,
		.nanagrpid = 1,
		.tnvmcap = 0x100,
		.sqes = 0x66,
		.cqes = 0x44,
		.maxcmd = 128,
		.nn = 0x400,
		.oncs = NVME_ONCS_RESERVATIONS | NVME_ONCS_VERIFY,
		.vwc = NVME_VWC_PRESENT | NVME_VWC_FLUSH_ALL_YES,
		.sgls = NVME_SGLS_SUPPORTED | NVME_SGLS_OFFSETS | NVME_SGLS_TRANSPORT,
		.mnan = 0x400,
		.subnqn = "nqn",
		.ioccsz = 4 + 1024,
		.iorcsz = 1,
		.msdbd = 1,
		.psd0_mp = 100,
	};
	uint8_t bytes[NVME_IDENTIFY_BYTES], wanted[NVME_IDENTIFY_BYTES];

	nvme_id_ctrl_encode(&ctrl, bytes);
	golden_fill("0: 36 1b; 73: 56 34 12 0a 08 22 11 00 04 01; 92: 00 01 00 80 41; 111: 01;"
		    "132: 05; 259: 03; 281: 01; 320: 0a; 343: 11 01 00 00 00 01;"
		    "512: 66 44 80 00 00 04 00 00 a0; 525: 07; 536: 01 00 30 00 00 04;"
		    "768: 6e 71 6e; 1792: 04 04 00 00 01; 1803: 01; 2048: 64",
		    wanted, sizeof(wanted));
	memcpy(wanted + 4, "serial              ", 20);
	memcpy(wanted + 24, "Mayastor                                ", 40);
	memcpy(wanted + 64, "0.1.0   ", 8);
	assert_memory_equal(bytes, wanted, sizeof(bytes));
}

static void identify_namespace(void **state)
{
	struct nvme_id_ns ns = {
		.nsze = 0x1000,
		.ncap = 0x1000,
		.nuse = 0x800,
		.nsfeat = NVME_NSFEAT_THIN | NVME_NSFEAT_OPTIMAL_IO,
		.nmic = NVME_NMIC_SHARED,
		.rescap = NVME_RESCAP_PTPL | NVME_RESCAP_EXCLUSIVE_ACCESS,
		.dlfeat = NVME_DLFEAT_ZEROES | NVME_DLFEAT_WRITE_ZEROES,
		.noiob = 0x80,
		.npwg = 7,
		.nows = 0x1f,
		.anagrpid = 1,
		.nsattr = NVME_NSATTR_WRITE_PROTECT,
		.nguid = { 0x11, [15] = 0x22 },
		.eui64 = { 0x33, [7] = 0x44 },
		.lbaf = { { .lbads = 12 }, { .ms = 8, .lbads = 9, .rp = 2 } },
	};
	struct nvme_id_ns_independent independent = {
		.nsfeat = 1,
		.nmic = NVME_NMIC_SHARED,
		.rescap = 5,
		.anagrpid = 7,
		.nsattr = 1,
		.endgid = 9,
		.nstat = NVME_NSTAT_READY,
	};
	uint8_t bytes[NVME_IDENTIFY_BYTES];

	nvme_id_ns_encode(&ns, bytes);
	assert_golden(bytes, sizeof(bytes),
		      "1: 10; 9: 10; 17: 08; 24: 11; 30: 01 05; 33: 09; 46: 80; 64: 07; 72: 1f;"
		      "92: 01; 99: 01; 104: 11; 119: 22 33; 127: 44; 130: 0c; 132: 08 00 09 02");
	nvme_id_ns_independent_encode(&independent, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01 01 05 00 07; 8: 01; 12: 09 00 01");
}

static void identify_of_the_nvm_command_set(void **state)
{
	struct nvme_id_ns_nvm ns = { .lbstm = 0x0102, .pic = 3, .elbaf = { 0x11, [63] = 0x22 } };
	struct nvme_id_ctrl_nvm ctrl = { 1, 2, 3, 4, 0x05060708, 9 };
	uint8_t bytes[NVME_IDENTIFY_BYTES];

	nvme_id_ns_nvm_encode(&ns, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 02 01; 8: 03; 12: 11; 264: 22");
	nvme_id_ctrl_nvm_encode(&ctrl, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01 02 03 04 08 07 06 05 09");
}

static void lists(void **state)
{
	static const uint32_t nsids[] = { 1, 0x01020304 };
	static const uint16_t cntlids[] = { 1, 0x0203 };
	static const uint64_t sets[] = { 1 };
	static const uint8_t uuid[16] = { 0xaa, [15] = 0xbb }, csi = 0;
	uint8_t bytes[NVME_LIST_BYTES];
	struct builder b;

	nvme_nsids_encode(nsids, 2, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01 00 00 00 04 03 02 01");
	nvme_cntlids_encode(cntlids, 2, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 02 00 01 00 03 02");
	nvme_command_sets_encode(sets, 1, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01");
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nvme_ns_name_put(&b, NVME_NIDT_UUID, uuid), 0);
	assert_int_equal(nvme_ns_name_put(&b, NVME_NIDT_CSI, &csi), 0);
	assert_golden(bytes, b.pos, "0: 03 10; 4: aa; 19: bb; 20: 04 01");
}

static void log_pages(void **state)
{
	struct nvme_error_entry error = { 7, 1, 2, 0x4080, 0xffff, 9, 3, NVME_TRTYPE_TCP, 5 };
	struct nvme_smart smart = {
		.critical_warning = 1,
		.temperature = 0x0136,
		.spare_percent = 100,
		.data_read = 2,
		.data_written = 3,
		.error_entries = 4,
	};
	struct nvme_firmware firmware = { .active = 1, .revision = { "0.1.0" } };
	struct nvme_resv_log resv = { 1, NVME_RESV_EVENT_RELEASED, 2, 3 };
	uint8_t bytes[NVME_EFFECTS_BYTES] = { 0 };

	nvme_supported_put(bytes, NVME_LID_RESERVATION, NVME_SUPPORTED);
	assert_golden(bytes, NVME_SUPPORTED_BYTES, "512: 01");
	nvme_error_entry_encode(&error, bytes);
	assert_golden(bytes, NVME_ERROR_ENTRY_BYTES,
		      "0: 07; 8: 01 00 02 00 00 81 ff ff 09; 24: 03; 29: 03; 32: 05");
	nvme_smart_encode(&smart, bytes);
	assert_golden(bytes, NVME_SMART_BYTES, "0: 01 36 01 64; 32: 02; 48: 03; 176: 04");
	nvme_firmware_encode(&firmware, bytes);
	assert_golden(bytes, NVME_FIRMWARE_BYTES, "0: 01; 8: 30 2e 31 2e 30 20 20 20");
	nvme_resv_log_encode(&resv, bytes);
	assert_golden(bytes, NVME_RESV_LOG_BYTES, "0: 01; 8: 02 02; 12: 03");
	memset(bytes, 0, sizeof(bytes));
	nvme_effects_put(bytes, true, NVME_ADMIN_IDENTIFY, NVME_EFFECT_SUPPORTED);
	nvme_effects_put(bytes, false, NVME_IO_WRITE, NVME_EFFECT_SUPPORTED | NVME_EFFECT_DATA);
	assert_golden(bytes, NVME_EFFECTS_BYTES, "24: 01; 1028: 03");
}

static void ana_log_page(void **state)
{
	struct nvme_ana_group group = { 1, 1, 3, NVME_ANA_STATE_INACCESSIBLE, NULL };
	uint8_t bytes[64];
	struct builder b;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nvme_ana_head_put(&b, 2, 1), 0);
	assert_int_equal(nvme_ana_group_put(&b, &group), 0);
	assert_int_equal(builder_put_le32(&b, 5), 0);
	assert_golden(bytes, b.pos, "0: 02; 8: 01; 16: 01 00 00 00 01; 24: 03; 32: 03; 48: 05");
}

static void discovery_log_page(void **state)
{
	struct nvme_discovery_head head = { .generation = 1, .records = 2 };
	struct nvme_discovery_entry entry = {
		.trtype = NVME_TRTYPE_TCP,
		.adrfam = NVME_ADRFAM_IPV4,
		.subtype = NVME_SUBTYPE_NVM,
		.treq = NVME_TREQ_NO_FLOW_CONTROL,
		.portid = 0x0102,
		.cntlid = 0xffff,
		.asqsz = 32,
		.eflags = NVME_EFLAGS_PERSISTENT,
		.trsvcid = "8420",
		.subnqn = "nqn",
		.traddr = "10.0.0.1",
	};
	uint8_t bytes[NVME_DISCOVERY_BYTES], wanted[NVME_DISCOVERY_BYTES];

	nvme_discovery_head_encode(&head, bytes);
	assert_golden(bytes, sizeof(bytes), "0: 01; 8: 02");
	nvme_discovery_entry_encode(&entry, bytes);
	golden_fill("0: 03 01 02 04 02 01 ff ff 20 00 02; 256: 6e 71 6e", wanted, sizeof(wanted));
	memset(wanted + 32, ' ', 32);
	memcpy(wanted + 32, "8420", 4);
	memset(wanted + 512, ' ', 256);
	memcpy(wanted + 512, "10.0.0.1", 8);
	assert_memory_equal(bytes, wanted, sizeof(bytes));
}

static void features_and_events(void **state)
{
	struct nvme_timestamp stamp = { .ms = 0x0102, .set_by_host = true };
	struct nvme_host_behavior behavior = { true, true };
	uint8_t bytes[NVME_HOST_BEHAVIOR_BYTES];

	nvme_timestamp_encode(&stamp, bytes);
	assert_golden(bytes, NVME_TIMESTAMP_BYTES, "0: 02 01; 6: 02");
	nvme_host_behavior_encode(&behavior, bytes);
	assert_golden(bytes, NVME_HOST_BEHAVIOR_BYTES, "0: 01 00 01");
	assert_int_equal(nvme_queues_encode(3, 4), 0x00030002);
	assert_int_equal(nvme_event_encode(NVME_EVENT_ANA, NVME_LID_ANA), 0x000c0302);
}

static void reservations(void **state)
{
	struct nvme_resv_cmd reg = { NVME_RESV_REPLACE, true, 0, NVME_RESV_PTPL_ON, 1, 2 };
	struct nvme_resv_cmd acquire = {
		NVME_RESV_PREEMPT_ABORT, false, NVME_RESV_EXCLUSIVE_ACCESS, 0, 3, 4
	};
	struct nvme_resv_cmd release = { NVME_RESV_CLEAR, false, 1, 0, 5, 0 };
	struct nvme_resv_report report = { 0x01020304, 2, 1, true };
	struct nvme_resv_host host = { 7, true, 0x99, { 0xaa, [15] = 0xbb } };
	struct nvme_sqe sqe = { .opcode = NVME_IO_RESV_REGISTER };
	uint8_t bytes[128];
	size_t at;

	nvme_resv_encode(&reg, &sqe, bytes);
	assert_int_equal(sqe.cdw10, 0xc000000a);
	assert_golden(bytes, 16, "0: 01; 8: 02");
	sqe.opcode = NVME_IO_RESV_ACQUIRE;
	nvme_resv_encode(&acquire, &sqe, bytes);
	assert_int_equal(sqe.cdw10, 0x00000202);
	assert_golden(bytes, 16, "0: 03; 8: 04");
	sqe.opcode = NVME_IO_RESV_RELEASE;
	nvme_resv_encode(&release, &sqe, bytes);
	assert_int_equal(sqe.cdw10, 0x00000101);
	assert_golden(bytes, 8, "0: 05");

	at = nvme_resv_report_encode(&report, false, bytes);
	at += nvme_resv_host_encode(&host, false, bytes + at);
	assert_golden(bytes, at, "0: 04 03 02 01 02 01 00 00 00 01; 24: 07 00 01; 32: aa; 40: 99");
	at = nvme_resv_report_encode(&report, true, bytes);
	at += nvme_resv_host_encode(&host, true, bytes + at);
	assert_golden(bytes, at,
		      "0: 04 03 02 01 02 01 00 00 00 01; 64: 07 00 01; 72: 99; 80: aa; 95: bb");
}

static const struct nbd_text base_text = { "base:allocation", 15 }, disk_text = { "disk", 4 };

static void nbd_handshake(void **state)
{
	struct nbd_option option = { NBD_OPT_GO, 0x0102 };
	struct nbd_reply reply = { NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, 3 };
	struct nbd_export export = { 0x0102030405060708, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_CACHE };
	uint8_t bytes[NBD_REPLY_BYTES];

	nbd_greeting_encode(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES, bytes);
	assert_memory_equal(bytes, "NBDMAGICIHAVEOPT\x00\x03", NBD_GREETING_BYTES);
	nbd_option_encode(&option, bytes);
	assert_memory_equal(bytes, "IHAVEOPT\x00\x00\x00\x07\x00\x00\x01\x02", NBD_OPTION_BYTES);
	nbd_reply_encode(&reply, bytes);
	assert_golden(bytes, NBD_REPLY_BYTES,
		      "0: 00 03 e8 89 04 55 65 a9 00 00 00 07 80 00 00 06 00 00 00 03");
	nbd_export_encode(&export, bytes);
	assert_golden(bytes, NBD_EXPORT_BYTES, "0: 01 02 03 04 05 06 07 08 04 01");
}

static void nbd_options(void **state)
{
	struct nbd_info_request wants = { disk_text, 1 << NBD_INFO_BLOCK_SIZE };
	struct nbd_info info = { .type = NBD_INFO_EXPORT, .export = { 4096, 1 } };
	uint8_t bytes[64];
	struct builder b;

	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_info_request_put(&b, &wants), 0);
	assert_golden(bytes, b.pos, "0: 00 00 00 04 64 69 73 6b 00 01 00 03");
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_meta_request_put(&b, &disk_text, &base_text, 1), 0);
	assert_int_equal(b.pos, 31);
	assert_memory_equal(bytes,
			    "\0\0\0\4disk\0\0\0\1\0\0\0\x0f"
			    "base:allocation",
			    31);
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_server_put(&b, &disk_text, &base_text), 0);
	assert_memory_equal(bytes,
			    "\0\0\0\4disk"
			    "base:allocation",
			    23);
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_meta_context_put(&b, 9, &base_text), 0);
	assert_memory_equal(bytes,
			    "\0\0\0\x09"
			    "base:allocation",
			    19);
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_info_put(&b, &info), 0);
	assert_golden(bytes, b.pos, "8: 10 00 00 01");
	info = (struct nbd_info){ .type = NBD_INFO_BLOCK_SIZE, .block_size = { 1, 4096, 1 << 25 } };
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_info_put(&b, &info), 0);
	assert_golden(bytes, b.pos, "0: 00 03 00 00 00 01 00 00 10 00 02 00 00 00");
	info = (struct nbd_info){ .type = NBD_INFO_NAME, .text = disk_text };
	builder_init(&b, bytes, sizeof(bytes));
	assert_int_equal(nbd_info_put(&b, &info), 0);
	assert_golden(bytes, b.pos, "0: 00 01 64 69 73 6b");
}

static void nbd_transmission(void **state)
{
	struct nbd_request request = {
		.flags = NBD_CMD_FUA,
		.type = NBD_CMD_WRITE_ZEROES,
		.cookie = 0x1122334455667788,
		.offset = 0x0102030405060708,
		.length = 0x0a0b0c0d,
	};
	struct nbd_simple simple = { NBD_ENOSPC, 0x1122334455667788 };
	struct nbd_chunk chunk = { NBD_CHUNK_DONE, NBD_CHUNK_ERROR_OFFSET, 0x1122334455667788, 16 };
	struct nbd_range hole = { 0x0102030405060708, 4096 };
	struct nbd_extent extent = { 4096, NBD_STATE_HOLE | NBD_STATE_ZERO };
	struct nbd_failure failure = { NBD_EIO, "no", 2, true, 0x0102030405060708 };
	uint8_t bytes[64];

	nbd_request_encode(&request, bytes);
	assert_golden(bytes, NBD_REQUEST_BYTES,
		      "0: 25 60 95 13 00 01 00 06 11 22 33 44 55 66 77 88;"
		      "16: 01 02 03 04 05 06 07 08 0a 0b 0c 0d");
	nbd_simple_encode(&simple, bytes);
	assert_golden(bytes, NBD_SIMPLE_BYTES,
		      "0: 67 44 66 98 00 00 00 1c 11 22 33 44 55 66 77 88");
	nbd_chunk_encode(&chunk, bytes);
	assert_golden(bytes, NBD_CHUNK_BYTES,
		      "0: 66 8e 33 ef 00 01 80 02 11 22 33 44 55 66 77 88 00 00 00 10");
	nbd_data_encode(0x0102030405060708, bytes);
	assert_golden(bytes, NBD_DATA_BYTES, "0: 01 02 03 04 05 06 07 08");
	nbd_hole_encode(&hole, bytes);
	assert_golden(bytes, NBD_HOLE_BYTES, "0: 01 02 03 04 05 06 07 08 00 00 10 00");
	nbd_status_encode(9, bytes);
	nbd_extent_encode(&extent, bytes + NBD_STATUS_BYTES);
	assert_golden(bytes, 12, "0: 00 00 00 09 00 00 10 00 00 00 00 03");
	assert_golden(bytes, nbd_failure_encode(&failure, bytes),
		      "0: 00 00 00 05 00 02 6e 6f 01 02 03 04 05 06 07 08");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands),
		cmocka_unit_test(ranges),
		cmocka_unit_test(connections_of_nvmetcp),
		cmocka_unit_test(pdus_of_nvmetcp),
		cmocka_unit_test(fabrics_commands),
		cmocka_unit_test(properties_of_a_controller),
		cmocka_unit_test(identify_controller),
		cmocka_unit_test(identify_namespace),
		cmocka_unit_test(identify_of_the_nvm_command_set),
		cmocka_unit_test(lists),
		cmocka_unit_test(log_pages),
		cmocka_unit_test(ana_log_page),
		cmocka_unit_test(discovery_log_page),
		cmocka_unit_test(features_and_events),
		cmocka_unit_test(reservations),
		cmocka_unit_test(nbd_handshake),
		cmocka_unit_test(nbd_options),
		cmocka_unit_test(nbd_transmission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
