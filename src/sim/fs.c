/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs - the names of a host's files: what is seen, and what a power cut leaves of it.
 *
 * A directory has the entries that are seen, those that are on the disk, and the changes
 * between: added, removed, renamed. A sync of the directory makes what is seen what is on the
 * disk. A power cut draws for each change whether it made it; one that builds on a lost change
 * of the same name is lost too. A file's bytes have a fate of their own (media.c).
 *
 * FS1. No change of a directory is durable before it was synced; nothing else syncs it.
 * FS2. A rename within a directory happens whole or not at all. Across directories: -EXDEV.
 * FS3. What a name on the disk stands for exists.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "sim/disk_crash.h"
#include "sim/sim_priv.h"

enum fs_change_kind { FS_ADD, FS_DEL, FS_RENAME };

struct fs_change {
	struct list_link link;
	enum fs_change_kind kind;
	bool lost;
	char *name, *to;
	struct sim_disk *disk; /* counted; FS_DEL: NULL */
};

/* ---- lists of entries, by name ---------------------------------------------------- */

static char *fs_name_dup(struct arena *arena, const char *name)
{
	size_t size = strlen(name) + 1;

	return memcpy(arena_get(arena, size), name, size);
}

static void fs_name_free(struct arena *arena, char *name)
{
	if (name)
		arena_put(arena, name, strlen(name) + 1);
}

static struct fs_entry *fs_find(struct list *entries, const char *name)
{
	struct fs_entry *entry;

	list_for_each(entry, entries, link)
		if (strcmp(entry->name, name) == 0)
			return entry;
	return NULL;
}

static void fs_remove(struct arena *arena, struct fs_entry *entry)
{
	list_del(&entry->link);
	fs_name_free(arena, entry->name);
	sim_disk_unref(entry->disk);
	arena_put(arena, entry, sizeof(*entry));
}

/* Puts or replaces. */
static void fs_put(struct arena *arena, struct list *entries, const char *name,
		   struct sim_disk *disk)
{
	struct fs_entry *entry = fs_find(entries, name), *after;

	sim_disk_ref(disk);
	if (entry)
		fs_remove(arena, entry);
	entry = arena_zalloc(arena, sizeof(*entry));
	entry->name = fs_name_dup(arena, name);
	entry->disk = disk;
	list_for_each(after, entries, link)
		if (strcmp(after->name, name) > 0)
			break;
	if (after)
		list_add_before(&after->link, &entry->link);
	else
		list_add_tail(entries, &entry->link);
}

static void fs_copy(struct arena *arena, struct list *to, struct list *from)
{
	struct fs_entry *entry;

	while ((entry = list_first(to, struct fs_entry, link)))
		fs_remove(arena, entry);
	list_for_each(entry, from, link)
		fs_put(arena, to, entry->name, entry->disk);
}

/* ---- changes ------------------------------------------------------------------------ */

static void fs_apply(struct arena *arena, struct list *entries, const struct fs_change *change)
{
	struct fs_entry *entry = fs_find(entries, change->name);

	if (change->kind == FS_ADD) {
		fs_put(arena, entries, change->name, change->disk);
		return;
	}
	if (entry)
		fs_remove(arena, entry);
	if (change->kind == FS_RENAME)
		fs_put(arena, entries, change->to, change->disk);
}

static void fs_change(struct sim_disk *dir, enum fs_change_kind kind, const char *name,
		      const char *to, struct sim_disk *disk)
{
	struct arena *arena = &dir->host->sim->arena;
	struct fs_change *change = arena_zalloc(arena, sizeof(*change));

	change->kind = kind;
	change->name = fs_name_dup(arena, name);
	change->to = to ? fs_name_dup(arena, to) : NULL;
	change->disk = disk;
	if (disk)
		sim_disk_ref(disk);
	fs_apply(arena, &dir->dir.entries, change);
	list_add_tail(&dir->dir.pending, &change->link);
	dir->mtime_ns = sim_host_wall(dir->host);
}

