// SPDX-License-Identifier: Apache-2.0
/* A pool with one replica that is open as a disk; see control_rig.h. */
#include "control_rig.h"

#include "base/err.h"

void ctl_open(struct fiber *f, struct ctl *c)
{
	c->bdev = rig_open(f, "pool:///p/r");
	c->chan = rig_chan(f, c->bdev);
	c->ops = bdev_replica_ops(c->chan);
	c->resv = bdev_resv_ops(c->chan);
	assert_non_null(c->ops);
	assert_non_null(c->resv);
}

void ctl_close(struct fiber *f, struct ctl *c)
{
	bdev_chan_close(f, c->chan);
	bdev_close(f, c->bdev);
}

void ctl_start_on(struct fiber *f, struct rig *rig, struct ctl *c, const char *disk)
{
	const struct replica_create_args args = { .name = "r",
						  .size_bytes = (uint64_t)SIZE_MB << 20 };
	const char *uris[] = { disk };

	*c = (struct ctl){ 0 };
	pool_rig_start(f, rig, &c->pr, uris, 1, 0);
	c->pr.uris[0] = disk;
	pool_ok(f, replica_create(f, c->pr.pool, &args));
	ctl_open(f, c);
}

void ctl_start(struct fiber *f, struct rig *rig, struct ctl *c)
{
	ctl_start_on(f, rig, c, DISK);
}

void ctl_stop(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_check(f, &c->pr);
	pool_rig_stop(f, &c->pr);
}

void ctl_crash(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_crash(f, &c->pr);
	ctl_open(f, c);
}

void ctl_remount(struct fiber *f, struct ctl *c)
{
	ctl_close(f, c);
	pool_rig_remount(f, &c->pr);
	ctl_open(f, c);
}

struct replica_info ctl_info(struct fiber *f, struct ctl *c)
{
	struct replica_info info;

	memset(&info, 0xa5, sizeof(info));
	pool_ok(f, c->ops->info(f, c->chan, &info));
	return info;
}

struct uuid ctl_uuid(uint8_t n)
{
	struct uuid uuid;

	memset(uuid.bytes, n, sizeof(uuid.bytes));
	return uuid;
}

bool ctl_gen_is(struct replica_gen gen, uint64_t epoch, uint64_t n)
{
	return gen.epoch == epoch && gen.n == n;
}

int ctl_bio(struct fiber *f, struct ctl *c, enum bio_op op, uint64_t lba, uint64_t token)
{
	static uint8_t buf[4096];
	struct iovec iov = { buf, sizeof(buf) };
	struct bio *bio = bio_new(c->chan);
	bool data = op == BIO_READ || op == BIO_WRITE;
	int r;

	if (!bio)
		return -ENOMEM;
	bio_prep(bio, c->chan, op, op == BIO_FLUSH ? 0 : lba, op == BIO_FLUSH ? 0 : 8,
		 data ? &iov : NULL, data, NULL);
	bio->token = token;
	r = bio_wait(f, bio);
	fiber_clear(f);
	mem_free(bio);
	return r;
}

struct resv_state ctl_resv(uint32_t count, int32_t holder)
{
	struct resv_state state = {
		.generation = 7, .type = 2, .ptpl = true, .holder = holder, .count = count
	};

	for (uint32_t i = 0; i < count; i++)
		state.registrant[i] =
			(struct resv_registrant){ 0x1000 + i, ctl_uuid((uint8_t)(i + 1)) };
	return state;
}

void ctl_active_is(struct fiber *f, struct ctl *c, const uint64_t *want)
{
	uint64_t words[WORDS];

	memset(words, 0xa5, sizeof(words));
	pool_ok(f, c->ops->al_get(f, c->chan, words, WORDS));
	assert_memory_equal(words, want, sizeof(words));
}

static int count_one(void *ctx, const struct replica_stat *stat)
{
	(void)stat;
	++*(unsigned *)ctx;
	return 0;
}

void ctl_objects_are(struct fiber *f, struct ctl *c, unsigned want)
{
	unsigned count = 0;

	pool_ok(f, replica_each(f, c->pr.pool, count_one, &count));
	assert_int_equal(count, want);
}
