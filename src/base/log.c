// SPDX-License-Identifier: Apache-2.0
/*
 * log - structured log lines with a message and typed fields.
 *
 * G1..G3 stand in log.h. A line is built by a small writer that never passes its
 * end: a text that is too long is cut, any other field that does not fit is taken
 * back, and room for the last words is kept from the start.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/must.h"

#define LOG_TAIL_BYTES	 24 /* ,"truncated":true} and the newline */
#define LOG_ESCAPE_BYTES 6  /* the longest image of a character: \u001f */

struct log_writer {
	char *line;
	size_t len;
	size_t room; /* the tail is not part of it */
	bool json;
	bool full;	/* something was refused since the flag was last cleared */
	bool truncated; /* a text was cut or a field left out */
};

static void log_put(struct log_writer *w, const char *bytes, size_t len)
{
	if (w->full || len > w->room - w->len) {
		w->full = true;
		return;
	}
	memcpy(w->line + w->len, bytes, len);
	w->len += len;
}

static void log_puts(struct log_writer *w, const char *text)
{
	log_put(w, text, strlen(text));
}

/* The bytes of a well-formed UTF-8 character of two or more bytes (RFC 3629), else 0. */
static size_t log_utf8_len(const uint8_t *p)
{
	static const uint8_t first_last[][3] = {
		/* of the lead byte; least second byte */
		{ 0xc2, 0xdf, 0x80 }, { 0xe0, 0xe0, 0xa0 }, { 0xe1, 0xef, 0x80 },
		{ 0xf0, 0xf0, 0x90 }, { 0xf1, 0xf4, 0x80 },
	};
	size_t len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	uint8_t second_max = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;

	for (size_t i = 0; i < ARRAY_LEN(first_last); i++) {
		if (p[0] < first_last[i][0] || p[0] > first_last[i][1])
			continue;
		if (p[1] < first_last[i][2] || p[1] > second_max)
			return 0;
		for (size_t k = 2; k < len; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return len;
	}
	return 0;
}

/* Writes the image of the first character at p (G2); returns how many bytes that took. */
static size_t log_put_char(struct log_writer *w, const uint8_t *p)
{
	size_t len = *p < 0x80 ? 1 : log_utf8_len(p);
	bool c1 = p[0] == 0xc2 && len == 2 && p[1] < 0xa0; /* controls past ASCII */
	char escape[LOG_ESCAPE_BYTES + 1];

	if (len == 0) {
		log_puts(w, "\xef\xbf\xbd"); /* U+FFFD */
		return 1;
	}
	if (*p == '"' || *p == '\\') {
		log_put(w, "\\", 1);
		log_put(w, (const char *)p, 1);
	} else if (*p == '\n') {
		log_puts(w, "\\n");
	} else if (*p < 0x20 || *p == 0x7f || c1) {
		snprintf(escape, sizeof(escape), "\\u%04x", c1 ? p[1] : p[0]);
		log_puts(w, escape);
	} else {
		log_put(w, (const char *)p, len);
	}
	return len;
}

/* A text in quotes; cut where it does not fit, at a character's end (G1). */
static void log_put_quoted(struct log_writer *w, const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	if (w->room - w->len < LOG_ESCAPE_BYTES + 2)
		w->full = true;
	log_put(w, "\"", 1);
	while (*p && !w->full) {
		if (w->room - w->len <= LOG_ESCAPE_BYTES) {
			w->truncated = true;
			break;
		}
		p += log_put_char(w, p);
	}
	log_put(w, "\"", 1);
}

/* May a value stand without quotes in a key=value line? */
static bool log_is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || *p == '=')
			return false;
	return *text && strcmp(text, "-") != 0;
}

static void log_put_str(struct log_writer *w, const char *text)
{
	if (!text)
		log_puts(w, w->json ? "null" : "-");
	else if (w->json || !log_is_plain(text) || strlen(text) > w->room - w->len)
		log_put_quoted(w, text);
	else
		log_puts(w, text);
}

static void log_put_number(struct log_writer *w, const struct log_field *field)
{
	char text[40];

	if (field->type == LOG_TYPE_U64)
		snprintf(text, sizeof(text), "%" PRIu64, field->u64);
	else if (field->type == LOG_TYPE_I64)
		snprintf(text, sizeof(text), "%" PRId64, field->i64);
	else if (field->type == LOG_TYPE_HEX)
		snprintf(text, sizeof(text), w->json ? "\"0x%" PRIx64 "\"" : "0x%" PRIx64,
			 field->u64);
	else
		snprintf(text, sizeof(text), "%.6g", field->f64);
	if (field->type == LOG_TYPE_F64 && !isfinite(field->f64))
		log_put_str(w, text);
	else
		log_puts(w, text);
}

