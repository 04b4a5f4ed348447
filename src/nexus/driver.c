// SPDX-License-Identifier: Apache-2.0
/* driver - an open nexus as a bdev: nexus:///NAME, by name or uuid. The way of a bio is io.c. */
#include <errno.h>

#include "nexus/nexus_priv.h"

#include "base/uri.h"

/* So that a request touches few regions. */
#define DATA_BYTES_MAX	 NEXUS_REGION_BYTES
#define ZEROES_BYTES_MAX (4u * NEXUS_REGION_BYTES)

struct open_call {
	struct nexus_table *table;
	const char *name;
	struct nexus_bdev *nb;
};

static void driver_shape(struct nexus_bdev *nb)
{
	struct nexus *n = nb->nexus;
	struct bdev *bdev = &nb->bdev;
	const uint32_t changes = 1u << BIO_WRITE | 1u << BIO_ZEROES | 1u << BIO_UNMAP;

	bdev->driver = &nexus_driver;
	bdev->uuid = n->rec.volume;
	bdev->block_size = n->rec.block_size;
	bdev->blocks = n->size_bytes / n->rec.block_size;
	bdev->physical_block_size = bdev->block_size;
	nexus_each_child(n, child) {
		if (!child->bdev)
			continue;
		bdev->physical_block_size =
			max_u32(bdev->physical_block_size, child->bdev->physical_block_size);
		bdev->volatile_cache |= child->bdev->volatile_cache;
		bdev->rotational |= child->bdev->rotational;
	}
	bdev->unmap_zeroes = bdev->can_unmap = n->unmap_zeroes;
	bdev->can_zeroes = n->can_zeroes;
	bdev->scratch_bytes = sizeof(struct nexus_req);
	bdev_set_limits(bdev,
			&(struct bdev_limits){
				.max_blocks = DATA_BYTES_MAX / bdev->block_size,
				.max_zeroes_blocks = ZEROES_BYTES_MAX / bdev->block_size,
				.ops = 1u << BIO_READ | 1u << BIO_FLUSH | 1u << BIO_RESET | changes,
			});
}

static int driver_open_home(struct fiber *f, void *arg)
{
	struct open_call *call = arg;
	struct nexus *n = nexus_find(call->table, call->name);

	if (!n)
		return fiber_fail(f, -ENOENT, "no nexus '%s' is open here", call->name);
	n->opens++;
	call->nb->nexus = n;
	list_link_init(&call->nb->link);
	list_add_tail(&n->bdevs, &call->nb->link);
	driver_shape(call->nb);
	call->nb->told_blocks = call->nb->bdev.blocks;
	return 0;
}

static int driver_close_home(struct fiber *f, void *arg)
{
	struct nexus_bdev *nb = arg;

	(void)f;
	list_del(&nb->link);
	nb->nexus->opens--;
	return 0;
}

static int driver_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	struct nexus_table *table = reactor_bdev_env(fiber_reactor(f))->nexuses;
	struct open_call call = { .table = table, .name = uri_segment(uri, 0) };
	int r;

	if (uri_segment_count(uri) != 1 || uri_host(uri)[0])
		return fiber_fail(f, -EINVAL, "%s: nexus:///NAME is wanted", uri_print(uri));
	if (!table)
		return fiber_fail(f, -ENOENT, "%s: this process has no nexuses", uri_print(uri));
	call.nb = mem_new(fiber_io(f), sizeof(*call.nb));
	if (!call.nb)
		return fiber_fail(f, -ENOMEM, "%s: no memory", uri_print(uri));
	r = fiber_call_on(f, table->home, "nexus-open", driver_open_home, &call);
	if (r < 0) {
		mem_free(call.nb);
		return r;
	}
	*ret = &call.nb->bdev;
	return 0;
}

static void driver_close(struct fiber *f, struct bdev *bdev)
{
	struct nexus_bdev *nb = container_of(bdev, struct nexus_bdev, bdev);

	(void)fiber_call_on(f, nb->nexus->home, "nexus-close", driver_close_home, nb);
	mem_free(nb);
}

static int driver_chan_open(struct fiber *f, struct bdev_chan *chan)
{
	(void)f;
	(void)chan;
	return 0;
}

static void driver_chan_close(struct fiber *f, struct bdev_chan *chan)
{
	(void)f;
	(void)chan;
}

static const struct bdev_param driver_params[] = { { NULL, NULL } };

const struct bdev_driver nexus_driver = {
	.scheme = "nexus",
	.help = "a volume of several members that this process owns: nexus:///NAME",
	.params = driver_params,
	.open = driver_open,
	.close = driver_close,
	.chan_open = driver_chan_open,
	.chan_close = driver_chan_close,
	.submit = nexus_submit,
};
