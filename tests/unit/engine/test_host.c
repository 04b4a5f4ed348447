// SPDX-License-Identifier: Apache-2.0
/* Block devices of a machine made of files: sysfs, udev's records, the mount table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "engine/host.h"
#include "engine/node.h"
#include "reactor/fiber.h"

static void put(const char *root, const char *path, const char *text)
{
	char full[512];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')); at++) {
		*at = '\0';
		(void)mkdir(full, 0700);
		*at = '/';
	}
	if (!text) {
		assert_int_equal(mkdir(full, 0700), 0);
		return;
	}
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void machine(const char *root)
{
	put(root, "sys/class/block/sda/size", "204800\n");
	put(root, "sys/class/block/sda/dev", "8:0\n");
	put(root, "sys/class/block/sda/ro", "0\n");
	put(root, "sys/class/block/sda/queue/rotational", "1\n");
	put(root, "sys/class/block/sda/device/model", "Spinner 3000   \n");
	put(root, "sys/class/block/sda/holders", NULL);
	put(root, "sys/class/block/sda1/size", "2048\n");
	put(root, "sys/class/block/sda1/dev", "8:1\n");
	put(root, "sys/class/block/sda1/partition", "1\n");
	put(root, "sys/class/block/sdb/size", "4096\n");
	put(root, "sys/class/block/sdb/dev", "8:16\n");
	put(root, "sys/class/block/sdc/size", "4096\n");
	put(root, "sys/class/block/sdc/dev", "8:32\n");
	put(root, "sys/class/block/sdc/ro", "1\n");
	put(root, "sys/class/block/sdd/size", "4096\n");
	put(root, "sys/class/block/sdd/dev", "8:48\n");
	put(root, "sys/class/block/sdd/holders/dm-0", "");
	put(root, "sys/class/block/sde/size", "0\n");
	put(root, "run/udev/data/b8:0", "S:disk/by-id/ata-x\nE:ID_BUS=ata\n");
	put(root, "run/udev/data/b8:1",
	    "E:ID_FS_TYPE=ext4\nE:ID_FS_LABEL=root\nE:ID_FS_UUID=1-2\nE:ID_PART_ENTRY_SCHEME=gpt\n"
	    "E:ID_PART_ENTRY_NAME=first\nE:ID_PART_ENTRY_UUID=u\nE:ID_PART_ENTRY_TYPE=t\n");
	put(root, "proc/self/mounts",
	    "/dev/sda1 / ext4 rw 0 0\n/dev/sda1 /mnt ext4 rw 0 0\nproc /proc x\n");
}

struct seen {
	const char *root;
	unsigned count;
	char available[128];
	struct host_device sda, sda1;
	char link[64], mounts[2][64];
};

static int see(void *ctx, const struct host_device *device)
{
	struct seen *seen = ctx;

	seen->count++;
	if (host_is_available(device)) {
		size_t len = strlen(seen->available);

		snprintf(seen->available + len, sizeof(seen->available) - len, "%s ", device->name);
	}
	if (strcmp(device->name, "sda") == 0) {
		seen->sda = *device;
		snprintf(seen->link, sizeof(seen->link), "%s", device->links[0]);
	}
	if (strcmp(device->name, "sda1") == 0) {
		seen->sda1 = *device;
		for (unsigned i = 0; i < 2 && i < device->mount_count; i++)
			snprintf(seen->mounts[i], sizeof(seen->mounts[i]), "%s", device->mounts[i]);
	}
	return 0;
}

static int look(struct fiber *f, void *arg)
{
	struct seen *seen = arg;

	return host_devices_each(f, seen->root, see, seen);
}

static void run(struct seen *seen)
{
	const struct node_opts opts = { .reactors = 1 };
	struct err err = { 0 };
	struct node node;

	assert_int_equal(node_run(&node, &opts, look, seen, &err), 0);
}

static void devices_are_told_as_the_machine_has_them(void **state)
{
	char root[] = "/tmp/hostXXXXXX", command[64];
	struct seen seen = { .root = root };

	(void)state;
	assert_non_null(mkdtemp(root));
	machine(root);
	run(&seen);
	assert_int_equal(seen.count, 6);
	assert_string_equal(seen.available,
			    "sdb "); /* the others: parts, mounted, ro, held, empty */
	assert_string_equal(seen.sda.model, "Spinner 3000");
	assert_string_equal(seen.sda.bus, "ata");
	assert_string_equal(seen.link, "/dev/disk/by-id/ata-x");
	assert_true(seen.sda.is_rotational && seen.sda.has_parts);
	assert_int_equal(seen.sda.sectors, 204800);
	assert_string_equal(seen.sda1.parent, "/dev/sda");
	assert_int_equal(seen.sda1.part_number, 1);
	assert_string_equal(seen.sda1.part_scheme, "gpt");
	assert_string_equal(seen.sda1.fs_type, "ext4");
	assert_int_equal(seen.sda1.mount_count, 2);
	assert_string_equal(seen.mounts[0], "/");
	assert_string_equal(seen.mounts[1], "/mnt");
	snprintf(command, sizeof(command), "rm -r %s", root);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_told_as_the_machine_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
