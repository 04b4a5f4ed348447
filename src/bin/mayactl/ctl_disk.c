// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_disk - mayactl bdev ..., device ..., share ..., volume ...: disks, and doors to them.
 */
#include <errno.h>
#include <mayastor/v1/bdev.pb-c.h>
#include <mayastor/v1/host.pb-c.h>
#include <mayastor/x1/share.pb-c.h>
#include <mayastor/x1/volume.pb-c.h>
#include <string.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

static const ProtobufCServiceDescriptor *const bdevs = &mayastor__v1__bdev_rpc__descriptor;
static const ProtobufCServiceDescriptor *const host = &mayastor__v1__host_rpc__descriptor;
static const ProtobufCServiceDescriptor *const shares = &mayastor__x1__share_rpc__descriptor;
static const ProtobufCServiceDescriptor *const volumes = &mayastor__x1__volume_rpc__descriptor;

/* ---- bdevs ------------------------------------------------------------------------------- */

static const struct ctl_column bdev_columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "BLOCKS", .path = "num_blocks", .kind = CTL_COUNT },
	{ .head = "OF BYTES", .path = "blk_size", .kind = CTL_COUNT },
	{ .head = "CLAIMED BY", .path = "claimed_by" },
	{ .head = "PRODUCT", .path = "product_name", .is_wide = true },
	{ .head = "UUID", .path = "uuid", .is_wide = true },
	{ .head = "SHARED AT", .path = "share_uri" },
	{ .head = "URI", .path = "uri" },
};

static const struct ctl_table bdev_table = { bdev_columns, ARRAY_LEN(bdev_columns), NULL,
					     "no disks are open" };

static int bdev_list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, bdevs, "List");

	if (ctl->operand_count)
		ctl_set_text(&call, "name", ctl->operands[0]);
	return ctl_list(f, &call, "bdevs", &bdev_table);
}

static int bdev_create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, bdevs, "Create");

	ctl_set_text(&call, "uri", ctl->operands[0]);
	return ctl_show(f, &call, "bdev", &bdev_table);
}

static int bdev_destroy(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, bdevs, "Destroy");

	ctl_set_text(&call, "uri", ctl->operands[0]);
	return ctl_do(f, &call, "%s is closed", ctl->operands[0]);
}

static int bdev_share(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, bdevs, "Share");

	ctl_set_text(&call, "name", ctl->operands[0]);
	ctl_set(&call, "protocol", MAYASTOR__V1__SHARE_PROTOCOL__NVMF);
	ctl_set_values(&call, "allowed_hosts", CTL_ALLOW);
	return ctl_show(f, &call, "bdev", &bdev_table);
}

static int bdev_unshare(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, bdevs, "Unshare");

	ctl_set_text(&call, "name", ctl->operands[0]);
	return ctl_do(f, &call, "'%s' is not shared any more", ctl->operands[0]);
}

const struct ctl_verb ctl_bdev_verbs[] = {
	{ "bdev", "list", "[BDEV]", 0, 0, true, "disks that are open", bdev_list },
	{ "bdev", "create", "URI", 0, 0, false, "open a disk", bdev_create },
	{ "bdev", "share", "BDEV", CTL_BIT(CTL_ALLOW), 0, false, "over NVMe/TCP", bdev_share },
	{ "bdev", "unshare", "BDEV", 0, 0, false, "its hosts are disconnected", bdev_unshare },
	{ "bdev", "destroy", "URI", 0, 0, false, "close it; what is on it stays", bdev_destroy },
	{ 0 },
};

/* ---- block devices of the machine -------------------------------------------------------------- */

static const struct ctl_column device_columns[] = {
	{ .head = "DEVICE", .path = "devname" },
	{ .head = "TYPE", .path = "devtype" },
	{ .head = "BLOCKS", .path = "size", .kind = CTL_COUNT }, /* of 512 bytes */
	{ .head = "FREE", .path = "available", .kind = CTL_YES },
	{ .head = "MODEL", .path = "model" },
	{ .head = "FILESYSTEM", .path = "filesystem.fstype" },
	{ .head = "MOUNTED AT", .path = "filesystem.mountpoints" },
	{ .head = "OF", .path = "partition.parent", .is_wide = true },
	{ .head = "ROTATES", .path = "is_rotational", .kind = CTL_YES, .is_wide = true },
	{ .head = "LINKS", .path = "devlinks", .is_wide = true },
};

static const struct ctl_table device_table = { device_columns, ARRAY_LEN(device_columns), NULL,
					       "no block devices (--all shows all)" };

