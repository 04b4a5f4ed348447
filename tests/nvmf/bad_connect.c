// SPDX-License-Identifier: Apache-2.0
/*
 * bad_connect - fabrics commands (Base 2.0, sections 3.3.2.2, 6).
 *
 * CVE-2023-6121: names that do not end, told to the log of the target.
 */
#include "nvmf/bad.h"

#define FCTYPE	SQ(4)
#define RECFMT	SQ(40)
#define QID	SQ(42)
#define SQSIZE	SQ(44)
#define CNTLID	DAT(16)
#define SUBNQN	DAT(256)
#define HOSTNQN DAT(512)
#define OFST	SQ(44)

/* A row is a line. */
/* clang-format off */
static const struct bad_row rows[] = {
	{ "identify_before_connect", HELLO, 0, B_IDENTIFY, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "keep_alive_before_connect", HELLO, 0, B_ADMIN, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "read_before_connect", HELLO, 0, B_READ, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "capsule_before_connect", HELLO, 0, B_CAPSULE, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "property_get_before_connect", HELLO, 0, B_GET, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "property_set_before_connect", HELLO, 0, B_SET, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },
	/* CVE-2020-class: a write by R2T on a queue that has no commands yet */
	{ "write_before_connect", HELLO, 0, B_WRITE, { { 0 } }, STATUS(COMMAND_SEQUENCE_ERROR) },

	{ "connect_of_another_format", HELLO, 0, B_CONNECT, { P16(RECFMT, 1) },
	  STATUS(CONNECT_FORMAT) },
	{ "queue_of_one_entry", HELLO, 0, B_CONNECT, { P16(SQSIZE, 0) },
	  STATUS(CONNECT_INVALID_PARAMS) },
	{ "connect_to_an_io_queue_of_no_controller", HELLO, 0, B_CONNECT, { P16(QID, 1) },
	  STATUS(CONNECT_INVALID_PARAMS) },
	{ "admin_queue_of_a_given_controller", HELLO, 0, B_CONNECT, { P16(CNTLID, 0x1234) },
	  STATUS(CONNECT_INVALID_PARAMS) },
	{ "unknown_subsystem", HELLO, 0, B_CONNECT, { P64(SUBNQN, UINT64_C(0x3031302e6e716e)) },
	  STATUS(CONNECT_INVALID_PARAMS) },
	{ "empty_name_of_a_subsystem", HELLO, 0, B_CONNECT, { P8(SUBNQN, 0) },
	  STATUS(CONNECT_INVALID_PARAMS) },
	{ "empty_name_of_a_host", HELLO, 0, B_CONNECT, { P8(HOSTNQN, 0) },
	  STATUS2(CONNECT_INVALID_PARAMS, CONNECT_INVALID_HOST) },
	{ "names_without_end", HELLO, 0, B_CONNECT, { { 0 } }, STATUS(CONNECT_INVALID_PARAMS),
	  T_NUL },
	{ "connect_with_1023_bytes", HELLO, 0, B_CONNECT, { P32(SQ(32), 1023) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "connect_with_no_bytes", HELLO, 0, B_CONNECT, { P32(SQ(32), 0) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "connect_with_more_bytes_than_came", HELLO, 0, B_CONNECT, { P32(SQ(32), 2048) },
	  STATUS(DATA_SGL_LENGTH_INVALID) },
	{ "connect_by_keyed_block", HELLO, 0, B_CONNECT, { P8(SQ(39), 0x40) },
	  STATUS(SGL_TYPE_INVALID) },
	{ "connect_of_fctype_7f", HELLO, 0, B_CONNECT, { P8(FCTYPE, 0x7f) }, REFUSED },
	{ "authentication_before_connect", HELLO, 0, B_CONNECT, { P8(FCTYPE, NVME_FABRICS_AUTH_SEND) },
	  REFUSED },
	{ "disconnect_before_connect", HELLO, 0, B_CONNECT, { P8(FCTYPE, NVME_FABRICS_DISCONNECT) },
	  REFUSED },

	{ "second_connect_on_an_admin_queue", ADMIN, 0, B_CONNECT, { { 0 } },
	  STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "io_queue_connect_on_an_admin_queue", ADMIN, 0, B_QUEUE, { { 0 } },
	  STATUS(COMMAND_SEQUENCE_ERROR) },
	{ "property_get", ADMIN, 0, B_GET, { { 0 } }, FINE },
	{ "property_set_of_what_is_set", ADMIN, 0, B_SET, { { 0 } }, FINE },
	{ "property_there_is_not", ADMIN, 0, B_GET, { P32(OFST, 0x1000) }, STATUS(INVALID_FIELD) },
	{ "property_ffffffff", ADMIN, 0, B_GET, { P32(OFST, UINT32_MAX) }, STATUS(INVALID_FIELD) },
	{ "property_of_pci_only", ADMIN, 0, B_GET, { P32(OFST, 0x28), P8(SQ(40), 1) },
	  STATUS(INVALID_FIELD) },
	{ "property_not_aligned", ADMIN, 0, B_GET, { P32(OFST, 2) }, STATUS(INVALID_FIELD) },
	{ "capabilities_of_4_bytes", ADMIN, 0, B_GET, { P8(SQ(40), 0) }, STATUS(INVALID_FIELD) },
	{ "configuration_of_8_bytes", ADMIN, 0, B_SET, { P8(SQ(40), 1) }, STATUS(INVALID_FIELD) },
	{ "property_of_reserved_size", ADMIN, 0, B_GET, { P8(SQ(40), 7) }, STATUS(INVALID_FIELD) },
	{ "set_of_the_capabilities", ADMIN, 0, B_SET, { P32(OFST, 0), P8(SQ(40), 1) },
	  STATUS(INVALID_FIELD) },
	{ "set_of_the_version", ADMIN, 0, B_SET, { P32(OFST, 8) }, STATUS(INVALID_FIELD) },
	{ "set_of_the_status", ADMIN, 0, B_SET, { P32(OFST, 0x1c) }, STATUS(INVALID_FIELD) },
	{ "fctype_02", ADMIN, 0, B_GET, { P8(FCTYPE, 0x02) }, STATUS2(INVALID_FIELD, INVALID_OPCODE) },
	{ "fctype_ff", ADMIN, 0, B_GET, { P8(FCTYPE, 0xff) }, STATUS2(INVALID_FIELD, INVALID_OPCODE) },
	{ "authentication_send", ADMIN, 0, B_GET, { P8(FCTYPE, NVME_FABRICS_AUTH_SEND) }, REFUSED },
	{ "authentication_receive", ADMIN, 0, B_GET, { P8(FCTYPE, NVME_FABRICS_AUTH_RECV) }, REFUSED },
	{ "disconnect_of_the_admin_queue", ADMIN, 0, B_GET, { P8(FCTYPE, NVME_FABRICS_DISCONNECT) },
	  REFUSED },
};
/* clang-format on */

const struct bad_table bad_connect = { "connect", rows, ARRAY_LEN(rows) };
