// SPDX-License-Identifier: Apache-2.0
/*
 * sqlite - a record store in one SQLite file.
 *
 *	record (key TEXT PRIMARY KEY, value BLOB, revision INTEGER)
 *	counter (revision INTEGER)	one row: the newest revision ever given (ST3)
 *
 * The file says who it is by its application id and, for the layout, its user version: another
 * application's database is refused, and so is a newer layout.
 *
 * SQLite blocks, so every call is made on a worker thread. store.c makes one call at a time
 * (SC1): the connection and its statements are never used by two threads at once.
 *
 * SQ1. Journal in WAL, synchronous FULL: a commit is on the disk when it returns (ST2).
 * SQ2. A change reads, compares and writes in one transaction that is begun IMMEDIATE: no
 *      other process writes between (ST1).
 * SQ3. Whatever fails inside is rolled back. If the commit itself fails, so that nothing may be
 *      said of it, the answer is -EIO (ST4).
 */
#include "clients/sqlite.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/uri.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

#define SQLITE_APPLICATION_ID 0x6d617973 /* "mays" */
#define SQLITE_LAYOUT	      1
#define BUSY_MS_DEFAULT	      5000u
#define BUSY_MS_MAX	      600000u
#define BUSY_STEP_MS	      10

enum statement { BEGIN, COMMIT, ROLLBACK, GET, NEXT, COUNT_UP, COUNTER, PUT, DEL, STATEMENTS };

static const char *const statement_text[STATEMENTS] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[GET] = "SELECT key, revision, value FROM record WHERE key = ?1",
	[NEXT] = "SELECT key, revision, value FROM record WHERE key > ?1 AND key >= ?2 "
		 "AND substr(key, 1, length(?2)) = ?2 ORDER BY key LIMIT 1",
	[COUNT_UP] = "UPDATE counter SET revision = revision + 1",
	[COUNTER] = "SELECT '', revision, x'' FROM counter",
	[PUT] = "INSERT OR REPLACE INTO record (key, revision, value) "
		"VALUES (?1, (SELECT revision FROM counter), ?2)",
	[DEL] = "DELETE FROM record WHERE key = ?1",
};

struct sqlite_store {
	struct store store;
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	uint32_t busy_ms;
	char path[256];
};

/* A call as the worker sees it: no fiber, so the words are carried here. */
struct sqlite_call {
	struct sqlite_store *s;
	const char *key, *after;
	uint64_t expected;
	const void *value;
	uint32_t len;
	uint64_t revision;
	struct store_record *ret;
	struct err err;
};

static struct sqlite_store *sqlite_of(struct store *store)
{
	return container_of(store, struct sqlite_store, store);
}

/* ---- errors ------------------------------------------------------------------ */

static int sqlite_error(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
	case SQLITE_SCHEMA:
		return -EUCLEAN;
	default:
		return -EIO;
	}
}

/* Worker. */
static int sqlite_fail(struct sqlite_call *call, const char *what)
{
	struct sqlite_store *s = call->s;

	return err_fail(&call->err, sqlite_error(sqlite3_extended_errcode(s->db)),
			"store '%s': %s: %s", s->path, what, sqlite3_errmsg(s->db));
}

/* ---- statements (worker) ----------------------------------------------------- */

/* SQLITE_DONE or SQLITE_ROW are fine; the row stays until sqlite_reset(). */
static int sqlite_step(struct sqlite_store *s, enum statement i)
{
	return sqlite3_step(s->statement[i]);
}

static void sqlite_reset(struct sqlite_store *s, enum statement i)
{
	sqlite3_reset(s->statement[i]);
	sqlite3_clear_bindings(s->statement[i]);
}

static int sqlite_run(struct sqlite_call *call, enum statement i)
{
	int r = sqlite_step(call->s, i) == SQLITE_DONE ? 0 : sqlite_fail(call, statement_text[i]);

	sqlite_reset(call->s, i);
	return r;
}

static void bind_text(struct sqlite_store *s, enum statement i, int column, const char *text)
{
	sqlite3_bind_text(s->statement[i], column, text, -1, SQLITE_STATIC);
}

