/* SPDX-License-Identifier: Apache-2.0 */
/*
 * label - what a foreign member bears of ours: a partition table, and whose member it is.
 *
 *	OFFSET            SIZE      WHAT
 *	0                           protective MBR, GPT (gpt.h)
 *	256 KiB           512       label A
 *	512 KiB           512       label B
 *	1 MiB             ...       the volume: partition 1, a whole number of MiB
 *	end                         the GPT's backup
 *
 * The label, little-endian; the rest of its block is zeros:
 *
 *	OFFSET SIZE FIELD
 *	0      8    magic "MAYALABL"
 *	8      4    version 1
 *	12     4    crc32c of the 512 bytes with this field zero
 *	16     8    serial: grows with each writing, the higher one holds
 *	24     16   volume
 *	40     16   member
 *	56     8    offset of the volume, bytes
 *	64     8    bytes of the volume that there is room for
 *	72     4    block size of the disk
 *	76     4    zeros
 *	80     8    generation of the member list: epoch
 *	88     8    ... n
 *	96     64   name of the volume, zeros behind
 *	160    256  URI of its record's store, zeros behind; for people
 *	416    96   zeros
 *
 * LB1. A label holds or is refused: magic, version, checksum, and values that fit each other.
 * LB2. Writing is A, flush, B, flush: after a torn write one of them is whole, the old or the new.
 * LB3. A new disk gets the label before the table: what was begun is known as ours.
 * LB4. A higher version is refused, and never written to. Zeros are ignored when read.
 */
#ifndef NEXUS_LABEL_H
#define NEXUS_LABEL_H

#include "base/uuid.h"
#include "store/volume.h"

#define LABEL_BYTES	512u
#define LABEL_A		(256u << 10)
#define LABEL_B		(512u << 10)
#define LABEL_DATA	(1u << 20)
#define LABEL_UNIT	(1u << 20) /* the volume has a whole number of these */
#define LABEL_VERSION	1u
#define LABEL_STORE_MAX 255u

struct bdev;
struct bdev_chan;
struct fiber;

struct nexus_label {
	uint64_t serial;
	struct uuid volume, member;
	uint64_t data_bytes; /* the offset is LABEL_DATA */
	uint32_t block_size;
	uint64_t gen_epoch, gen_n;
	char name[VOLUME_NAME_MAX + 1];
	char store[LABEL_STORE_MAX + 1];
};

/* ---- pure -------------------------------------------------------------------------------- */

void nexus_label_encode(const struct nexus_label *label, uint8_t bytes[LABEL_BYTES]);
/* -ENOMSG: no label; -EILSEQ: damaged (LB1); -EPROTO: of a later version. */
MUST_USE int nexus_label_decode(const uint8_t bytes[LABEL_BYTES], struct nexus_label *ret);
/* Bytes for a volume on a disk of so many blocks; 0: too small. */
uint64_t nexus_label_room(uint64_t blocks, uint32_t block_size);

/* ---- on a disk --------------------------------------------------------------------------- */

/* The copy that holds; errors as above if neither does. No words. Or a read's error. */
MUST_USE int nexus_label_read(struct fiber *f, struct bdev_chan *chan, struct nexus_label *ret);
/* Both copies (LB2); serial is counted up. */
MUST_USE int nexus_label_write(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label);
/* Labels, then what was in the first MiB goes, then the table (LB3). */
MUST_USE int nexus_label_make(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label);
/* The disk has grown: data_bytes and the table are of its new size. Idempotent. */
MUST_USE int nexus_label_grow(struct fiber *f, struct bdev_chan *chan, struct nexus_label *label);
/* Nothing of ours is left but the volume's bytes. */
MUST_USE int nexus_label_wipe(struct fiber *f, struct bdev_chan *chan,
			      const struct nexus_label *label);

/* Puts the child's name before the words of a failure, whose code it returns. */
int belong_word(struct fiber *f, const char *uri, int error);

/* ---- foreign.c --------------------------------------------------------------------------- */

/* What these first and last bytes of a disk are the marks of, as words ("an XFS filesystem"), or NULL. */
const char *foreign_name(const uint8_t *head, size_t head_len, const uint8_t *tail,
			 size_t tail_len);
/* -EMEDIUMTYPE, worded: the disk is not blank at its ends. */
MUST_USE int foreign_check_blank(struct fiber *f, struct bdev_chan *chan, const char *uri);

#endif
