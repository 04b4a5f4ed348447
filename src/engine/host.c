// SPDX-License-Identifier: Apache-2.0
/*
 * host - the block devices of the machine. See host.h.
 *
 *	/sys/class/block/NAME/...	size, numbers, partition, rotational, holders, model
 *	/run/udev/data/bMAJOR:MINOR	file system, partition table, links: what udev has found out
 *	/proc/self/mounts		where it is mounted
 *
 * HO1. What cannot be read is left empty: a machine without udev still lists its disks.
 */
#include "engine/host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

#define FILE_MAX  (1u << 20)
#define PATH_SIZE 512

struct names {
	struct mem *mem;
	char (*at)[64]; /* owned */
	unsigned count, room;
};

struct host {
	struct fiber *f;
	const char *root;
	struct mem *mem;
	struct names names;
	char *mounts; /* owned; /proc/self/mounts */
	char path[PATH_SIZE];
	struct host_device device;
};

/* ---- small files ---------------------------------------------------------------------------------- */

/* NULL: not to be had (HO1). */
static char *slurp(struct host *host, const char *path)
{
	char *text = NULL;
	size_t len;

	if (fiber_read_file(host->f, path, FILE_MAX, &text, &len) < 0) {
		fiber_clear(host->f);
		return NULL;
	}
	return text;
}

/* The first line of /sys/class/block/NAME/LEAF. */
static bool sys_line(struct host *host, const char *name, const char *leaf, char *ret, size_t size)
{
	char *text;

	snprintf(host->path, sizeof(host->path), "%s/sys/class/block/%s/%s", host->root, name,
		 leaf);
	text = slurp(host, host->path);
	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	snprintf(ret, size, "%s", text);
	for (size_t len = strlen(ret); len > 0 && ret[len - 1] == ' '; len--)
		ret[len - 1] = '\0';
	mem_free(text);
	return true;
}

static uint64_t sys_number(struct host *host, const char *name, const char *leaf)
{
	char line[32];

	return sys_line(host, name, leaf, line, sizeof(line)) ? strtoull(line, NULL, 10) : 0;
}

/* ---- udev's record: lines S:link and E:NAME=value ------------------------------------------------- */

static void udev_link(struct host *host, const char *link)
{
	struct host_device *device = &host->device;

	if (device->link_count < HOST_LINKS_MAX)
		device->links[device->link_count] = mem_printf(host->mem, "/dev/%s", link);
	if (device->link_count < HOST_LINKS_MAX && device->links[device->link_count])
		device->link_count++;
}

static void udev_value(struct host_device *device, const char *line)
{
	const struct {
		const char *name;
		char *at;
		size_t size;
	} wanted[] = {
		{ "ID_FS_TYPE=", device->fs_type, sizeof(device->fs_type) },
		{ "ID_FS_LABEL=", device->fs_label, sizeof(device->fs_label) },
		{ "ID_FS_UUID=", device->fs_uuid, sizeof(device->fs_uuid) },
		{ "ID_PART_ENTRY_NAME=", device->part_name, sizeof(device->part_name) },
		{ "ID_PART_ENTRY_SCHEME=", device->part_scheme, sizeof(device->part_scheme) },
		{ "ID_PART_ENTRY_TYPE=", device->part_type, sizeof(device->part_type) },
		{ "ID_PART_ENTRY_UUID=", device->part_uuid, sizeof(device->part_uuid) },
		{ "ID_MODEL=", device->model, sizeof(device->model) },
		{ "ID_BUS=", device->bus, sizeof(device->bus) },
	};

	for (unsigned i = 0; i < ARRAY_LEN(wanted); i++)
		if (strncmp(line, wanted[i].name, strlen(wanted[i].name)) == 0)
			snprintf(wanted[i].at, wanted[i].size, "%s", line + strlen(wanted[i].name));
}

static void read_udev(struct host *host)
{
	struct host_device *device = &host->device;
	char *text, *line, *end;

	snprintf(host->path, sizeof(host->path), "%s/run/udev/data/b%u:%u", host->root,
		 device->major, device->minor);
	text = slurp(host, host->path);
	for (line = text; line && *line; line = end) {
		end = strchrnul(line, '\n');
		if (*end)
			*end++ = '\0';
		if (strncmp(line, "S:", 2) == 0)
			udev_link(host, line + 2);
		else if (strncmp(line, "E:", 2) == 0)
			udev_value(device, line + 2);
	}
	mem_free(text);
}

/* ---- the mount table: DEVICE PLACE TYPE ... ------------------------------------------------------------ */

static void read_mounts(struct host *host)
{
	struct host_device *device = &host->device;
	size_t len = strlen(device->devname);
	const char *end;

	for (const char *line = host->mounts; line && *line; line = *end ? end + 1 : end) {
		const char *place = line + len + 1;

		end = strchrnul(line, '\n');
		if (strncmp(line, device->devname, len) != 0 || line[len] != ' ' ||
		    device->mount_count == HOST_MOUNTS_MAX)
			continue;
		device->mounts[device->mount_count] =
			mem_strndup(host->mem, place, strcspn(place, " \n"));
		if (device->mounts[device->mount_count])
			device->mount_count++;
	}
}

/* ---- one device -------------------------------------------------------------------------------------------- */