static void fs_forget_changes(struct sim_disk *dir)
{
	struct arena *arena = &dir->host->sim->arena;
	struct fs_change *change;

	while ((change = list_pop_front(&dir->dir.pending, struct fs_change, link))) {
		fs_name_free(arena, change->name);
		fs_name_free(arena, change->to);
		if (change->disk)
			sim_disk_unref(change->disk);
		arena_put(arena, change, sizeof(*change));
	}
}

void fs_dir_init(struct sim_disk *disk)
{
	list_init(&disk->dir.entries);
	list_init(&disk->dir.stable);
	list_init(&disk->dir.pending);
	list_add_tail(&disk->host->dirs, &disk->dir.link);
}

void fs_dir_sync(struct sim_disk *disk)
{
	fs_copy(&disk->host->sim->arena, &disk->dir.stable, &disk->dir.entries);
	fs_forget_changes(disk);
}

static bool fs_touches(const struct fs_change *change, const char *name)
{
	return name &&
	       (strcmp(change->name, name) == 0 || (change->to && strcmp(change->to, name) == 0));
}

/* Does it build on a change that is lost? */
static bool fs_depends(struct sim_disk *dir, const struct fs_change *change)
{
	struct fs_change *before;

	list_for_each(before, &dir->dir.pending, link) {
		if (before == change)
			return false;
		if (before->lost &&
		    (fs_touches(before, change->name) || fs_touches(before, change->to)))
			return true;
	}
	return false;
}

static void fs_dir_power_cut(struct sim_disk *dir)
{
	struct sim *sim = dir->host->sim;
	struct fs_change *change;

	if (list_empty(&dir->dir.pending))
		return;
	list_for_each(change, &dir->dir.pending, link) {
		change->lost = fs_depends(dir, change) ||
			       prng_below(&sim->prng[SIM_STREAM_CUT], 2) == 0;
		sim_trace(sim, "%s%s: '%s' %s", dir->host->name, dir->path, change->name,
			  change->lost ? "lost" : "kept");
		if (!change->lost)
			fs_apply(&sim->arena, &dir->dir.stable, change);
	}
	fs_copy(&sim->arena, &dir->dir.entries, &dir->dir.stable);
	fs_forget_changes(dir);
}

void fs_power_cut(struct sim_host *host)
{
	struct sim_disk *dir;

	list_for_each(dir, &host->dirs, dir.link)
		fs_dir_power_cut(dir);
}

/* ---- paths ---------------------------------------------------------------------------- */

/* The next name of a path; NULL at its end; *ret_len 0 never. */
static const char *fs_next_name(const char **path, size_t *ret_len)
{
	while (**path == '/')
		(*path)++;
	const char *name = *path;
	*ret_len = strcspn(name, "/");
	*path += *ret_len;
	return *ret_len ? name : NULL;
}

struct fs_place {
	struct sim_disk *dir;
	char name[256];	       /* the last one; "": the root itself */
	struct sim_disk *disk; /* what is there; NULL: nothing */
};

static int fs_walk(struct sim_host *host, const char *path, struct fs_place *place)
{
	const char *name;
	size_t len;

	if (path[0] != '/')
		return -EINVAL;
	if (strlen(path) >= IO_PATH_MAX)
		return -ENAMETOOLONG;
	*place = (struct fs_place){ .dir = host->root, .disk = host->root };
	while ((name = fs_next_name(&path, &len))) {
		if (!place->disk)
			return -ENOENT;
		if (place->disk->kind != IO_KIND_DIR)
			return -ENOTDIR;
		if (len >= sizeof(place->name))
			return -ENAMETOOLONG;
		place->dir = place->disk;
		memcpy(place->name, name, len);
		place->name[len] = '\0';
		struct fs_entry *entry = fs_find(&place->dir->dir.entries, place->name);
		place->disk = entry ? entry->disk : NULL;
	}
	return 0;
}

