// SPDX-License-Identifier: Apache-2.0
/* metrics_text - samples in the text format of Prometheus. See metrics_text.h. */
#include "engine/metrics_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hist.h"
#include "base/mem.h"
#include "base/must.h"
#include "reactor/fiber.h"

#define NS_PER_S   UINT64_C(1000000000)
#define ROOM_FIRST 4096u
#define NUMBER	   48u

struct body {
	char *text; /* owned */
	size_t len, room;
};

struct metrics {
	struct mem *mem;
	const struct metrics_family *families;
	unsigned count;
	size_t bytes;
	int r; /* the first failure */
	char labels[METRICS_LABELS_MAX];
	size_t labels_len;
	struct body bodies[];
};

struct metrics *metrics_new(struct mem *mem, const struct metrics_family *families, unsigned count)
{
	struct metrics *m = mem_alloc(mem, sizeof(*m) + count * sizeof(m->bodies[0]));

	if (!m)
		return NULL;
	m->mem = mem;
	m->families = families;
	m->count = count;
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (unsigned i = 0; i < m->count; i++)
		mem_free(m->bodies[i].text);
	mem_free(m);
}

/* ---- labels ----------------------------------------------------------------------------------- */

/* One character of a value, as it is written; false: no room. Room for '",' and the NUL is kept. */
static bool label_put(struct metrics *m, char c)
{
	const bool is_escaped = c == '\\' || c == '"' || c == '\n';

	if (m->labels_len + 2 + 3 > sizeof(m->labels))
		return false;
	if (is_escaped)
		m->labels[m->labels_len++] = '\\';
	m->labels[m->labels_len++] = c == '\n' ? 'n' : c;
	return true;
}

static void label_add(struct metrics *m, const char *name, const char *value)
{
	const size_t left = sizeof(m->labels) - m->labels_len, need = strlen(name) + 6;

	if (need > left)
		return;
	m->labels_len += (size_t)snprintf(m->labels + m->labels_len, left, "%s%s=\"",
					  m->labels_len ? "," : "", name);
	while (*value && label_put(m, *value))
		value++;
	m->labels[m->labels_len++] = '"';
	m->labels[m->labels_len] = 0;
}

void metrics_labels_set(struct metrics *m, ...)
{
	va_list args;
	const char *name;

	m->labels_len = 0;
	m->labels[0] = 0;
	va_start(args, m);
	while ((name = va_arg(args, const char *)))
		label_add(m, name, va_arg(args, const char *));
	va_end(args);
}

/* ---- samples -------------------------------------------------------------------------------------- */

static bool body_room(struct metrics *m, struct body *body, size_t more)
{
	size_t room = body->room ? body->room : ROOM_FIRST;
	char *text;

	m->bytes += more;
	if (m->r == 0 && m->bytes > METRICS_BYTES_MAX)
		m->r = -EFBIG;
	if (m->r < 0 || body->len + more <= body->room)
		return m->r == 0;
	while (room < body->len + more)
		room *= 2;
	text = mem_alloc(m->mem, room);
	if (!text) {
		m->r = -ENOMEM;
		return false;
	}
	if (body->len)
		memcpy(text, body->text, body->len);
	mem_free(body->text);
	body->text = text;
	body->room = room;
	return true;
}

/* extra: one more label, as it is written, or "". */
static void sample_add(struct metrics *m, unsigned family, const char *suffix, const char *extra,
		       const char *value)
{
	struct body *body = &m->bodies[family];
	const char *name = m->families[family].name;
	const size_t most =
		strlen(name) + strlen(suffix) + m->labels_len + strlen(extra) + strlen(value) + 6;

	must(family < m->count);
	if (!body_room(m, body, most))
		return;
	body->len += (size_t)snprintf(body->text + body->len, most, "%s%s{%s%s%s} %s\n", name,
				      suffix, m->labels, m->labels_len && extra[0] ? "," : "",
				      extra, value);
}

void metrics_add(struct metrics *m, unsigned family, uint64_t value)
{
	char text[NUMBER];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	sample_add(m, family, "", "", text);
}

/* ---- histograms ---------------------------------------------------------------------------------------- */

static uint64_t bucket_count(const struct hist *hist, uint32_t bucket)
{
	return (uint64_t)hist->high[bucket] << 32 | hist->low[bucket];
}

static void seconds_print(uint64_t ns, char text[NUMBER])
{
	snprintf(text, NUMBER, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);
}

void metrics_add_hist(struct metrics *m, unsigned family, const struct hist *hist)
{
	char text[NUMBER], bound[NUMBER], le[NUMBER + 8];
	uint32_t bucket = 0;
	uint64_t below = 0;

	for (unsigned bit = METRICS_LE_FIRST; bit <= METRICS_LE_LAST; bit++) {
		const uint32_t end = hist_bucket(UINT64_C(1) << bit);

		for (; bucket < end; bucket++)
			below += bucket_count(hist, bucket);
		seconds_print(UINT64_C(1) << bit, bound);
		snprintf(le, sizeof(le), "le=\"%s\"", bound);
		snprintf(text, sizeof(text), "%" PRIu64, below);
		sample_add(m, family, "_bucket", le, text);
	}
	snprintf(text, sizeof(text), "%" PRIu64, hist->count);
	sample_add(m, family, "_bucket", "le=\"+Inf\"", text);
	sample_add(m, family, "_count", "", text);
	seconds_print(hist->sum, text);
	sample_add(m, family, "_sum", "", text);
}

/* ---- the text ------------------------------------------------------------------------------------------- */

static size_t head_print(const struct metrics_family *family, char *to, size_t room)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };

	/* cppcheck-suppress [nullPointer, ctunullpointer]: snprintf() counts where there is no room */
	return (size_t)snprintf(to, room, "# HELP %s %s\n# TYPE %s %s\n", family->name,
				family->help, family->name, types[family->type]);
}

int metrics_finish(struct fiber *f, struct metrics *m, char **ret_text, size_t *ret_len)
{
	size_t total = 1, at = 0;
	char *text;

	for (unsigned i = 0; i < m->count; i++)
		if (m->bodies[i].len) /* MT2 */
			total += head_print(&m->families[i], NULL, 0) + m->bodies[i].len;
	if (m->r == -EFBIG)
		return fiber_fail(f, m->r, "more than %u bytes of metrics", METRICS_BYTES_MAX);
	text = m->r == 0 ? mem_alloc(m->mem, total) : NULL;
	if (!text)
		return fiber_fail(f, -ENOMEM, "no memory for the metrics");
	for (unsigned i = 0; i < m->count; i++) {
		if (!m->bodies[i].len)
			continue;
		at += head_print(&m->families[i], text + at, total - at);
		memcpy(text + at, m->bodies[i].text, m->bodies[i].len);
		at += m->bodies[i].len;
	}
	*ret_text = text;
	*ret_len = at;
	return 0;
}
