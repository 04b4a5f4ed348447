// SPDX-License-Identifier: Apache-2.0
/*
 * bad_admin - admin commands (Base 2.0, section 5).
 */
#include "nvmf/bad.h"

#define OPCODE SQ(0)
#define NSID   SQ(4)
#define CDW10  SQ(40)

#define UNKNOWN(name, opcode)                                                           \
	{                                                                               \
		name, ADMIN, 0, B_ADMIN, { P8(OPCODE, opcode) }, STATUS(INVALID_OPCODE) \
	}

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "keep_alive", ADMIN, 0, B_ADMIN, { { 0 } }, FINE },
	{ "identify_the_controller", ADMIN, 0, B_IDENTIFY, { { 0 } }, FINE },
	{ "smart_log", ADMIN, 0, B_LOG, { { 0 } }, FINE },

	/* queues are made by Connect */
	UNKNOWN("delete_sq", 0x00),
	UNKNOWN("create_sq", 0x01),
	UNKNOWN("delete_cq", 0x04),
	UNKNOWN("create_cq", 0x05),
	UNKNOWN("opcode_03", 0x03),
	UNKNOWN("namespace_management", 0x0d),
	UNKNOWN("firmware_commit", 0x10),
	UNKNOWN("firmware_download", 0x11),
	UNKNOWN("self_test", 0x14),
	UNKNOWN("namespace_attachment", 0x15),
	UNKNOWN("directive_send", 0x19),
	UNKNOWN("virtualization", 0x1c),
	UNKNOWN("capacity_management", 0x20),
	UNKNOWN("lockdown", 0x24),
	UNKNOWN("doorbell_buffer", 0x7c),
	UNKNOWN("format", 0x80),
	UNKNOWN("security_send", 0x81),
	UNKNOWN("security_receive", 0x82),
	UNKNOWN("sanitize", 0x84),
	UNKNOWN("lba_status", 0x86),
	{ "vendor_opcode_ff", ADMIN, 0, B_ADMIN, { P8(OPCODE, 0xff) }, REFUSED },
	{ "vendor_opcode_fd_with_data_by_r2t", ADMIN, 0, B_IDENTIFY, { P8(OPCODE, 0xfd) }, WHATEVER },

	{ "identify_of_cns_ff", ADMIN, 0, B_IDENTIFY, { P8(CDW10, 0xff) }, STATUS(INVALID_FIELD) },
	{ "identify_of_cns_30", ADMIN, 0, B_IDENTIFY, { P8(CDW10, 0x30) }, STATUS(INVALID_FIELD) },
	{ "identify_of_namespace_0", ADMIN, 0, B_IDENTIFY, { P8(CDW10, NVME_CNS_NS) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "identify_of_namespace_ffffffff", ADMIN, 0, B_IDENTIFY,
	  { P8(CDW10, NVME_CNS_NS), P32(NSID, UINT32_MAX) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "names_of_namespace_0", ADMIN, 0, B_IDENTIFY, { P8(CDW10, NVME_CNS_NS_DESCRIPTORS) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "names_of_namespace_3", ADMIN, 0, B_IDENTIFY,
	  { P8(CDW10, NVME_CNS_NS_DESCRIPTORS), P32(NSID, 3) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "list_from_namespace_fffffffe", ADMIN, 0, B_IDENTIFY,
	  { P8(CDW10, NVME_CNS_ACTIVE_NSIDS), P32(NSID, 0xfffffffe) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "list_from_namespace_ffffffff", ADMIN, 0, B_IDENTIFY,
	  { P8(CDW10, NVME_CNS_ACTIVE_NSIDS), P32(NSID, UINT32_MAX) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "identify_of_another_command_set", ADMIN, 0, B_IDENTIFY,
	  { P8(CDW10, NVME_CNS_CTRL_OF_SET), P32(SQ(44), 0x02000000) },
	  STATUS2(INVALID_FIELD, COMMAND_SET_NOT_SUPPORTED) },

	{ "log_there_is_not", ADMIN, 0, B_LOG, { P8(CDW10, 0xbf) },
	  STATUS2(INVALID_LOG_PAGE, INVALID_FIELD) },
	{ "log_at_an_offset_not_of_dwords", ADMIN, 0, B_LOG, { P32(SQ(48), 2) },
	  STATUS(INVALID_FIELD) },
	{ "log_beyond_its_end", ADMIN, 0, B_LOG, { P32(SQ(48), 1u << 20) }, STATUS(INVALID_FIELD) },
	{ "log_far_beyond_its_end", ADMIN, 0, B_LOG, { P64(SQ(48), UINT64_C(0xfffffffffffffffc)) },
	  STATUS(INVALID_FIELD) },
	{ "discovery_log_of_a_controller_with_namespaces", ADMIN, 0, B_LOG,
	  { P8(CDW10, NVME_LID_DISCOVERY) }, STATUS2(INVALID_LOG_PAGE, INVALID_FIELD) },

	{ "get_of_an_unknown_feature", ADMIN, 0, B_FEATURE, { P8(CDW10, 0x7f) },
	  STATUS(INVALID_FIELD) },
	{ "get_of_a_reserved_select", ADMIN, 0, B_FEATURE, { P32(CDW10, 0x0707) },
	  STATUS(INVALID_FIELD) },
	{ "set_of_an_unknown_feature", ADMIN, 0, B_FEATURE,
	  { P8(OPCODE, NVME_ADMIN_SET_FEATURES), P8(CDW10, 0x7f) }, STATUS(INVALID_FIELD) },
	{ "set_of_65536_queues", ADMIN, 0, B_FEATURE,
	  { P8(OPCODE, NVME_ADMIN_SET_FEATURES), P32(SQ(44), UINT32_MAX) }, STATUS(INVALID_FIELD) },
	{ "set_of_a_host_identifier", ADMIN, 0, B_FEATURE,
	  { P8(OPCODE, NVME_ADMIN_SET_FEATURES), P8(CDW10, NVME_FID_HOST_ID) }, REFUSED },
	{ "set_and_save", ADMIN, 0, B_FEATURE,
	  { P8(OPCODE, NVME_ADMIN_SET_FEATURES), P32(CDW10, 0x80000000 | NVME_FID_ASYNC_EVENT) },
	  STATUS2(FEATURE_NOT_SAVEABLE, INVALID_FIELD) },

	{ "abort_of_what_is_not", ADMIN, 0, B_ADMIN,
	  { P8(OPCODE, NVME_ADMIN_ABORT), P32(CDW10, 0xffff0001) }, FINE },
	{ "fused_admin_command", ADMIN, 0, B_ADMIN, { P8(SQ(1), NVME_PSDT_SGL | NVME_FUSE_FIRST) },
	  REFUSED },
};
/* clang-format on */

const struct bad_table bad_admin = { "admin", rows, ARRAY_LEN(rows) };