struct sim_disk *fs_lookup(struct sim_host *host, const char *path)
{
	struct fs_place place;

	return fs_walk(host, path, &place) == 0 ? place.disk : NULL;
}

static struct sim_disk *fs_make(struct sim_host *host, struct sim_disk *dir, const char *name,
				enum io_kind kind, const char *path)
{
	struct sim_disk *disk = sim_disk_make(host, kind, path, &(struct sim_disk_opts){ 0 });

	if (kind == IO_KIND_DIR)
		fs_dir_init(disk);
	fs_change(dir, FS_ADD, name, NULL, disk);
	return disk;
}

/* The harness's way: directories on the way are made, and all of it is durable. */
int fs_link_new(struct sim_host *host, const char *path, struct sim_disk *disk)
{
	struct sim_disk *dir = host->root;
	const char *rest = path, *name;
	char text[256];
	size_t len;

	while ((name = fs_next_name(&rest, &len))) {
		must(len < sizeof(text));
		memcpy(text, name, len);
		text[len] = '\0';
		struct fs_entry *entry = fs_find(&dir->dir.entries, text);
		bool last = rest[strspn(rest, "/")] == '\0';
		if (last && entry)
			return -EEXIST;
		if (last)
			fs_change(dir, FS_ADD, text, NULL, disk);
		struct sim_disk *next = last  ? disk :
					entry ? entry->disk :
						fs_make(host, dir, text, IO_KIND_DIR, path);
		fs_dir_sync(dir);
		dir = next;
	}
	return 0;
}

void fs_init_host(struct sim_host *host)
{
	list_init(&host->disks);
	list_init(&host->dirs);
	host->root = sim_disk_make(host, IO_KIND_DIR, "/", &(struct sim_disk_opts){ 0 });
	fs_dir_init(host->root);
	sim_disk_ref(host->root);
}

/* ---- operations ------------------------------------------------------------------------ */

static int fs_open_new(struct sim_io *io, struct io_op *op, struct fs_place *place)
{
	struct sim_host *host = io->proc->host;

	if (!(op->flags & IO_OPEN_CREATE))
		return -ENOENT;
	if (host->disk_count >= SIM_DISKS_MAX)
		return -ENOSPC;
	place->disk = fs_make(host, place->dir, place->name, IO_KIND_FILE, op->fs.path);
	return 0;
}

static int fs_open(struct sim_io *io, struct io_op *op, struct fs_place *place)
{
	uint32_t flags = op->flags;
	bool is_new = !place->disk;
	int r = is_new ? fs_open_new(io, op, place) : 0;

	if (r < 0)
		return r;
	struct sim_disk *disk = place->disk;
	bool block = disk->kind == IO_KIND_BLOCK;
	if (!is_new && !block && (flags & IO_OPEN_CREATE) && (flags & IO_OPEN_EXCL))
		return -EEXIST;
	if (flags & IO_OPEN_DIR) {
		if (disk->kind != IO_KIND_DIR)
			return -ENOTDIR;
	} else if (disk->kind == IO_KIND_DIR) {
		return -EISDIR;
	}
	if ((flags & IO_OPEN_WRITE) && disk->opts.read_only)
		return -EROFS;
	if (disk->writers && !disk->plant_lost_lock &&
	    ((flags & IO_OPEN_LOCK) || (block && (flags & IO_OPEN_EXCL))))
		return -EBUSY;
	if ((flags & IO_OPEN_TRUNC) && disk->kind == IO_KIND_FILE && disk->media.size) {
		struct media_write *w = media_truncate(&disk->media, 0);
		media_apply(&disk->media, w);
		media_done(&disk->media, w, false);
	}
	*(struct io_file **)op->fs.ret = file_open(io, disk, flags);
	return 0;
}