static int count_one(void *ctx, const char *name, enum io_kind kind)
{
	unsigned *count = ctx;

	(void)name;
	(void)kind;
	(*count)++;
	return 0;
}

static bool has_holders(struct host *host, const char *name)
{
	unsigned count = 0;

	snprintf(host->path, sizeof(host->path), "%s/sys/class/block/%s/holders", host->root, name);
	if (fiber_list(host->f, host->path, count_one, &count) < 0)
		fiber_clear(host->f);
	return count > 0;
}

/* The disk of a partition: the longest other name that its own begins with. */
static const char *parent_of(const struct host *host, const char *name)
{
	const char *best = NULL;

	for (unsigned i = 0; i < host->names.count; i++) {
		const char *other = host->names.at[i];
		size_t len = strlen(other);

		if (strncmp(name, other, len) == 0 && strcmp(name, other) != 0 &&
		    (!best || len > strlen(best)))
			best = other;
	}
	return best;
}

static bool has_parts(struct host *host, const char *name)
{
	for (unsigned i = 0; i < host->names.count; i++) {
		const char *other = host->names.at[i], *parent = parent_of(host, other);
		char line[16];

		if (parent && strcmp(parent, name) == 0 &&
		    sys_line(host, other, "partition", line, sizeof(line)))
			return true;
	}
	return false;
}

static void read_part(struct host *host, const char *name)
{
	struct host_device *device = &host->device;
	const char *parent = parent_of(host, name);

	device->part_number = (uint32_t)sys_number(host, name, "partition");
	snprintf(device->type, sizeof(device->type), "%s",
		 device->part_number ? "partition" : "disk");
	if (device->part_number && parent)
		snprintf(device->parent, sizeof(device->parent), "/dev/%s", parent);
	if (!device->part_number)
		device->has_parts = has_parts(host, name);
}

static void read_device(struct host *host, const char *name)
{
	struct host_device *device = &host->device;
	char line[32];
	char *colon;

	*device = (struct host_device){ 0 };
	snprintf(device->name, sizeof(device->name), "%s", name);
	snprintf(device->devname, sizeof(device->devname), "/dev/%s", name);
	if (sys_line(host, name, "dev", line, sizeof(line)) && (colon = strchr(line, ':'))) {
		device->major = (uint32_t)strtoul(line, NULL, 10);
		device->minor = (uint32_t)strtoul(colon + 1, NULL, 10);
	}
	device->sectors = sys_number(host, name, "size");
	device->is_read_only = sys_number(host, name, "ro") != 0;
	device->is_rotational = sys_number(host, name, "queue/rotational") != 0;
	device->has_holders = has_holders(host, name);
	(void)sys_line(host, name, "device/model", device->model, sizeof(device->model));
	read_part(host, name);
	read_udev(host);
	read_mounts(host);
}

static void device_fini(struct host_device *device)
{
	for (unsigned i = 0; i < device->link_count; i++)
		mem_free(device->links[i]);
	for (unsigned i = 0; i < device->mount_count; i++)
		mem_free(device->mounts[i]);
}

bool host_is_available(const struct host_device *device)
{
	return device->sectors > 0 && !device->is_read_only && !device->has_parts &&
	       !device->has_holders && device->mount_count == 0 && !device->fs_type[0];
}

/* ---- all of them --------------------------------------------------------------------------------------------- */

static int name_add(void *ctx, const char *name, enum io_kind kind)
{
	struct names *names = ctx;

	(void)kind;
	if (names->count == HOST_DEVICES_MAX || strlen(name) >= sizeof(names->at[0]))
		return 0;
	if (names->count == names->room) {
		unsigned room = names->room ? 2 * names->room : 32;
		char(*at)[64] = mem_alloc_array(names->mem, room, sizeof(*at));

		if (!at)
			return -ENOMEM;
		if (names->count)
			memcpy(at, names->at, names->count * sizeof(*at));
		mem_free(names->at);
		names->at = at;
		names->room = room;
	}
	snprintf(names->at[names->count++], sizeof(names->at[0]), "%s", name);
	return 0;
}

static int host_each(struct host *host, host_device_fn fn, void *ctx)
{
	int r;

	host->names.mem = host->mem;
	snprintf(host->path, sizeof(host->path), "%s/sys/class/block", host->root);
	r = fiber_list(host->f, host->path, name_add, &host->names);
	if (r < 0)
		return r;
	snprintf(host->path, sizeof(host->path), "%s/proc/self/mounts", host->root);
	host->mounts = slurp(host, host->path);
	for (unsigned i = 0; i < host->names.count && r == 0; i++) {
		read_device(host, host->names.at[i]);
		r = fn(ctx, &host->device);
		device_fini(&host->device);
	}
	return r;
}

int host_devices_each(struct fiber *f, const char *root, host_device_fn fn, void *ctx)
{
	struct host *host = mem_new(fiber_io(f), sizeof(*host));
	int r;

	if (!host)
		return fiber_fail(f, -ENOMEM, "no memory");
	host->f = f;
	host->root = root;
	host->mem = fiber_io(f)->mem;
	r = host_each(host, fn, ctx);
	mem_free(host->names.at);
	mem_free(host->mounts);
	mem_free(host);
	return r;
}
