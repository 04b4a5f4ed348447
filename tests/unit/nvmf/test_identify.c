// SPDX-License-Identifier: Apache-2.0
/*
 * Identify, as a host reads it (Base 2.0, section 5.17). The tables are the specification's.
 */
#include "unit/nvmf/admin_rig.h"

#include "base/le.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"
#include "wire/nvme_resv.h"

static uint16_t identify(struct admin_rig *ar, struct tgt_ctrl *ctrl, struct admin_cmd *cmd,
			 uint8_t cns, uint32_t nsid)
{
	struct nvme_identify asked = { .cns = cns };

	memset(&cmd->cmd, 0, sizeof(cmd->cmd));
	nvme_identify_encode(&asked, &cmd->cmd.sqe);
	cmd->cmd.sqe.nsid = nsid;
	return admin_run(ar, ctrl, cmd, NVME_IDENTIFY_BYTES);
}

static bool is_zero(const uint8_t *data)
{
	for (unsigned i = 0; i < NVME_IDENTIFY_BYTES; i++)
		if (data[i])
			return false;
	return true;
}

RIG_TEST(a_controller_says_what_is_mandatory)
{
	struct admin_rig ar;
	struct admin_cmd cmd;
	struct nvme_id_ctrl id;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(identify(&ar, ar.b, &cmd, NVME_CNS_CTRL, 0), 0);
	assert_int_equal(cmd.cmd.ret_bytes, 4096);
	assert_int_equal(nvme_id_ctrl_decode(cmd.data, 4096, &id), 0);
	assert_int_equal(id.cntlid, 2);
	assert_string_equal(id.subnqn, ADMIN_SUBNQN);
	assert_string_equal(id.mn, "Mayastor");
	assert_int_equal(strlen(id.sn), 20);
	assert_true(strlen(id.fr) > 0);
	assert_int_equal(id.cntrltype, NVME_CTRL_IO);
	assert_true(id.ver >= nvme_version(1, 4, 0));
	assert_int_equal(id.sqes, 0x66);
	assert_int_equal(id.cqes, 0x44);
	assert_true(id.kas > 0);
	assert_int_equal(id.ioccsz, (64 + TGT_CAPSULE_DATA) / 16);
	assert_int_equal(id.iorcsz, 1);
	assert_int_equal(id.maxcmd, 128);
	assert_int_equal(id.icdoff, 0);
	assert_int_equal(id.fcatt, 0);
	assert_int_equal(id.sgls & 3, 1);
	assert_true(id.sgls & NVME_SGLS_OFFSETS);
	assert_true(id.nn > 0 && id.mnan > 0 && id.mnan <= id.nn); /* ANA wants MNAN */
	assert_true(id.cmic & NVME_CMIC_ANA && id.cmic & NVME_CMIC_MULTI_CTRL);
	assert_true(id.anatt > 0 && id.anagrpmax > 0 && id.nanagrpid > 0);
	assert_true(id.oaes & NVME_OAES_NS_ATTRIBUTE && id.oaes & NVME_OAES_ANA);
	assert_true(id.ctratt & NVME_CTRATT_HOST_ID_128);
	assert_int_equal(id.aerl, TGT_AERS_MAX - 1);
	assert_int_equal(id.frmw >> 1 & 7, 1); /* a slot there is */
	assert_true(id.wctemp > 0 && id.cctemp >= id.wctemp);
	assert_int_equal(id.vwc >> 1, 2); /* FLUSH to all is told of from 1.4 on */
	assert_true(id.oncs & NVME_ONCS_RESERVATIONS && !(id.oncs & NVME_ONCS_WRITE_UNCORRECTABLE));
	assert_int_equal(identify(&ar, ar.disc, &cmd, NVME_CNS_CTRL, 0), 0);
	assert_int_equal(nvme_id_ctrl_decode(cmd.data, 4096, &id), 0);
	assert_int_equal(id.cntrltype, NVME_CTRL_DISCOVERY);
	assert_string_equal(id.subnqn, NVME_DISCOVERY_NQN);
	assert_int_equal(id.oaes, (uint32_t)NVME_OAES_DISCOVERY);
	assert_true(id.lpa & NVME_LPA_EXTENDED);
	assert_int_equal(id.nn, 0);
	admin_rig_stop(&ar);
}

RIG_TEST(a_namespace_says_what_its_disk_is)
{
	struct admin_rig ar;
	struct admin_cmd cmd;
	struct nvme_id_ns id;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	ns = admin_ns(&ar, 3, "malloc:///m?size_mb=8&blk_size=4096");
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_NS, 3), 0);
	assert_int_equal(nvme_id_ns_decode(cmd.data, 4096, &id), 0);
	assert_true(id.nsze == 2048 && id.ncap == 2048 && id.nuse == 2048);
	assert_true(id.nvmcap == 8 << 20);
	assert_int_equal(id.lbaf[nvme_id_ns_format(&id)].lbads, 12);
	assert_int_equal(id.lbaf[0].ms, 0);
	assert_int_equal(id.nlbaf, 0);
	assert_int_equal(id.nmic, 1);
	assert_int_equal(id.anagrpid, 1);
	assert_int_equal(id.rescap, NVME_RESCAP_WRITE_EXCLUSIVE | NVME_RESCAP_EXCLUSIVE_ACCESS |
					    NVME_RESCAP_IEKEY_13);
	assert_memory_equal(id.nguid, ns->uuid.bytes, 16);
	assert_int_equal(id.nsattr, 0);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_NS_INDEPENDENT, 3), 0);
	assert_int_equal(cmd.data[1], 1);  /* NMIC */
	assert_int_equal(cmd.data[14], 1); /* ready */
	admin_rig_stop(&ar);
}