static void fs_stat(const struct sim_disk *disk, struct io_stat *ret)
{
	const struct sim_disk_opts *opts = &disk->opts;

	*ret = (struct io_stat){
		.kind = disk->kind,
		.size_bytes = disk->media.size,
		.dev = disk->host->index + 1,
		.ino = disk->ino,
		.logical_block = opts->logical_block,
		.physical_block = opts->physical_block,
		.mem_align = opts->logical_block,
		.max_io_bytes = opts->max_io_bytes,
		.discard_bytes = disk->kind == IO_KIND_FILE ? PAGE_BYTES : opts->discard_bytes,
		.mode = disk->kind == IO_KIND_DIR ? 0755 : 0644,
		.mtime_ns = disk->mtime_ns,
		.volatile_cache = disk->media.loses,
		.read_only = opts->read_only,
	};
}

static int fs_list(struct io_op *op, struct sim_disk *dir)
{
	struct fs_entry *entry;
	int r;

	if (dir->kind != IO_KIND_DIR)
		return -ENOTDIR;
	list_for_each(entry, &dir->dir.entries, link) {
		r = op->fs.list_fn(op->fs.list_ctx, entry->name, entry->disk->kind);
		if (r != 0)
			return r;
	}
	return 0;
}

static int fs_rename(struct sim_host *host, const struct io_op *op, struct fs_place *from)
{
	struct fs_place to;
	int r = fs_walk(host, op->fs.path2, &to);

	if (r < 0)
		return r;
	if (from->dir != to.dir)
		return -EXDEV; /* FS2 */
	if (from->disk == to.disk)
		return 0;
	if (to.disk && to.disk->kind == IO_KIND_DIR)
		return from->disk->kind != IO_KIND_DIR	 ? -EISDIR :
		       list_empty(&to.disk->dir.entries) ? 0 :
							   -ENOTEMPTY;
	if (to.disk && from->disk->kind == IO_KIND_DIR)
		return -ENOTDIR;
	fs_change(from->dir, FS_RENAME, from->name, to.name, from->disk);
	return 0;
}

static int fs_unlink(struct fs_place *place)
{
	if (place->disk == place->dir)
		return -EBUSY; /* the root */
	if (place->disk->kind == IO_KIND_DIR && !list_empty(&place->disk->dir.entries))
		return -ENOTEMPTY;
	fs_change(place->dir, FS_DEL, place->name, NULL, NULL);
	return 0;
}

static int fs_mkdir(struct sim_host *host, const struct io_op *op, struct fs_place *place)
{
	if (place->disk)
		return -EEXIST;
	if (host->disk_count >= SIM_DISKS_MAX)
		return -ENOSPC;
	fs_make(host, place->dir, place->name, IO_KIND_DIR, op->fs.path);
	return 0;
}

int64_t fs_do(struct sim_io *io, struct io_op *op)
{
	struct sim_host *host = io->proc->host;
	struct fs_place place;

	if (op->code == IO_STAT && !op->fs.path) {
		fs_stat(op->fs.file->disk, op->fs.ret);
		return 0;
	}
	if (op->code == IO_SHARE) {
		*(struct io_file **)op->fs.ret = file_share(io, op->fs.file);
		return 0;
	}
	int r = fs_walk(host, op->fs.path, &place);
	if (r < 0)
		return r;
	if (!place.disk && op->code != IO_OPEN && op->code != IO_MKDIR)
		return -ENOENT;
	switch (op->code) {
	case IO_OPEN:
		return fs_open(io, op, &place);
	case IO_STAT:
		fs_stat(place.disk, op->fs.ret);
		return 0;
	case IO_LIST:
		return fs_list(op, place.disk);
	case IO_RENAME:
		return fs_rename(host, op, &place);
	case IO_UNLINK:
		return fs_unlink(&place);
	case IO_MKDIR:
		return fs_mkdir(host, op, &place);
	default:
		return -EINVAL;
	}
}