static int device_list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, host, "ListBlockDevices");

	ctl_set(&call, "all", ctl_given(ctl, CTL_ALL));
	return ctl_list(f, &call, "devices", &device_table);
}

const struct ctl_verb ctl_device_verbs[] = {
	{ "device", "list", "", CTL_BIT(CTL_ALL), 0, true,
	  "the machine's, of which a pool can be made", device_list },
	{ 0 },
};

/* ---- shares ------------------------------------------------------------------------------------ */

static const struct ctl_column share_columns[] = {
	{ .head = "NAME", .path = "name" },
	{ .head = "DISK", .path = "bdev" },
	{ .head = "DOOR", .path = "door", .kind = CTL_WORD, .strip = "SHARE_DOOR_" },
	{ .head = "READ-ONLY", .path = "read_only", .kind = CTL_YES },
	{ .head = "HOSTS", .path = "allowed_hosts", .is_wide = true },
	{ .head = "DESCRIPTION", .path = "description", .is_wide = true },
	{ .head = "URI", .path = "uri" },
};

static const struct ctl_table share_table = { share_columns, ARRAY_LEN(share_columns), NULL,
					      "no shares" };

static int door_value(struct fiber *f, const char *text, uint64_t *ret)
{
	static const char *const names[] = { "nbd", "nvmf", "vhost-user" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = i;
			return 0;
		}
	return fiber_fail(f, -EINVAL, "DOOR is '%s', expected nbd or nvmf", text);
}

static int share_list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, shares, "ListShares");

	if (ctl->operand_count)
		ctl_set_text(&call, "name", ctl->operands[0]);
	return ctl_list(f, &call, "shares", &share_table);
}

static int share_create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, shares, "CreateShare");
	const char *name = ctl_value(ctl, CTL_NAME);
	uint64_t door;

	TRY(door_value(f, ctl->operands[0], &door));
	ctl_set(&call, "door", door);
	ctl_set_text(&call, "bdev", ctl->operands[1]);
	ctl_set_text(&call, "name", name ? name : ctl->operands[1]);
	ctl_set(&call, "read_only", ctl_given(ctl, CTL_READ_ONLY));
	ctl_set_values(&call, "allowed_hosts", CTL_ALLOW);
	return ctl_show(f, &call, "", &share_table);
}

static int share_destroy(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, shares, "DestroyShare");
	uint64_t door;

	TRY(door_value(f, ctl->operands[0], &door));
	ctl_set(&call, "door", door);
	ctl_set_text(&call, "name", ctl->operands[1]);
	return ctl_do(f, &call, "share '%s' destroyed", ctl->operands[1]);
}

const struct ctl_verb ctl_share_verbs[] = {
	{ "share", "list", "[NAME]", 0, 0, true, "disks that are offered to clients", share_list },
	{ "share", "create", "DOOR DISK",
	  CTL_BIT(CTL_NAME) | CTL_BIT(CTL_READ_ONLY) | CTL_BIT(CTL_ALLOW), 0, false,
	  "offer a bdev, replica, nexus or URI by DOOR: nbd or nvmf", share_create },
	{ "share", "destroy", "DOOR NAME", 0, 0, false, "its clients are disconnected",
	  share_destroy },
	{ 0 },
};

/* ---- volumes ----------------------------------------------------------------------------------- */

static const struct ctl_column volume_columns[] = {
	{ .head = "NAME", .path = "name", .child = "uri" },
	{ .head = "SIZE", .path = "size_bytes", .kind = CTL_BYTES },
	{ .head = "STATE", .child = "state", .kind = CTL_TEXT },
	{ .head = "WHY", .child = "reason", .kind = CTL_TEXT },
	{ .head = "EPOCH", .path = "epoch", .kind = CTL_COUNT },
	{ .head = "CLEAN", .path = "clean", .kind = CTL_YES },
	{ .head = "OWNER", .path = "owner", .is_wide = true },
	{ .head = "UUID", .path = "uuid", .child = "replica_uuid" },
};

static const struct ctl_table volume_table = { volume_columns, ARRAY_LEN(volume_columns), "members",
					       "no volumes" };

static int volume_list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, volumes, "ListVolumes");

	if (ctl->operand_count)
		ctl_set_text(&call, "volume", ctl->operands[0]);
	return ctl_list(f, &call, "volumes", &volume_table);
}

const struct ctl_verb ctl_volume_verbs[] = {
	{ "volume", "list", "[UUID]", 0, 0, true,
	  "what is recorded of volumes: owners, members, who holds everything", volume_list },
	{ 0 },
};