RIG_TEST(names_are_all_told_and_stay)
{
	struct nvme_ns_name name;
	struct cursor cursor;
	struct admin_rig ar;
	struct admin_cmd cmd;
	struct uuid first;
	unsigned seen = 0;

	admin_rig_start(f, rig, &ar, NULL);
	first = admin_ns(&ar, 1, "malloc:///m?size_mb=8")->uuid;
	assert_false(uuid_is_nil(&first));
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_NS_DESCRIPTORS, 1), 0);
	cursor_init(&cursor, cmd.data, 4096);
	while (nvme_ns_name_next(&cursor, &name) == 1) {
		seen |= 1u << name.type;
		if (name.type == NVME_NIDT_CSI)
			assert_int_equal(name.bytes[0], 0);
		else
			assert_memory_equal(name.bytes, first.bytes, 16);
	}
	assert_int_equal(seen, 1 << NVME_NIDT_NGUID | 1 << NVME_NIDT_UUID | 1 << NVME_NIDT_CSI);
	tgt_ns_remove(f, tgt_ns_find(ar.subsys, 1));
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_NS_DESCRIPTORS, 1), ADMIN_NO_NS);
	/* again: the same; the disk's own; what the caller says */
	assert_true(uuid_equal(&admin_ns(&ar, 9, "malloc:///m?size_mb=8")->uuid, &first));
	assert_false(uuid_equal(&admin_ns(&ar, 1, "malloc:///n?size_mb=8")->uuid, &first));
	assert_int_equal(admin_ns(&ar, 2,
				  "malloc:///o?size_mb=8&uuid=01020304-0506-0708-090a-0b0c0d0e0f10")
				 ->uuid.bytes[0],
			 1);
	admin_rig_stop(&ar);
}

/* The hash is documented: these bytes are for ever. */
static void derived_names_never_change(void **state)
{
	static const struct bdev bdev = { .name = "malloc:///m" };
	struct uuid uuid = tgt_ns_name(ADMIN_SUBNQN, &bdev);
	char text[UUID_TEXT_SIZE], serial[TGT_SERIAL_MAX + 1];

	tgt_subsys_serial(ADMIN_SUBNQN, serial);
	assert_string_equal(uuid_print(&uuid, text), "f75901aa-5a23-8087-a60f-f8dd2c22e513");
	assert_string_equal(serial, "25577e50a68889679733");
}

RIG_TEST(lists_go_on_after_what_was_asked)
{
	static const uint32_t active[] = { 1, 2, 3, 1024, 0 };
	struct admin_rig ar;
	struct admin_cmd cmd;
	uint16_t status;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1024, "malloc:///c?size_mb=8");
	admin_ns(&ar, 2, "malloc:///b?size_mb=8");
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	assert_int_equal(admin_ns(&ar, 0, "malloc:///d?size_mb=8")->nsid, 3); /* lowest free */
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_ACTIVE_NSIDS, 0), 0);
	for (unsigned i = 0; i < ARRAY_LEN(active); i++)
		assert_int_equal(nvme_nsids_get(cmd.data, 4096, i), active[i]);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_ACTIVE_NSIDS_OF_SET, 2), 0);
	assert_int_equal(nvme_nsids_get(cmd.data, 4096, 0), 3);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_ACTIVE_NSIDS, 1024), 0);
	assert_true(is_zero(cmd.data));
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_ACTIVE_NSIDS, NVME_NSID_MAX),
			 ADMIN_NO_NS);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_ACTIVE_NSIDS, NVME_NSID_ALL),
			 ADMIN_NO_NS);
	status = identify(&ar, ar.a, &cmd, NVME_CNS_CTRLS, 0);
	assert_int_equal(status, 0);
	assert_int_equal(le16_get(cmd.data), 2);
	assert_int_equal(nvme_cntlids_get(cmd.data, 0), 1);
	assert_int_equal(nvme_cntlids_get(cmd.data, 1), 2);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_CTRLS_OF_NS, 2), 0);
	assert_int_equal(le16_get(cmd.data), 2);
	assert_int_equal(identify(&ar, ar.a, &cmd, NVME_CNS_CTRLS_OF_NS, 7), ADMIN_NO_NS);
	admin_rig_stop(&ar);
}

