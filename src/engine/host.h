/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host - the block devices of the machine a node runs on, as sysfs, udev's records and the mount
 * table have them. Nothing is opened: an ordinary user may ask.
 */
#ifndef ENGINE_HOST_H
#define ENGINE_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"

struct fiber;

#define HOST_DEVICES_MAX 4096u
#define HOST_LINKS_MAX	 32u
#define HOST_MOUNTS_MAX	 32u

struct host_device {
	char name[64], devname[80]; /* "sda1", "/dev/sda1" */
	char parent[80];	    /* of a partition: "/dev/sda" */
	char type[16];		    /* disk, partition */
	char model[64], bus[32];
	uint32_t major, minor;
	uint64_t sectors;     /* of 512 bytes */
	uint32_t part_number; /* 0: not a partition */
	char part_name[80], part_scheme[16], part_type[64], part_uuid[64];
	char fs_type[32], fs_label[80], fs_uuid[64];
	char *links[HOST_LINKS_MAX], *mounts[HOST_MOUNTS_MAX]; /* owned */
	unsigned link_count, mount_count;
	bool is_rotational, is_read_only, has_parts, has_holders;
};

/* Can a pool be made of it: nothing on it, nobody has it, and it can be written to. */
bool host_is_available(const struct host_device *device);

typedef int (*host_device_fn)(void *ctx, const struct host_device *device);

/* root: "" or where sys, proc, run are. In the order of their names; fn does not suspend. */
MUST_USE int host_devices_each(struct fiber *f, const char *root, host_device_fn fn, void *ctx);

#endif