/* The row of GET, NEXT or COUNTER. -ENOENT: none. */
static int sqlite_row(struct sqlite_call *call, enum statement i, struct store_record *ret)
{
	sqlite3_stmt *st = call->s->statement[i];
	int r = 0, came = sqlite_step(call->s, i);

	if (came == SQLITE_DONE) {
		r = -ENOENT;
	} else if (came != SQLITE_ROW) {
		r = sqlite_fail(call, "read");
	} else if (sqlite3_column_bytes(st, 0) > (int)STORE_KEY_MAX ||
		   sqlite3_column_bytes(st, 2) > (int)STORE_VALUE_MAX ||
		   sqlite3_column_int64(st, 1) <= 0) {
		r = err_fail(&call->err, -EUCLEAN, "store '%s': a record is not one of ours",
			     call->s->path);
	} else {
		ret->len = (uint32_t)sqlite3_column_bytes(st, 2);
		ret->revision = (uint64_t)sqlite3_column_int64(st, 1);
		snprintf(ret->key, sizeof(ret->key), "%s",
			 (const char *)sqlite3_column_text(st, 0));
		if (ret->len > 0)
			memcpy(ret->value, sqlite3_column_blob(st, 2), ret->len);
		ret->value[ret->len] = 0;
	}
	sqlite_reset(call->s, i);
	return r;
}

static int64_t sqlite_get_work(void *ctx)
{
	struct sqlite_call *call = ctx;

	bind_text(call->s, GET, 1, call->key);
	return sqlite_row(call, GET, call->ret);
}

static int64_t sqlite_next_work(void *ctx)
{
	struct sqlite_call *call = ctx;

	bind_text(call->s, NEXT, 1, call->after);
	bind_text(call->s, NEXT, 2, call->key);
	return sqlite_row(call, NEXT, call->ret);
}

/* ---- changes (worker) -------------------------------------------------------- */

/* In the transaction: is the revision the one expected? */
static int sqlite_compare(struct sqlite_call *call)
{
	int r;

	bind_text(call->s, GET, 1, call->key);
	r = sqlite_row(call, GET, call->ret);
	if (r < 0 && r != -ENOENT)
		return r;
	uint64_t revision = r == 0 ? call->ret->revision : STORE_ABSENT;
	if (revision == call->expected)
		return 0;
	return err_fail(&call->err, -ESTALE,
			"store '%s': '%s' has revision %llu, not the expected %llu", call->s->path,
			call->key, (unsigned long long)revision,
			(unsigned long long)call->expected);
}

static int sqlite_write(struct sqlite_call *call)
{
	int r = sqlite_run(call, COUNT_UP);

	if (r < 0)
		return r;
	if (!call->value) {
		bind_text(call->s, DEL, 1, call->key);
		return sqlite_run(call, DEL);
	}
	bind_text(call->s, PUT, 1, call->key);
	sqlite3_bind_blob(call->s->statement[PUT], 2, call->value, (int)call->len, SQLITE_STATIC);
	r = sqlite_run(call, PUT);
	if (r == 0)
		r = sqlite_row(call, COUNTER, call->ret);
	if (r == 0)
		call->revision = call->ret->revision;
	return r;
}

/* SQ2, SQ3. value NULL: deletes. */
static int64_t sqlite_change_work(void *ctx)
{
	struct sqlite_call *call = ctx;
	int r = sqlite_run(call, BEGIN);

	if (r < 0)
		return r;
	r = sqlite_compare(call);
	if (r == 0)
		r = sqlite_write(call);
	if (r == 0) {
		r = sqlite_run(call, COMMIT);
		if (r == -EUCLEAN || r == -ENOENT)
			r = -EIO;
	}
	if (r < 0 && !sqlite3_get_autocommit(call->s->db)) {
		sqlite_step(call->s, ROLLBACK);
		sqlite_reset(call->s, ROLLBACK);
	}
	return r;
}

/* ---- open and close (worker) -------------------------------------------------- */

