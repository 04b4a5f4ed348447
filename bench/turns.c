// SPDX-License-Identifier: Apache-2.0
/* turns - see turns.h. */
#include "turns.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pool/format.h"
#include "reactor/fiber.h"

/* On the same blocks, but for AGAINST_ONE, which is as large as ours and elsewhere. */
static int other_disk(struct fiber *f, const struct options *o, struct load *load)
{
	bool has_nexus = o->nexus.disk_count > 0;
	struct bdev *bdev = has_nexus ? o->nexus.kept[0] : o->bed.kept[0];

	if (o->against == AGAINST_ONE) {
		load->disks[0].uri = NEXUS_BED_ONE_URI;
	} else if (o->against == AGAINST_REPLICA) {
		load->disks[0].uri = o->nexus.uris[0];
		load->opts.token = nexus_bed_token(f, &o->nexus);
	} else {
		load->disks[0].uri = has_nexus ? o->nexus.disks[0] : o->bed.disks[0];
		load->opts.offset_bytes = POOL_DATA_START;
	}
	if (bdev->blocks * bdev->block_size < POOL_DATA_START + load->opts.size_bytes)
		return fiber_fail(f, -EINVAL, "--turns: the disk is smaller than the replica");
	return 0;
}

static int other_fill(struct fiber *f, struct load *load)
{
	int r = load_start(f, load, LOAD_FILL);

	if (r == 0)
		r = load_wait(f, load, IO_FOREVER);
	return r < 0 ? r : load_end(f, load);
}

int turns_open(struct fiber *f, const struct options *o, struct turns *turns)
{
	struct load *load = &turns->beneath;
	int r;

	load->opts = o->load.opts;
	load->opts.size_bytes = o->bed.replica_bytes;
	load->reactors = o->load.reactors;
	load->disk_count = 1;
	r = other_disk(f, o, load);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < 2; i++)
		turns->ns[i] = mem_new(fiber_io(f), 2 * o->turns * sizeof(double));
	turns->ratios = mem_new(fiber_io(f), o->turns * sizeof(double));
	if (!turns->ns[0] || !turns->ns[1] || !turns->ratios)
		return fiber_fail(f, -ENOMEM, "no memory for turns");
	r = load_open(f, load);
	if (r == 0)
		load_borrow_buffers(load, &o->load);
	if (r == 0 && o->fill && o->against == AGAINST_ONE)
		r = other_fill(f, load);
	return r;
}

void turns_close(struct fiber *f, struct turns *turns)
{
	if (turns->beneath.disk_count)
		load_close(f, &turns->beneath);
	mem_free(turns->ns[0]);
	mem_free(turns->ns[1]);
	mem_free(turns->ratios);
}

static int slice_run(struct fiber *f, struct load *load, double *ret_ns)
{
	uint64_t begin = io_now(fiber_io(f)), end;
	int r = load_start(f, load, LOAD_RUN);

	if (r == 0)
		r = load_wait(f, load, IO_FOREVER);
	end = io_now(fiber_io(f));
	if (r == 0)
		r = load_end(f, load);
	*ret_ns =
		(double)(end - begin) / (double)(load->opts.ios * load->opts.jobs * load->reactors);
	return r;
}

static int number_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* A B B A: a ratio in which drift cancels. */
static int round_run(struct fiber *f, struct options *o, struct turns *turns)
{
	struct load *side[2] = { &o->load, &turns->beneath };
	double *ns[2] = { turns->ns[0] + 2 * turns->count, turns->ns[1] + 2 * turns->count };
	static const uint8_t order[4] = { 0, 1, 1, 0 };
	unsigned done[2] = { 0, 0 };
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 4; i++)
		r = slice_run(f, side[order[i]], &ns[order[i]][done[order[i]]++]);
	if (r < 0)
		return r;
	turns->ratios[turns->count++] = (ns[1][0] + ns[1][1]) / (ns[0][0] + ns[0][1]);
	return 0;
}

int turns_run(struct fiber *f, struct options *o, struct turns *turns)
{
	double warm;
	int r = slice_run(f, &turns->beneath, &warm);

	while (r == 0 && turns->count < o->turns && !o->load.interrupted)
		r = round_run(f, o, turns);
	qsort(turns->ratios, turns->count, sizeof(double), number_compare);
	for (unsigned i = 0; i < 2; i++)
		qsort(turns->ns[i], 2 * turns->count, sizeof(double), number_compare);
	return r;
}

static double quantile(const double *sorted, unsigned count, double q)
{
	double at = q * (count - 1.0);
	unsigned i = (unsigned)at;

	return i + 1 < count ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) :
			       sorted[count - 1];
}

void turns_print(const struct options *o, const struct turns *turns)
{
	unsigned n = turns->count;
	double half = n ? 0.98 / sqrt(n) : 0; /* of the ranks: 1.96 standard deviations */
	double ratio, low, high, a, b;

	if (n == 0)
		return;
	ratio = quantile(turns->ratios, n, 0.5);
	low = quantile(turns->ratios, n, fmax(0, 0.5 - half));
	high = quantile(turns->ratios, n, fmin(1, 0.5 + half));
	a = quantile(turns->ns[0], 2 * n, 0.5);
	b = quantile(turns->ns[1], 2 * n, 0.5);
	if (!o->json) {
		printf("%s %u bytes, depth %u, %u rounds: ratio %.4f (%.4f .. %.4f), pool %.1f ns, "
		       "beneath %.1f ns per I/O\n",
		       o->rw, o->load.opts.bs, o->load.opts.depth, n, ratio, low, high, a, b);
		return;
	}
	printf("{\"rw\":\"%s\",\"bs\":%u,\"depth\":%u,\"rounds\":%u,\"ratio\":%.4f,\"low\":%.4f,"
	       "\"high\":%.4f,\"pool_ns_per_io\":%.1f,\"beneath_ns_per_io\":%.1f,\"ratios\":[",
	       o->rw, o->load.opts.bs, o->load.opts.depth, n, ratio, low, high, a, b);
	for (unsigned i = 0; i < n; i++)
		printf("%s%.4f", i ? "," : "", turns->ratios[i]);
	printf("]}\n");
}
