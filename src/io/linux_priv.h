/* SPDX-License-Identifier: Apache-2.0 */
/* linux - constants of newer kernels that Debian 12's headers (liburing 2.3, glibc 2.36) lack. */
#ifndef IO_LINUX_PRIV_H
#define IO_LINUX_PRIV_H

/* 6.14; we take it as the sign that a registered file lives on its own (uring_fd.c). */
#define LINUX_IORING_FEAT_RW_ATTR (1u << 16)

/* 6.2: a zero-copy send tells in its notification whether it copied after all. */
#define LINUX_IORING_SEND_ZC_REPORT_USAGE  (1u << 3)
#define LINUX_IORING_NOTIF_USAGE_ZC_COPIED (1u << 31)

/* 6.1: alignment of direct I/O; two fields of struct statx that glibc 2.36 holds as spare. */
#define LINUX_STATX_DIOALIGN		    0x2000u
#define LINUX_STATX_DIO_MEM_ALIGN_OFFSET    0x98
#define LINUX_STATX_DIO_OFFSET_ALIGN_OFFSET 0x9c

#define LINUX_TMPFS_MAGIC 0x01021994
#define LINUX_RAMFS_MAGIC 0x858458f6

#endif