/* For namespaces 0, 1 (is there), 2 (is not), 1025 (cannot be), FFFFFFFFh. */
static const struct {
	uint8_t cns;
	uint16_t status[5];
	bool zero[5];
} cns_table[] = {
#define B ADMIN_BAD
#define N ADMIN_NO_NS
	{ NVME_CNS_NS, { N, 0, 0, N, N }, { 0, 0, 1, 0, 0 } },
	{ NVME_CNS_CTRL, { 0, 0, 0, 0, 0 }, { 0 } },
	{ NVME_CNS_NS_DESCRIPTORS, { N, 0, N, N, N }, { 0 } },
	{ NVME_CNS_NVM_SETS, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_NS_OF_SET, { N, 0, 0, N, N }, { 0, 1, 1, 0, 0 } },
	{ NVME_CNS_CTRL_OF_SET, { 0, 0, 0, 0, 0 }, { 0 } },
	{ NVME_CNS_NS_INDEPENDENT, { N, 0, 0, N, N }, { 0, 0, 1, 0, 0 } },
	{ NVME_CNS_NS_FORMAT, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_ALLOCATED_NS, { N, 0, 0, N, N }, { 0, 0, 1, 0, 0 } },
	{ NVME_CNS_PRIMARY_CTRL, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_SECONDARY_CTRLS, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_GRANULARITY, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_UUIDS, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_DOMAINS, { B, B, B, B, B }, { 0 } },
	{ NVME_CNS_ENDURANCE_GROUPS, { B, B, B, B, B }, { 0 } },
	{ 0x20, { B, B, B, B, B }, { 0 } },
	{ 0xff, { B, B, B, B, B }, { 0 } },
#undef B
#undef N
};

RIG_TEST(every_cns_is_answered_or_refused_as_the_tables_say)
{
	static const uint32_t nsids[5] = { 0, 1, 2, 1025, NVME_NSID_ALL };
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///m?size_mb=8");
	for (unsigned i = 0; i < ARRAY_LEN(cns_table); i++) {
		for (unsigned k = 0; k < 5; k++) {
			uint16_t status = identify(&ar, ar.a, &cmd, cns_table[i].cns, nsids[k]);

			if (status != cns_table[i].status[k])
				print_message("CNS %02x nsid %x: %04x\n", cns_table[i].cns,
					      nsids[k], status);
			assert_int_equal(status, cns_table[i].status[k]);
			if (status == 0)
				assert_int_equal(is_zero(cmd.data), cns_table[i].zero[k]);
			else
				assert_int_equal(cmd.cmd.ret_bytes, 0);
		}
	}
	for (unsigned cns = 0; cns < 256; cns++) /* a discovery controller has few */
		assert_int_equal(identify(&ar, ar.disc, &cmd, (uint8_t)cns, 0),
				 cns == NVME_CNS_CTRL || cns == NVME_CNS_ACTIVE_NSIDS ? 0 :
											ADMIN_BAD);
	admin_rig_stop(&ar);
}

RIG_TEST(other_command_sets_and_short_data_are_refused)
{
	static const uint8_t of_set[] = { NVME_CNS_NS_OF_SET, NVME_CNS_CTRL_OF_SET,
					  NVME_CNS_ACTIVE_NSIDS_OF_SET,
					  NVME_CNS_ALLOCATED_NSIDS_OF_SET,
					  NVME_CNS_ALLOCATED_NS_OF_SET };
	struct admin_rig ar;
	struct admin_cmd cmd;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 1, "malloc:///m?size_mb=8");
	for (unsigned i = 0; i < ARRAY_LEN(of_set); i++) {
		struct nvme_identify asked = { .cns = of_set[i], .csi = 2 }; /* zoned */

		memset(&cmd.cmd, 0, sizeof(cmd.cmd));
		nvme_identify_encode(&asked, &cmd.cmd.sqe);
		cmd.cmd.sqe.nsid = 1;
		assert_int_equal(admin_run(&ar, ar.a, &cmd, 4096), ADMIN_BAD);
	}
	nvme_identify_encode(&(struct nvme_identify){ .cns = NVME_CNS_CTRL }, &cmd.cmd.sqe);
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 4092), NVME_DATA_SGL_LENGTH_INVALID | NVME_DNR);
	nvme_identify_encode(&(struct nvme_identify){ .cns = NVME_CNS_COMMAND_SETS,
						      .cntid = 0xffff },
			     &cmd.cmd.sqe);
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 4096), 0);
	assert_true(le64_get(cmd.data) == 1 && le64_get(cmd.data + 8) == 0);
	nvme_identify_encode(&(struct nvme_identify){ .cns = NVME_CNS_COMMAND_SETS, .cntid = 7 },
			     &cmd.cmd.sqe);
	assert_int_equal(admin_run(&ar, ar.a, &cmd, 4096), ADMIN_BAD);
	admin_rig_stop(&ar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_controller_says_what_is_mandatory),
		cmocka_unit_test(a_namespace_says_what_its_disk_is),
		cmocka_unit_test(names_are_all_told_and_stay),
		cmocka_unit_test(derived_names_never_change),
		cmocka_unit_test(lists_go_on_after_what_was_asked),
		cmocka_unit_test(every_cns_is_answered_or_refused_as_the_tables_say),
		cmocka_unit_test(other_command_sets_and_short_data_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