static int sqlite_exec(struct sqlite_call *call, const char *text)
{
	return sqlite3_exec(call->s->db, text, NULL, NULL, NULL) == SQLITE_OK ?
		       0 :
		       sqlite_fail(call, "open");
}

static int sqlite_pragma(struct sqlite_call *call, const char *text, int64_t *ret)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(call->s->db, text, -1, &st, NULL) != SQLITE_OK)
		return sqlite_fail(call, "open");
	int r = sqlite3_step(st) == SQLITE_ROW ? 0 : sqlite_fail(call, "open");
	*ret = r == 0 ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_finalize(st);
	return r;
}

/* An empty file becomes a store; two processes may try at once. */
static int sqlite_layout(struct sqlite_call *call)
{
	int64_t id, layout, tables;
	char text[600];
	int r = sqlite_pragma(call, "PRAGMA application_id", &id);

	if (r == 0)
		r = sqlite_pragma(call, "PRAGMA user_version", &layout);
	if (r == 0)
		r = sqlite_pragma(call, "SELECT count(*) FROM sqlite_master", &tables);
	if (r < 0)
		return r;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (id == SQLITE_APPLICATION_ID && layout == SQLITE_LAYOUT)
		return 0;
	if (id == SQLITE_APPLICATION_ID)
		return err_fail(&call->err, -EUCLEAN,
				"store '%s': layout %lld, this program knows %d", call->s->path,
				(long long)layout, SQLITE_LAYOUT);
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): a failure is < 0 */
	if (id != 0 || tables != 0)
		return err_fail(&call->err, -EUCLEAN,
				"store '%s': a database of another application", call->s->path);
	snprintf(text, sizeof(text),
		 "CREATE TABLE record (key TEXT PRIMARY KEY, value BLOB NOT NULL, "
		 "revision INTEGER NOT NULL) WITHOUT ROWID;"
		 "CREATE TABLE counter (revision INTEGER NOT NULL);"
		 "INSERT INTO counter VALUES (0);"
		 "PRAGMA application_id = %d; PRAGMA user_version = %d;",
		 SQLITE_APPLICATION_ID, SQLITE_LAYOUT);
	return sqlite_exec(call, text);
}

/*
 * SQ1. The change of journal wants the file for itself, and SQLite's own time-out does not hold for
 * that: several processes that make a store of a file at once wait for each other here.
 */
static int sqlite_journal(struct sqlite_call *call)
{
	int64_t dummy;
	int r;

	for (uint32_t waited = 0;; waited += BUSY_STEP_MS) {
		r = sqlite_pragma(call, "PRAGMA journal_mode = WAL", &dummy);
		if (r != -EBUSY || waited >= call->s->busy_ms)
			return r;
		err_clear(&call->err);
		sqlite3_sleep(BUSY_STEP_MS);
	}
}

static int sqlite_set_up(struct sqlite_call *call)
{
	struct sqlite_store *s = call->s;
	int r;

	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, (int)s->busy_ms);
	r = sqlite_journal(call);
	if (r == 0)
		r = sqlite_exec(call, "PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
	if (r < 0)
		return r;
	r = sqlite_layout(call);
	if (r < 0) {
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		return r;
	}
	return sqlite_exec(call, "COMMIT");
}

static int64_t sqlite_close_work(void *ctx)
{
	struct sqlite_call *call = ctx;

	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(call->s->statement[i]);
	sqlite3_close(call->s->db);
	return 0;
}

static int64_t sqlite_open_work(void *ctx)
{
	struct sqlite_call *call = ctx;
	struct sqlite_store *s = call->s;
	int r = 0;

	if (sqlite3_open_v2(s->path, &s->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX,
			    NULL) != SQLITE_OK)
		r = s->db ? sqlite_fail(call, "open") : -ENOMEM;
	if (r == 0)
		r = sqlite_set_up(call);
	for (unsigned i = 0; r == 0 && i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(s->db, statement_text[i], -1, SQLITE_PREPARE_PERSISTENT,
				       &s->statement[i], NULL) != SQLITE_OK)
			r = sqlite_fail(call, "open");
	if (r < 0)
		sqlite_close_work(call);
	return r;
}

