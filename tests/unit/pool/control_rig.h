/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control_rig - a pool with one replica that is open as a disk, for tests of what is kept with it.
 */
#ifndef UNIT_POOL_CONTROL_RIG_H
#define UNIT_POOL_CONTROL_RIG_H

#include "unit/unit.h"

#include "bdev/replica.h"
#include "bdev/resv.h"
#include "pool_rig.h"

#define SIZE_MB	   2048u
#define REGIONS	   (SIZE_MB / 4)
#define WORDS	   (REGIONS / 64)
#define DISK	   "malloc:///d0?size_mb=256"
#define TOKEN(e)   replica_token(e, 0)
#define GEN(e, n_) ((struct replica_gen){ .epoch = (e), .n = (n_) })

struct ctl {
	struct pool_rig pr;
	struct bdev *bdev;
	struct bdev_chan *chan;
	const struct bdev_replica_ops *ops;
	const struct bdev_resv_ops *resv;
};

void ctl_open(struct fiber *f, struct ctl *c);
void ctl_close(struct fiber *f, struct ctl *c);
void ctl_start_on(struct fiber *f, struct rig *rig, struct ctl *c, const char *disk);
void ctl_start(struct fiber *f, struct rig *rig, struct ctl *c);
void ctl_stop(struct fiber *f, struct ctl *c);
void ctl_crash(struct fiber *f, struct ctl *c);
void ctl_remount(struct fiber *f, struct ctl *c);
struct replica_info ctl_info(struct fiber *f, struct ctl *c);
struct uuid ctl_uuid(uint8_t n);
bool ctl_gen_is(struct replica_gen gen, uint64_t epoch, uint64_t n);
int ctl_bio(struct fiber *f, struct ctl *c, enum bio_op op, uint64_t lba, uint64_t token);
struct resv_state ctl_resv(uint32_t count, int32_t holder);
void ctl_active_is(struct fiber *f, struct ctl *c, const uint64_t *want);
void ctl_objects_are(struct fiber *f, struct ctl *c, unsigned want);

#endif
