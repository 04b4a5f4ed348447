// SPDX-License-Identifier: Apache-2.0
/*
 * bad_io - I/O commands (NVM Command Set 1.0, section 3; Base 2.0, sections 3.2.1.4, 3.3.3).
 * Namespaces 1 and 2 are there; namespace 1 has 32768 blocks of 512 bytes.
 */
#include "nvmf/bad.h"

#define OPCODE SQ(0)
#define FLAGS  SQ(1)
#define NSID   SQ(4)
#define SLBA   SQ(40)
#define CDW12  SQ(48)

#define UNKNOWN(name, opcode)                                                       \
	{                                                                           \
		name, IO, 0, B_READ, { P8(OPCODE, opcode) }, STATUS(INVALID_OPCODE) \
	}

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "flush", IO, 0, B_FLUSH, { { 0 } }, FINE },
	{ "limited_retry_is_taken", IO, 0, B_READ, { P32(CDW12, 0x80000007) }, FINE },
	{ "force_unit_access_is_taken", IO, 0, B_CAPSULE, { P32(CDW12, 0x40000007) }, FINE },
	{ "protection_bits_are_ignored", IO, 0, B_READ, { P32(CDW12, 0x3c000007) }, FINE },
	{ "hints_are_ignored", IO, 0, B_READ, { P32(SQ(52), 0xff) }, FINE },

	UNKNOWN("opcode_03", 0x03),
	UNKNOWN("write_uncorrectable", 0x04),
	UNKNOWN("opcode_06", 0x06),
	UNKNOWN("opcode_0a", 0x0a),
	UNKNOWN("zone_management_send", 0x79),
	UNKNOWN("opcode_7d", 0x7d),
	UNKNOWN("opcode_7e", 0x7e),
	{ "vendor_opcode_80", IO, 0, B_READ, { P8(OPCODE, 0x80) }, REFUSED },
	{ "vendor_opcode_ff", IO, 0, B_READ, { P8(OPCODE, 0xff) }, REFUSED },
	{ "unknown_opcode_with_data_in_the_capsule", IO, 0, B_CAPSULE, { P8(OPCODE, 0x7d) },
	  STATUS(INVALID_OPCODE) },
	{ "unknown_opcode_with_data_by_r2t", IO, 0, B_WRITE, { P8(OPCODE, 0x7d) },
	  STATUS(INVALID_OPCODE) },

	{ "namespace_0", IO, 0, B_READ, { P32(NSID, 0) }, STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_3", IO, 0, B_READ, { P32(NSID, 3) }, STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_3_of_a_write", IO, 0, B_WRITE, { P32(NSID, 3) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_3_of_a_capsule", IO, 0, B_CAPSULE, { P32(NSID, 3) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_1024", IO, 0, B_READ, { P32(NSID, 1024) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_7fffffff", IO, 0, B_READ, { P32(NSID, 0x7fffffff) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "namespace_fffffffe", IO, 0, B_READ, { P32(NSID, 0xfffffffe) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "read_of_all_namespaces", IO, 0, B_READ, { P32(NSID, UINT32_MAX) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },
	{ "flush_of_namespace_0", IO, 0, B_FLUSH, { P32(NSID, 0) },
	  STATUS2(INVALID_NAMESPACE, INVALID_FIELD) },

	{ "first_block_at_the_end", IO, 0, B_READ, { P64(SLBA, 32768) }, STATUS(LBA_OUT_OF_RANGE) },
	{ "last_block_beyond_the_end", IO, 0, B_READ, { P64(SLBA, 32761) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "last_blocks_are_fine", IO, 0, B_READ, { P64(SLBA, 32760) }, FINE },
	{ "first_block_2_to_the_32", IO, 0, B_READ, { P64(SLBA, UINT64_C(1) << 32) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "first_block_2_to_the_55", IO, 0, B_READ, { P64(SLBA, UINT64_C(1) << 55) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "first_block_2_to_the_63", IO, 0, B_READ, { P64(SLBA, UINT64_C(1) << 63) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "blocks_that_wrap", IO, 0, B_READ, { P64(SLBA, UINT64_MAX - 3) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "write_beyond_the_end", IO, 0, B_WRITE, { P64(SLBA, 32761) }, STATUS(LBA_OUT_OF_RANGE) },
	{ "capsule_beyond_the_end", IO, 0, B_CAPSULE, { P64(SLBA, 32761) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "write_that_wraps", IO, 0, B_WRITE, { P64(SLBA, UINT64_MAX - 3) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "zeroes_beyond_the_end", IO, 0, B_FLUSH, { P8(OPCODE, NVME_IO_WRITE_ZEROES), P64(SLBA, 32768) },
	  STATUS(LBA_OUT_OF_RANGE) },
	{ "zeroes_of_65536_blocks_beyond_the_end", IO, 0, B_FLUSH,
	  { P8(OPCODE, NVME_IO_WRITE_ZEROES), P32(CDW12, 0xffff) },
	  STATUS2(LBA_OUT_OF_RANGE, INVALID_FIELD) },
	{ "compare_beyond_the_end", IO, 0, B_WRITE, { P8(OPCODE, NVME_IO_COMPARE), P64(SLBA, 32761) },
	  STATUS(LBA_OUT_OF_RANGE) },

	{ "first_of_a_fused_pair", IO, 0, B_READ, { P8(FLAGS, NVME_PSDT_SGL | NVME_FUSE_FIRST) },
	  REFUSED },
	{ "second_of_a_fused_pair", IO, 0, B_CAPSULE, { P8(FLAGS, NVME_PSDT_SGL | NVME_FUSE_SECOND) },
	  REFUSED },
	{ "reserved_fuse", IO, 0, B_READ, { P8(FLAGS, NVME_PSDT_SGL | NVME_FUSE_MASK) }, REFUSED },
	{ "write_with_a_directive", IO, 0, B_CAPSULE, { P32(CDW12, 0x00100007) },
	  STATUS(INVALID_FIELD) },

	{ "dsm_of_less_data_than_ranges", IO, 0, B_CAPSULE,
	  { P8(OPCODE, NVME_IO_DATASET_MANAGEMENT), P32(SQ(40), 255), P32(SQ(44), NVME_DSM_DEALLOCATE),
	    P32(SQ(32), 16) },
	  REFUSED },
	{ "dsm_beyond_the_end", IO, 0, B_CAPSULE,
	  { P8(OPCODE, NVME_IO_DATASET_MANAGEMENT), P64(SQ(40), (uint64_t)NVME_DSM_DEALLOCATE << 32),
	    P64(DAT(0), UINT64_C(8) << 32), P64(DAT(8), 32761) },
	  REFUSED },
	{ "resv_acquire_without_registration", IO, 0, B_CAPSULE,
	  { P8(OPCODE, NVME_IO_RESV_ACQUIRE), P64(SQ(40), 0xff00) }, REFUSED },
	{ "resv_register_of_a_reserved_action", IO, 0, B_CAPSULE,
	  { P8(OPCODE, NVME_IO_RESV_REGISTER), P64(SQ(40), 7) }, REFUSED },
	{ "resv_report_of_no_data", IO, 0, B_FLUSH,
	  { P8(OPCODE, NVME_IO_RESV_REPORT), P32(SQ(40), 15) }, REFUSED },

	{ "connect_on_a_connected_io_queue", IO, 0, B_CONNECT, { { 0 } },
	  STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "property_get_on_an_io_queue", IO, 0, B_GET, { { 0 } }, REFUSED },
	{ "property_set_on_an_io_queue", IO, 0, B_SET, { { 0 } }, REFUSED },
	{ "identify_on_an_io_queue_is_verify_or_unknown", IO, 0, B_READ,
	  { P8(OPCODE, NVME_ADMIN_KEEP_ALIVE) }, REFUSED },
};
/* clang-format on */

const struct bad_table bad_io = { "io", rows, ARRAY_LEN(rows) };