static void log_put_value(struct log_writer *w, const struct log_field *field)
{
	if (field->type == LOG_TYPE_STR)
		log_put_str(w, field->str);
	else if (field->type == LOG_TYPE_BOOL)
		log_puts(w, field->u64 ? "true" : "false");
	else if (field->type == LOG_TYPE_ERR)
		log_put_str(w, err_name((int)field->i64));
	else
		log_put_number(w, field);
}

static bool log_key_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.' || c == '-';
}

static void log_put_key(struct log_writer *w, const char *key)
{
	log_puts(w, w->json ? ",\"" : " ");
	for (const char *p = key; *p; p++)
		log_put(w, log_key_ok(*p) ? p : "_", 1);
	log_puts(w, w->json ? "\":" : "=");
}

/* A whole field or none (G1). */
static void log_put_field(struct log_writer *w, const struct log_field *field)
{
	size_t len = w->len;

	log_put_key(w, field->key);
	log_put_value(w, field);
	if (w->full) {
		w->len = len;
		w->full = false;
		w->truncated = true;
	}
}

/* Days since 1970 to year, month, day (Hinnant's civil_from_days). */
static void log_date(uint64_t days, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
	uint64_t shifted = days + 719468; /* since 0000-03-01 */
	uint64_t era = shifted / 146097;
	unsigned day_of_era = (unsigned)(shifted % 146097);
	unsigned year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned month = (5 * day_of_year + 2) / 153; /* 0 is March */

	*ret_day = day_of_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (unsigned)era * 400 + year_of_era + (*ret_month <= 2);
}

static void log_put_time(struct log_writer *w, uint64_t wall_ns)
{
	uint64_t seconds = wall_ns / 1000000000;
	unsigned second = (unsigned)(seconds % 86400);
	unsigned year, month, day;
	char text[64];

	log_date(seconds / 86400, &year, &month, &day);
	snprintf(text, sizeof(text), "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", year, month, day,
		 second / 3600, second / 60 % 60, second % 60,
		 (unsigned)(wall_ns % 1000000000 / 1000));
	log_puts(w, text);
}

static void log_put_head(struct log_writer *w, uint64_t wall_ns, enum log_level level,
			 const char *message)
{
	if (w->json)
		log_puts(w, "{\"time\":\"");
	log_put_time(w, wall_ns);
	log_puts(w, w->json ? "\",\"level\":\"" : " ");
	log_puts(w, log_level_name(level));
	log_puts(w, w->json ? "\",\"msg\":" : " ");
	log_put_quoted(w, message);
}

/* The tail's room was kept for this (G1). */
static void log_put_tail(struct log_writer *w)
{
	w->room += LOG_TAIL_BYTES;
	if (w->truncated)
		log_puts(w, w->json ? ",\"truncated\":true" : " truncated=true");
	log_puts(w, w->json ? "}\n" : "\n");
	must(!w->full);
}

void log_init(struct log *log, log_sink_fn sink, void *sink_ctx, log_clock_fn clock,
	      void *clock_ctx)
{
	*log = (struct log){
		.sink = sink,
		.sink_ctx = sink_ctx,
		.clock = clock,
		.clock_ctx = clock_ctx,
		.level = LOG_LEVEL_INFO,
	};
}

void log_write(struct log *log, enum log_level level, const char *message,
	       const struct log_field *fields, size_t field_count)
{
	struct log_writer w;

	if (!log_wants(log, level))
		return;
	w = (struct log_writer){
		.line = log->line,
		.room = LOG_LINE_SIZE - LOG_TAIL_BYTES,
		.json = log->format == LOG_FORMAT_JSON,
	};
	log_put_head(&w, log->clock(log->clock_ctx), level, message);
	for (size_t i = 1; i < field_count; i++)
		if (fields[i].type != LOG_TYPE_NONE)
			log_put_field(&w, &fields[i]);
	log_put_tail(&w);
	log->line_count++;
	log->sink(log->sink_ctx, level, log->line, w.len);
}

static const char *const log_level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

const char *log_level_name(enum log_level level)
{
	return log_level_names[level];
}

int log_level_parse(const char *text, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(log_level_names); i++) {
		if (strcmp(text, log_level_names[i]) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_rate_init(struct log_rate *rate, uint32_t burst, uint64_t period_ns)
{
	*rate = (struct log_rate){ .burst = burst, .period_ns = period_ns };
}

bool log_rate_pass(struct log_rate *rate, uint64_t now_ns, uint64_t *ret_dropped)
{
	/* A clock that was set back starts a period too. */
	if (now_ns < rate->start_ns || now_ns - rate->start_ns >= rate->period_ns) {
		rate->start_ns = now_ns;
		rate->passed = 0;
	}
	if (rate->passed == rate->burst) {
		rate->dropped++;
		rate->dropped_total++;
		return false;
	}
	rate->passed++;
	*ret_dropped = rate->dropped;
	rate->dropped = 0;
	return true;
}
