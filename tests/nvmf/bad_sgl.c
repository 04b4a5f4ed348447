// SPDX-License-Identifier: Apache-2.0
/*
 * bad_sgl - data pointers of commands (Base 2.0, section 4.1.2; TCP Transport 1.0, section
 * 3.3.2).
 */
#include "nvmf/bad.h"

#define SGL_AT	 SQ(24)
#define SGL_LEN	 SQ(32)
#define SGL_TYPE SQ(39)
#define FLAGS	 SQ(1)

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "read_by_transport_block", IO, 0, B_READ, { { 0 } }, FINE },
	{ "write_in_the_capsule", IO, 0, B_CAPSULE, { { 0 } }, FINE },
	{ "address_of_a_transport_block_is_reserved", IO, 0, B_READ,
	  { P64(SGL_AT, UINT64_MAX) }, FINE },
	{ "metadata_pointer_is_ignored", IO, 0, B_READ, { P64(SQ(16), UINT64_MAX) }, FINE },

	{ "data_block_by_address", IO, 0, B_READ, { P8(SGL_TYPE, 0x00) }, REFUSED },
	{ "bit_bucket", IO, 0, B_READ, { P8(SGL_TYPE, 0x10) }, STATUS(SGL_TYPE_INVALID) },
	{ "segment", IO, 0, B_READ, { P8(SGL_TYPE, 0x20) }, STATUS(SGL_TYPE_INVALID) },
	{ "last_segment", IO, 0, B_READ, { P8(SGL_TYPE, 0x30) }, STATUS(SGL_TYPE_INVALID) },
	{ "segment_by_offset", IO, 0, B_CAPSULE, { P8(SGL_TYPE, 0x21) }, STATUS(SGL_TYPE_INVALID) },
	{ "keyed_block", IO, 0, B_READ, { P8(SGL_TYPE, 0x40) }, STATUS(SGL_TYPE_INVALID) },
	{ "keyed_block_with_invalidate", IO, 0, B_READ, { P8(SGL_TYPE, 0x4f) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "keyed_block_of_a_write", IO, 0, B_WRITE, { P8(SGL_TYPE, 0x40) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "transport_block_by_address", IO, 0, B_READ, { P8(SGL_TYPE, 0x50) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "transport_block_by_offset", IO, 0, B_READ, { P8(SGL_TYPE, 0x51) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "transport_block_of_subtype_f", IO, 0, B_READ, { P8(SGL_TYPE, 0x5f) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "reserved_type_60", IO, 0, B_READ, { P8(SGL_TYPE, 0x60) }, STATUS(SGL_TYPE_INVALID) },
	{ "vendor_type_f0", IO, 0, B_READ, { P8(SGL_TYPE, 0xf0) }, STATUS(SGL_TYPE_INVALID) },
	{ "type_ff", IO, 0, B_WRITE, { P8(SGL_TYPE, 0xff) }, STATUS(SGL_TYPE_INVALID) },
	{ "keyed_block_on_an_admin_queue", ADMIN, 0, B_IDENTIFY, { P8(SGL_TYPE, 0x40) },
	  STATUS(SGL_TYPE_INVALID) },

	{ "prp", IO, 0, B_READ, { P8(FLAGS, 0x00) }, STATUS(INVALID_FIELD) },
	{ "sgl_of_metadata", IO, 0, B_READ, { P8(FLAGS, 0x80) }, STATUS(INVALID_FIELD) },
	{ "reserved_psdt", IO, 0, B_READ, { P8(FLAGS, 0xc0) }, STATUS(INVALID_FIELD) },
	{ "prp_of_a_write", IO, 0, B_WRITE, { P8(FLAGS, 0x00) }, STATUS(INVALID_FIELD) },
	{ "prp_on_an_admin_queue", ADMIN, 0, B_IDENTIFY, { P8(FLAGS, 0x00) },
	  STATUS(INVALID_FIELD) },

	{ "read_into_the_capsule", IO, 0, B_READ, { P8(SGL_TYPE, 0x01) }, REFUSED },
	{ "in_capsule_without_data", IO, 0, B_WRITE, { P8(SGL_TYPE, 0x01), P64(SGL_AT, 0) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, SGL_OFFSET_INVALID) },
	{ "offset_of_4", IO, 0, B_CAPSULE, { P64(SGL_AT, 4) }, STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "offset_at_the_end_of_the_capsule", IO, 0, B_CAPSULE, { P64(SGL_AT, 4096) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, SGL_OFFSET_INVALID) },
	{ "offset_beyond_the_capsule", IO, 0, B_CAPSULE, { P64(SGL_AT, 4100) },
	  STATUS(SGL_OFFSET_INVALID) },
	{ "offset_of_4_gib", IO, 0, B_CAPSULE, { P64(SGL_AT, UINT64_C(1) << 32) },
	  STATUS(SGL_OFFSET_INVALID) },
	{ "offset_of_minus_1", IO, 0, B_CAPSULE, { P64(SGL_AT, UINT64_MAX) },
	  STATUS(SGL_OFFSET_INVALID) },
	{ "offset_and_length_that_wrap", IO, 0, B_CAPSULE, { P64(SGL_AT, 0xfffff000) },
	  STATUS(SGL_OFFSET_INVALID) },
	{ "transport_block_with_data_in_the_capsule", IO, 0, B_CAPSULE, { P8(SGL_TYPE, 0x5a) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, INVALID_FIELD) },

	{ "read_of_less_than_its_blocks", IO, 0, B_READ, { P32(SGL_LEN, 2048) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "read_of_more_than_its_blocks", IO, 0, B_READ, { P32(SGL_LEN, 8192) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "read_of_no_bytes", IO, 0, B_READ, { P32(SGL_LEN, 0) }, STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "read_of_4_gib", IO, 0, B_READ, { P32(SGL_LEN, UINT32_MAX) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, INVALID_FIELD) },
	{ "write_of_less_than_its_blocks", IO, 0, B_WRITE, { P32(SGL_LEN, 2048) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "write_of_more_than_its_blocks", IO, 0, B_WRITE, { P32(SGL_LEN, 8192) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "write_of_no_bytes", IO, 0, B_WRITE, { P32(SGL_LEN, 0) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "write_of_4_gib", IO, 0, B_WRITE, { P32(SGL_LEN, UINT32_MAX) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, INVALID_FIELD) },
	{ "capsule_of_less_than_its_blocks", IO, 0, B_CAPSULE, { P32(SGL_LEN, 2048) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "capsule_of_more_than_its_data", IO, 0, B_CAPSULE, { P32(SGL_LEN, 8192) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "one_byte_less", IO, 0, B_READ, { P32(SGL_LEN, 4095) }, STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "one_byte_more", IO, 0, B_WRITE, { P32(SGL_LEN, 4097) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "identify_of_4095_bytes", ADMIN, 0, B_IDENTIFY, { P32(SGL_LEN, 4095) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "identify_of_no_bytes", ADMIN, 0, B_IDENTIFY, { P32(SGL_LEN, 0) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "identify_of_4_gib", ADMIN, 0, B_IDENTIFY, { P32(SGL_LEN, UINT32_MAX) },
	  STATUS2(DATA_SGL_LENGTH_INVALID, INVALID_FIELD) },
	{ "identify_with_data_in_the_capsule", ADMIN, 0, B_IDENTIFY, { P8(SGL_TYPE, 0x01) },
	  REFUSED },
	{ "identify_of_4098_bytes", ADMIN, 0, B_IDENTIFY, { P32(SGL_LEN, 4098) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	/* R2Ts are of dwords */
	{ "resv_register_of_18_bytes", IO, 0, B_FLUSH,
	  { P8(SQ(0), NVME_IO_RESV_REGISTER), P32(SGL_LEN, 18) }, STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "log_of_less_than_its_dwords", ADMIN, 0, B_LOG, { P32(SGL_LEN, 64) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
};
/* clang-format on */

const struct bad_table bad_sgl = { "sgl", rows, ARRAY_LEN(rows) };
