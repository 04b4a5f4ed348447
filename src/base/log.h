// SPDX-License-Identifier: Apache-2.0
/*
 * log - structured log lines with a message and typed fields.
 *
 *	log_info(log, "pool imported", LOG_STR("pool", name), LOG_U64("replicas", n));
 *
 *	2026-11-22T16:00:00.123456Z info "pool imported" pool=p1 replicas=3
 *	{"time":"2026-11-22T16:00:00.123456Z","level":"info","msg":"pool imported",...}
 *
 * G1. A line never exceeds LOG_LINE_SIZE and is always well-formed: fields that do
 *     not fit are left out, and the line says truncated=true.
 * G2. Lines are valid UTF-8 without control characters, whatever the fields hold:
 *     a bad byte becomes U+FFFD.
 * G3. A log has no globals: sink and clock are handed in. One log per reactor (the
 *     line is built in the log itself); sinks that share a file write whole lines.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/lang.h"

#define LOG_LINE_SIZE 2048

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

enum log_format {
	LOG_FORMAT_KEY_VALUE,
	LOG_FORMAT_JSON,
};

/* line has len bytes, ends in '\n' and is borrowed for the call. Must not log. */
typedef void (*log_sink_fn)(void *ctx, enum log_level level, const char *line, size_t len);
/* Wall clock, ns since 1970 UTC. */
typedef uint64_t (*log_clock_fn)(void *ctx);

struct log {
	log_sink_fn sink;
	void *sink_ctx;
	log_clock_fn clock;
	void *clock_ctx;
	enum log_level level; /* the least important that is written */
	enum log_format format;
	uint64_t line_count; /* written so far */
	char line[LOG_LINE_SIZE];
};

enum log_type {
	LOG_TYPE_NONE,
	LOG_TYPE_STR,
	LOG_TYPE_U64,
	LOG_TYPE_I64,
	LOG_TYPE_HEX,
	LOG_TYPE_F64,
	LOG_TYPE_BOOL,
	LOG_TYPE_ERR,
};

struct log_field {
	const char *key; /* letters, digits, '_', '.', '-' */
	enum log_type type;
	union {
		const char *str;
		uint64_t u64;
		int64_t i64;
		double f64;
	};
};

/* (v) NULL prints as "-" (null in JSON). */
#define LOG_STR(k, v)  ((struct log_field){ .key = (k), .type = LOG_TYPE_STR, .str = (v) })
#define LOG_U64(k, v)  ((struct log_field){ .key = (k), .type = LOG_TYPE_U64, .u64 = (v) })
#define LOG_I64(k, v)  ((struct log_field){ .key = (k), .type = LOG_TYPE_I64, .i64 = (v) })
#define LOG_HEX(k, v)  ((struct log_field){ .key = (k), .type = LOG_TYPE_HEX, .u64 = (v) })
#define LOG_F64(k, v)  ((struct log_field){ .key = (k), .type = LOG_TYPE_F64, .f64 = (v) })
#define LOG_BOOL(k, v) ((struct log_field){ .key = (k), .type = LOG_TYPE_BOOL, .u64 = (v) })
/* A negative errno, printed as "ENOSPC". */
#define LOG_ERR(k, v) ((struct log_field){ .key = (k), .type = LOG_TYPE_ERR, .i64 = (v) })

/* sink and clock with their contexts, level INFO, key=value lines. */
void log_init(struct log *log, log_sink_fn sink, void *sink_ctx, log_clock_fn clock,
	      void *clock_ctx);

/* "error", "warn", "info", "debug"; -EINVAL. */
MUST_USE int log_level_parse(const char *text, enum log_level *ret);
const char *log_level_name(enum log_level level);

static inline bool log_wants(const struct log *log, enum log_level level)
{
	return log && log->sink && level <= log->level;
}

/* log: NULL, or one without a sink, is silence. fields[0] is not looked at (it makes the macros below simple). */
void log_write(struct log *log, enum log_level level, const char *message,
	       const struct log_field *fields, size_t field_count);

#define LOG_FIELDS_(...) ((const struct log_field[]){ { 0 }, ##__VA_ARGS__ })
#define log_at(to, level, message, ...)                                           \
	do {                                                                      \
		struct log *log_ = (to);                                          \
		if (log_wants(log_, level))                                       \
			log_write(log_, level, message, LOG_FIELDS_(__VA_ARGS__), \
				  ARRAY_LEN(LOG_FIELDS_(__VA_ARGS__)));           \
	} while (0)

#define log_error(to, ...) log_at(to, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(to, ...)  log_at(to, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(to, ...)  log_at(to, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(to, ...) log_at(to, LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * At most burst lines per period; the first line of a later period says how many
 * were dropped. Lives beside whatever is logged about; no call-site state.
 */
struct log_rate {
	uint64_t period_ns;
	uint32_t burst;
	uint32_t passed;   /* in this period */
	uint64_t start_ns; /* of this period */
	uint64_t dropped;  /* not yet told */
	uint64_t dropped_total;
};

void log_rate_init(struct log_rate *rate, uint32_t burst, uint64_t period_ns);

/* May a line be written now? If so, *ret_dropped were dropped since the last one. */
MUST_USE bool log_rate_pass(struct log_rate *rate, uint64_t now_ns, uint64_t *ret_dropped);

/* As log_at() within a rate; adds the field "dropped" where some were. */
#define log_at_rate(to, rate, level, message, ...)                                     \
	do {                                                                           \
		struct log *rated_ = (to);                                             \
		uint64_t dropped_ = 0;                                                 \
		if (!log_wants(rated_, level) ||                                       \
		    !log_rate_pass(rate, rated_->clock(rated_->clock_ctx), &dropped_)) \
			break;                                                         \
		log_at(rated_, level, message, ##__VA_ARGS__, LOG_DROPPED_(dropped_)); \
	} while (0)

#define LOG_DROPPED_(n)      \
	((struct log_field){ \
		.key = "dropped", .type = (n) ? LOG_TYPE_U64 : LOG_TYPE_NONE, .u64 = (n) })

#endif
