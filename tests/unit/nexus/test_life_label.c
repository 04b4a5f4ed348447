// SPDX-License-Identifier: Apache-2.0
/* What a foreign disk bears of ours: bytes, damage, torn writes, and what others make of it. */
#include "nexus_rig.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/le.h"
#include "nexus/gpt.h"
#include "nexus/label.h"

#define DISK "malloc:///l?size_mb=16"

static void a_label(struct nexus_label *label)
{
	*label = (struct nexus_label){
		.serial = 7,
		.data_bytes = 14 << 20,
		.block_size = 512,
		.gen_epoch = 3,
		.gen_n = 9,
		.name = "vol-1",
		.store = "sqlite:///var/lib/mayastor/store.db",
	};
	assert_int_equal(uuid_parse("00112233-4455-4677-8899-aabbccddeeff", &label->volume), 0);
	assert_int_equal(uuid_parse("0f1e2d3c-4b5a-4978-8796-a5b4c3d2e1f0", &label->member), 0);
}

/* IEEE 802.3: not the code of the product. */
static uint32_t sum_of(const uint8_t *bytes, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

/* ---- bytes -------------------------------------------------------------------------------- */

/* The sums are those of bytes that another program made from docs/nexus-label.md. */
static void the_bytes_of_a_label_never_change(void **state)
{
	struct nexus_label label, back;
	uint8_t bytes[LABEL_BYTES];

	(void)state;
	a_label(&label);
	nexus_label_encode(&label, bytes);
	assert_int_equal(le32_get(bytes + 12), 0x720ec73e);
	assert_int_equal(sum_of(bytes, sizeof(bytes)), 0x510a0722);
	assert_int_equal(nexus_label_decode(bytes, &back), 0);
	assert_int_equal(back.serial, 7);
	assert_true(uuid_equal(&back.volume, &label.volume));
	assert_true(uuid_equal(&back.member, &label.member));
	assert_int_equal(back.data_bytes, 14 << 20);
	assert_int_equal(back.block_size, 512);
	assert_int_equal(back.gen_epoch, 3);
	assert_int_equal(back.gen_n, 9);
	assert_string_equal(back.name, "vol-1");
	assert_string_equal(back.store, "sqlite:///var/lib/mayastor/store.db");
}

static void check_table(struct fiber *f, const char *uri, uint32_t block_size, uint32_t head_sum,
			uint32_t tail_sum)
{
	const size_t head = 256 << 10, tail = 1 << 20;
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	uint8_t *bytes = mem_new(fiber_io(f), tail);
	struct nexus_label label;

	a_label(&label);
	label.block_size = block_size;
	assert_int_equal(nexus_label_room(chan->blocks, block_size), label.data_bytes);
	nr_ok(f, nexus_label_make(f, chan, &label));
	nr_ok(f, bdev_read(f, chan, 0, head / block_size, bytes));
	assert_int_equal(sum_of(bytes, head), head_sum);
	nr_ok(f, bdev_read(f, chan, chan->blocks - tail / block_size, tail / block_size, bytes));
	assert_int_equal(sum_of(bytes, tail), tail_sum);
	mem_free(bytes);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(the_bytes_of_its_table_never_change)
{
	(void)rig;
	check_table(f, DISK, 512, 0x3c6e99b2, 0x4b0a0c77);
	check_table(f, "malloc:///l4?size_mb=16&blk_size=4096", 4096, 0xbbe8883c, 0x5e0a211f);
}

/* LB1. */
static void a_label_with_any_bit_changed_is_refused(void **state)
{
	struct nexus_label label, back;
	uint8_t bytes[LABEL_BYTES];

	(void)state;
	a_label(&label);
	nexus_label_encode(&label, bytes);
	for (unsigned bit = 0; bit < 8 * LABEL_BYTES; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_equal(nexus_label_decode(bytes, &back), bit < 64 ? -ENOMSG : -EILSEQ);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(nexus_label_decode(bytes, &back), 0);
}

static int decode_with(unsigned offset, unsigned size, uint64_t value)
{
	struct nexus_label label, back;
	uint8_t bytes[LABEL_BYTES];

	a_label(&label);
	nexus_label_encode(&label, bytes);
	for (unsigned i = 0; i < size; i++)
		bytes[offset + i] = i < 8 ? (uint8_t)(value >> 8 * i) : 0;
	le32_put(bytes + 12, 0);
	le32_put(bytes + 12, crc32c(0, bytes, sizeof(bytes)));
	return nexus_label_decode(bytes, &back);
}

/* LB1, LB4: the sum is right, the values are not. */
static void values_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	assert_int_equal(decode_with(8, 4, 1), 0);
	assert_int_equal(decode_with(8, 4, 2), -EPROTO);
	assert_int_equal(decode_with(24, 16, 0), -EILSEQ);	/* volume */
	assert_int_equal(decode_with(40, 16, 0), -EILSEQ);	/* member */
	assert_int_equal(decode_with(56, 8, 2 << 20), -EILSEQ); /* offset */
	assert_int_equal(decode_with(64, 8, 0), -EILSEQ);
	assert_int_equal(decode_with(64, 8, (14 << 20) + 512), -EILSEQ);
	assert_int_equal(decode_with(64, 8, UINT64_C(1) << 63), -EILSEQ);
	assert_int_equal(decode_with(72, 4, 0), -EILSEQ);
	assert_int_equal(decode_with(72, 4, 256), -EILSEQ);
	assert_int_equal(decode_with(72, 4, 768), -EILSEQ);
	assert_int_equal(decode_with(72, 4, 131072), -EILSEQ);
	assert_int_equal(decode_with(72, 4, 65536), 0);
	assert_int_equal(decode_with(159, 1, 'x'), -EILSEQ); /* a name without end */
	assert_int_equal(decode_with(415, 1, 'x'), -EILSEQ);
	assert_int_equal(decode_with(500, 1, 'x'), 0); /* for later versions */
}

/* ---- two copies ---------------------------------------------------------------------------- */

static void copy_change(struct fiber *f, struct bdev_chan *chan, uint64_t offset,
			void (*change)(uint8_t *bytes, const uint8_t *with), const uint8_t *with)
{
	uint8_t bytes[LABEL_BYTES];

	nr_ok(f, bdev_read(f, chan, offset / 512, 1, bytes));
	change(bytes, with);
	nr_ok(f, bdev_write(f, chan, offset / 512, 1, bytes, 0));
}

static void change_rot(uint8_t *bytes, const uint8_t *with)
{
	(void)with;
	bytes[300] ^= 0x10;
}

static void change_half(uint8_t *bytes, const uint8_t *with)
{
	memcpy(bytes, with, 64); /* up to the sizes */
}

static void change_all(uint8_t *bytes, const uint8_t *with)
{
	memcpy(bytes, with, LABEL_BYTES);
}

RIG_TEST(either_copy_is_enough_and_the_newer_one_holds)
{
	struct bdev *bdev = rig_open(f, DISK);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct nexus_label label, got;
	uint8_t newer[LABEL_BYTES];

	(void)rig;
	a_label(&label);
	assert_int_equal(nexus_label_read(f, chan, &got), -ENOMSG);
	nr_ok(f, nexus_label_write(f, chan, &label)); /* serial 8 */
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_int_equal(got.serial, 8);
	copy_change(f, chan, LABEL_A, change_rot, NULL);
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_int_equal(got.serial, 8);
	copy_change(f, chan, LABEL_B, change_rot, NULL);
	assert_int_equal(nexus_label_read(f, chan, &got), -EILSEQ);
	copy_change(f, chan, LABEL_A, change_rot, NULL); /* whole again */
	nr_ok(f, nexus_label_read(f, chan, &got));
	nr_ok(f, nexus_label_write(f, chan, &label)); /* serial 9 */
	/* LB2: torn in A, after A, in B */
	label.serial = 10;
	label.gen_n = 77;
	nexus_label_encode(&label, newer);
	copy_change(f, chan, LABEL_A, change_half, newer);
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_true(got.serial == 9 && got.gen_n == 9);
	copy_change(f, chan, LABEL_A, change_all, newer);
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_true(got.serial == 10 && got.gen_n == 77);
	copy_change(f, chan, LABEL_B, change_half, newer);
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_true(got.serial == 10 && got.gen_n == 77);
	/* the other way round: B is newer, whoever wrote that */
	label.serial = 11;
	nexus_label_encode(&label, newer);
	copy_change(f, chan, LABEL_B, change_all, newer);
	nr_ok(f, nexus_label_read(f, chan, &got));
	assert_int_equal(got.serial, 11);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

RIG_TEST(a_disk_has_room_for_what_is_left)
{
	struct bdev *bdev = rig_open(f, DISK);
	struct bdev_chan *chan = rig_chan(f, bdev);
	struct nexus_label label, got;

	(void)rig;
	assert_int_equal(nexus_label_room(32768, 512), 14 << 20);
	assert_int_equal(nexus_label_room(32768 + 33, 512), 15 << 20); /* just */
	assert_int_equal(nexus_label_room(32768 + 32, 512), 14 << 20);
	assert_int_equal(nexus_label_room(4096 + 33, 512), 1 << 20);
	assert_int_equal(nexus_label_room(4096 + 32, 512), 0);
	assert_int_equal(nexus_label_room(0, 512), 0);
	assert_int_equal(nexus_label_room(256, 65536), 14 << 20);
	/* made with other blocks it is not understood, and says so */
	a_label(&label);
	label.block_size = 4096;
	nr_ok(f, nexus_label_write(f, chan, &label));
	assert_int_equal(nexus_label_read(f, chan, &got), -EILSEQ);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
}

/* ---- what others make of it ------------------------------------------------------------------ */

static bool have(const char *tool)
{
	char text[256];

	snprintf(text, sizeof(text), "PATH=$PATH:/sbin:/usr/sbin command -v %s >/dev/null", tool);
	if (system(text) == 0)
		return true;
	print_message("not judged by %s: it is not installed\n", tool);
	return false;
}

/* A command of the shell; $D is the disk. */
static int run(const char *command, const char *path)
{
	char line[900];

	snprintf(line, sizeof(line), "PATH=$PATH:/sbin:/usr/sbin; D='%s'; { %s; } >/dev/null 2>&1",
		 path, command);
	return system(line);
}

static void judge_table(const char *path, const char *sectors)
{
	char text[256];

	if (have("sfdisk")) {
		assert_int_equal(run("sfdisk --verify $D", path), 0);
		snprintf(text, sizeof(text),
			 "sfdisk -d $D | grep -q 'start= *2048, size= *%s, '"
			 "'type=4D415941-5354-4F52-9E58-4D454D424552'",
			 sectors);
		assert_int_equal(run(text, path), 0);
	}
	if (have("sgdisk"))
		assert_int_equal(run("sgdisk -v $D | grep -q 'No problems found'", path), 0);
}

RIG_TEST(its_table_is_one_that_others_understand)
{
	char path[256], uri[300];
	struct nexus_label label;

	rig_file(rig, "disk", 16 << 20);
	rig_path(rig, "disk", path, sizeof(path));
	snprintf(uri, sizeof(uri), "file://%s", path);
	struct bdev *bdev = rig_open(f, uri);
	struct bdev_chan *chan = rig_chan(f, bdev);
	a_label(&label);
	nr_ok(f, nexus_label_make(f, chan, &label));
	judge_table(path, "28672");
	/* it grows; twice is as good as once */
	assert_int_equal(truncate(path, 40 << 20), 0);
	nr_ok(f, bdev_rescan(f, bdev));
	for (unsigned i = 0; i < 2; i++) {
		nr_ok(f, nexus_label_grow(f, chan, &label));
		assert_int_equal(label.data_bytes, 38 << 20);
		assert_int_equal(label.serial, 9);
		judge_table(path, "77824");
	}
	/* and goes */
	nr_ok(f, nexus_label_wipe(f, chan, &label));
	nr_ok(f, foreign_check_blank(f, chan, uri));
	assert_int_equal(nexus_label_read(f, chan, &label), -ENOMSG);
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	unlink(path);
}

/* Not only marks of our own making. */
RIG_TEST(what_others_make_is_named)
{
	static const struct {
		const char *tool, *make, *name;
	} others[] = {
		{ "mkfs.ext4", "mkfs.ext4 -q $D", "an ext2, ext3 or ext4 filesystem" },
		{ "mkfs.xfs", "mkfs.xfs -q $D", "an XFS filesystem" },
		{ "mkfs.btrfs", "mkfs.btrfs -q $D", "a btrfs filesystem" },
		{ "mkswap", "mkswap $D", "swap space" },
		{ "sfdisk", "echo 'label: gpt' | sfdisk $D", "a GPT partition table" },
		{ "sfdisk", "echo ',,83' | sfdisk --label dos $D",
		  "a partition table or boot sector" },
		{ "sfdisk",
		  "echo 'label: gpt' | sfdisk $D && dd if=/dev/zero of=$D bs=1M "
		  "count=1 conv=notrunc",
		  "the backup of a GPT partition table" },
		{ "sh", "printf x | dd of=$D bs=1 seek=700000 conv=notrunc", "not blank" },
		{ "sh", "printf x | dd of=$D bs=1 seek=402653000 conv=notrunc", "not blank" },
	};
	char path[256], uri[300];

	rig_path(rig, "disk", path, sizeof(path));
	snprintf(uri, sizeof(uri), "file://%s", path);
	for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
		unlink(path);
		rig_file(rig, "disk", 384 << 20);
		if (!have(others[i].tool))
			continue;
		assert_int_equal(run(others[i].make, path), 0);
		struct bdev *bdev = rig_open(f, uri);
		struct bdev_chan *chan = rig_chan(f, bdev);
		nr_refused(f, foreign_check_blank(f, chan, uri), -EMEDIUMTYPE, others[i].name);
		bdev_chan_close(f, chan);
		bdev_close(f, bdev);
	}
	unlink(path);
}

/* The rest of the table, at the places that their own documents give. */
static void marks_are_known_by_their_place(void **state)
{
	static const struct {
		int32_t offset;
		const char *bytes, *name;
	} marks[] = {
		{ 0, "LUKS\xba\xbe", "a LUKS volume" },
		{ 512, "LABELONE", "an LVM physical volume" },
		{ 4096, "\xfc\x4e\x2b\xa9", "an md raid member" },
		{ -65536, "\xfc\x4e\x2b\xa9", "an md raid member" },
		{ 0x10034, "ReIsEr2Fs", "a ReiserFS filesystem" },
		{ 3, "NTFS    ", "an NTFS filesystem" },
		{ 82, "FAT32   ", "a FAT filesystem" },
		{ 0x8001, "CD001", "an ISO 9660 filesystem" },
		{ 0, "SPDKBLOB", "an SPDK blobstore" },
		{ 0, "QFI\xfb", "a qcow2 image" },
		{ 4096, "MSP1", "a pool of Mayastor" },
		{ (128 << 10) + 3072, "\x0c\xb1\xba", "a ZFS pool" },
		{ -(256 << 10) + (130 << 10), "\x0c\xb1\xba", "a ZFS pool" },
	};
	const size_t len = 1 << 20;
	uint8_t *head = test_calloc(2, len), *tail = head + len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(marks); i++) {
		uint8_t *at = marks[i].offset < 0 ? tail + len + marks[i].offset :
						    head + marks[i].offset;

		assert_null(foreign_name(head, len, tail, len));
		memcpy(at, marks[i].bytes, strlen(marks[i].bytes));
		assert_string_equal(foreign_name(head, len, tail, len), marks[i].name);
		memset(at, 0, strlen(marks[i].bytes));
	}
	/* a disk that is shorter than where a mark would be */
	for (size_t short_len = 0; short_len < 8192; short_len += 512)
		assert_null(foreign_name(head, short_len, tail, short_len));
	test_free(head);
}

/* Whoever has only the disk has the data: partition 1 is the volume. */
RIG_TEST(the_data_can_be_read_without_the_nexus)
{
	char path[256], uri[300];
	const char *uris[] = { uri };
	struct nexus_create_args args = { .name = "w", .uris = uris, .count = 1 };
	struct nexus_info info;
	struct nexus *nexus;
	struct nexus_rig nr;
	struct uuid volume;
	uint8_t bytes[512], got[512];

	rig_file(rig, "disk", 16 << 20);
	rig_path(rig, "disk", path, sizeof(path));
	snprintf(uri, sizeof(uri), "file://%s", path);
	nr_start(f, rig, &nr, 0);
	nr_ok(f, nexus_create(f, nr.table, &args, &volume));
	nr_ok(f, nexus_open(f, nr.table, &volume, false, &nexus));
	nexus_info(nexus, &info);
	assert_int_equal(info.size_bytes, 14 << 20);
	assert_true(info.children[0].is_foreign && !info.has_log && !info.children[0].is_fenced);
	struct bdev *bdev = rig_open(f, "nexus:///w");
	struct bdev_chan *chan = rig_chan(f, bdev);
	rig_fill(bytes, sizeof(bytes), 5);
	nr_ok(f, bdev_write(f, chan, 28671, 1, bytes, 0)); /* the last one */
	bdev_chan_close(f, chan);
	bdev_close(f, bdev);
	nexus_close(f, nexus);
	judge_table(path, "28672");
	int fd = open(path, O_RDONLY);
	assert_int_equal(pread(fd, got, 512, (2048 + 28671) * 512), 512);
	assert_memory_equal(got, bytes, 512);
	close(fd);
	/* what was there before the disk was labelled is nobody's business */
	nr_ok(f, nexus_open(f, nr.table, &volume, false, &nexus));
	nexus_close(f, nexus);
	nr_ok(f, nexus_destroy(f, nr.table, &volume));
	nr_stop(f, &nr);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bytes_of_a_label_never_change),
		cmocka_unit_test(the_bytes_of_its_table_never_change),
		cmocka_unit_test(a_label_with_any_bit_changed_is_refused),
		cmocka_unit_test(values_that_do_not_fit_are_refused),
		cmocka_unit_test(either_copy_is_enough_and_the_newer_one_holds),
		cmocka_unit_test(a_disk_has_room_for_what_is_left),
		cmocka_unit_test(its_table_is_one_that_others_understand),
		cmocka_unit_test(what_others_make_is_named),
		cmocka_unit_test(marks_are_known_by_their_place),
		cmocka_unit_test(the_data_can_be_read_without_the_nexus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
