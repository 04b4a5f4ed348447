/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_text - samples in the text format of Prometheus (version 0.0.4), family by family.
 *
 *	metrics_labels(m, "node", n, "name", x); metrics_add(m, FAMILY, 3); ... metrics_finish(m)
 *
 * MT1. The samples of a family stand together, under its HELP and TYPE, in whatever order they are added.
 * MT2. A family without samples is not told.
 * MT3. No text is longer than METRICS_BYTES_MAX; no memory or no room: metrics_finish() says so.
 */
#ifndef ENGINE_METRICS_TEXT_H
#define ENGINE_METRICS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

#define METRICS_TYPE	   "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_BYTES_MAX  (64u << 20)
#define METRICS_LABELS_MAX 4096u /* bytes of the labels of a sample; what is longer is cut */
#define METRICS_LE_FIRST   12u	 /* the first bound of a histogram: 2^12 ns, 4.1 us ... */
#define METRICS_LE_LAST	   34u	 /* ... the last: 2^34 ns, 17 s; each is twice the one before */

struct fiber;
struct hist;
struct mem;
struct metrics;

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM };

struct metrics_family {
	const char *name, *help;
	enum metrics_type type;
};

/* families stay until metrics_free(). NULL: no memory. */
MUST_USE struct metrics *metrics_new(struct mem *mem, const struct metrics_family *families,
				     unsigned count);
void metrics_free(struct metrics *m);

/* Names and values in turn, for what is added from now on. Values are escaped. */
#define metrics_labels(m, ...) metrics_labels_set((m), ##__VA_ARGS__, (const char *)NULL)
void metrics_labels_set(struct metrics *m, ...) __attribute__((sentinel));
void metrics_add(struct metrics *m, unsigned family, uint64_t value);
/* Buckets in seconds. A value of exactly a bound counts for the bucket above it. */
void metrics_add_hist(struct metrics *m, unsigned family, const struct hist *hist);

/* The whole text, to be freed by mem_free(). -ENOMEM, -EFBIG (MT3). */
MUST_USE int metrics_finish(struct fiber *f, struct metrics *m, char **ret_text, size_t *ret_len);

#endif
