// SPDX-License-Identifier: Apache-2.0
/*
 * uring_fd - the table of registered files: SQEs name a file by slot, the kernel need not look it up.
 *
 * Used only where a slot lives on its own (Linux 6.13 and later). Older kernels release
 * removed slots in order, each behind every request begun before it, and a second late:
 * one idle receive would keep all later closed connections and block devices open. There,
 * and when the table is full or refused, a file is simply its number.
 */
#include "io/uring_priv.h"
#include "io/linux_priv.h"

#include <sys/resource.h>

void uring_fd_table_init(struct uring *u)
{
	struct rlimit limit;

	bitmap_init(&u->slots, u->slot_words, 0);
	if (!(u->ring.features & LINUX_IORING_FEAT_RW_ATTR) || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	unsigned count = (unsigned)min_u64(URING_FILES_MAX, limit.rlim_cur);
	if (io_uring_register_files_sparse(&u->ring, count) == 0)
		bitmap_init(&u->slots, u->slot_words, count);
}

void uring_fd_init(struct uring *u, struct uring_fd *fd, int number)
{
	uint64_t slot = bitmap_find_clear(&u->slots, 0);

	*fd = (struct uring_fd){ .fd = number, .slot = URING_SLOT_NONE, .sqe_fd = number };
	if (slot == u->slots.bits ||
	    io_uring_register_files_update(&u->ring, (unsigned)slot, &number, 1) != 1)
		return;
	bitmap_set(&u->slots, slot);
	fd->slot = fd->sqe_fd = (int)slot;
	fd->sqe_flags = IOSQE_FIXED_FILE;
}

void uring_fd_release(struct uring *u, struct uring_fd *fd)
{
	int none = -1;

	if (fd->slot == URING_SLOT_NONE)
		return;
	must(io_uring_register_files_update(&u->ring, (unsigned)fd->slot, &none, 1) == 1);
	bitmap_clear(&u->slots, (uint64_t)fd->slot);
	fd->slot = URING_SLOT_NONE;
	fd->sqe_fd = fd->fd;
	fd->sqe_flags = 0;
}