/* ---- the driver's table (fibers) ---------------------------------------------- */

static int sqlite_call(struct fiber *f, struct sqlite_call *call, int64_t (*fn)(void *ctx))
{
	int r = (int)fiber_work(f, fn, call);

	if (r < 0 && call->err.code < 0)
		fiber_fail(f, r, "%s", err_words(&call->err));
	return r;
}

static int sqlite_get(struct fiber *f, struct store *store, const char *key,
		      struct store_record *ret)
{
	struct sqlite_call call = { .s = sqlite_of(store), .key = key, .ret = ret };

	return sqlite_call(f, &call, sqlite_get_work);
}

static int sqlite_next(struct fiber *f, struct store *store, const char *prefix, const char *after,
		       struct store_record *ret)
{
	struct sqlite_call call = {
		.s = sqlite_of(store), .key = prefix, .after = after, .ret = ret
	};

	return sqlite_call(f, &call, sqlite_next_work);
}

static int sqlite_change(struct fiber *f, struct sqlite_call *call)
{
	CLEANUP(cleanup_mem)
	struct store_record *room = mem_new(fiber_io(f), sizeof(*room));

	if (!room)
		return fiber_fail(f, -ENOMEM, "no memory to change a record");
	call->ret = room;
	return sqlite_call(f, call, sqlite_change_work);
}

static int sqlite_put(struct fiber *f, struct store *store, const char *key, uint64_t expected,
		      const void *value, uint32_t len, uint64_t *ret_revision)
{
	struct sqlite_call call = {
		.s = sqlite_of(store),
		.key = key,
		.expected = expected,
		.value = value ? value : "",
		.len = len,
	};
	int r = sqlite_change(f, &call);

	if (r == 0)
		*ret_revision = call.revision;
	return r;
}

static int sqlite_del(struct fiber *f, struct store *store, const char *key, uint64_t expected)
{
	struct sqlite_call call = { .s = sqlite_of(store), .key = key, .expected = expected };

	if (expected == STORE_ABSENT)
		return fiber_fail(f, -EINVAL, "store: '%s' is deleted by its revision", key);
	return sqlite_change(f, &call);
}

static void sqlite_close(struct fiber *f, struct store *store)
{
	struct sqlite_call call = { .s = sqlite_of(store) };

	(void)fiber_work(f, sqlite_close_work, &call);
	mem_free(call.s);
}

static int sqlite_open(struct fiber *f, const struct uri *uri, struct store **ret)
{
	static const char *const params[] = { "busy_ms", NULL };
	uint64_t busy_ms;
	int r = uri_check_params(uri, params, fiber_fail_err(f));

	if (r == 0)
		r = uri_get_u64(uri, "busy_ms", 0, BUSY_MS_MAX, BUSY_MS_DEFAULT, &busy_ms,
				fiber_fail_err(f));
	if (r < 0)
		return r;
	if (uri_host(uri)[0] || strcmp(uri_path(uri), "/") == 0 ||
	    strlen(uri_path(uri)) >= sizeof(((struct sqlite_store *)NULL)->path))
		return fiber_fail(f, -EINVAL,
				  "store: expected sqlite:///path of a file, at most 255 bytes");
	CLEANUP(cleanup_mem) struct sqlite_store *s = mem_new(fiber_io(f), sizeof(*s));
	if (!s)
		return fiber_fail(f, -ENOMEM, "no memory to open a store");
	s->busy_ms = (uint32_t)busy_ms;
	snprintf(s->path, sizeof(s->path), "%s", uri_path(uri));
	struct sqlite_call call = { .s = s };
	r = sqlite_call(f, &call, sqlite_open_work);
	if (r < 0)
		return r;
	*ret = &s->store;
	s = NULL;
	return 0;
}

const struct store_driver sqlite_store_driver = {
	.scheme = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.get = sqlite_get,
	.put = sqlite_put,
	.del = sqlite_del,
	.next = sqlite_next,
};
