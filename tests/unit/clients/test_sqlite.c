// SPDX-License-Identifier: Apache-2.0
/* The record store in one SQLite file: the contract, other processes, other people's files. */
#include "clients/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/store/ram_store.h"

static const struct store_driver *const drivers[] = { &sqlite_store_driver, NULL };

struct place {
	struct one one;
	char dir[64], uri[128], path[100];
	int (*body)(struct fiber *f, struct place *p);
};

static int place_main(struct fiber *f, void *arg)
{
	struct place *p = arg;

	return p->body(f, p);
}

/* Worker offload is made on the spot by this io. */
static void place_enter(struct place *p)
{
	one_init(&p->one);
	p->one.fake.completes_all = true;
	assert_int_equal(one_fiber(&p->one, place_main, p, NULL), 0);
	one_fini(&p->one);
}

static void place_run(int (*body)(struct fiber *f, struct place *p))
{
	struct place p = { .dir = "/tmp/test_sqlite.XXXXXX", .body = body };
	char command[100];

	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	snprintf(p.uri, sizeof(p.uri), "sqlite://%s", p.path);
	place_enter(&p);
	snprintf(command, sizeof(command), "rm -rf %s", p.dir);
	assert_int_equal(system(command), 0);
}

static struct store *open_store(struct fiber *f, struct place *p)
{
	struct store *store;

	if (store_open(f, drivers, p->uri, &store) < 0)
		fail_msg("%s", fiber_words(f));
	return store;
}

static int contract(struct fiber *f, struct place *p)
{
	struct store *store = open_store(f, p);

	store_contract(f, store);
	store_close(f, store);
	return 0;
}

static void the_contract_holds(void **state)
{
	(void)state;
	place_run(contract);
}

static int again(struct fiber *f, struct place *p)
{
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));
	struct store *a = open_store(f, p), *b = open_store(f, p);
	uint64_t revision, other;

	/* two connections see and refuse each other's changes */
	assert_int_equal(store_put(f, a, "volume/x", STORE_ABSENT, "a", 1, &revision), 0);
	assert_int_equal(store_put(f, b, "volume/x", STORE_ABSENT, "b", 1, &other), -ESTALE);
	fiber_clear(f);
	assert_int_equal(store_put(f, b, "volume/x", revision, "b", 1, &other), 0);
	assert_int_equal(store_get(f, a, "volume/x", got), 0);
	assert_string_equal(got->value, "b");
	store_close(f, a);
	store_close(f, b);
	/* and the next one finds what they left */
	a = open_store(f, p);
	assert_int_equal(store_get(f, a, "volume/x", got), 0);
	assert_int_equal(got->revision, other);
	store_close(f, a);
	mem_free(got);
	return 0;
}

static void a_file_is_shared_and_outlives_its_users(void **state)
{
	(void)state;
	place_run(again);
}

/* SQ1, as far as it is seen without a power cut: the file says that it has a write-ahead log. */
static int journal(struct fiber *f, struct place *p)
{
	struct store *store = open_store(f, p);
	uint8_t head[20];
	uint64_t revision;

	assert_int_equal(store_put(f, store, "volume/x", STORE_ABSENT, "a", 1, &revision), 0);
	store_close(f, store);
	FILE *file = fopen(p->path, "r");
	assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
	fclose(file);
	assert_true(head[18] == 2 && head[19] == 2);
	return 0;
}

static void its_journal_is_a_write_ahead_log(void **state)
{
	(void)state;
	place_run(journal);
}

/* ---- other processes ---------------------------------------------------------------- */

enum { PROCESSES = 4, ROUNDS = 50 };

/* Adds one to a number, ROUNDS times, by compare-and-swap. */
static int count(struct fiber *f, struct place *p)
{
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));
	struct store *store = open_store(f, p);
	char value[24];
	uint64_t revision;

	for (unsigned done = 0; done < ROUNDS;) {
		int r = store_get(f, store, "count", got);
		unsigned long now = r == 0 ? strtoul(got->value, NULL, 10) : 0;
		int len = snprintf(value, sizeof(value), "%lu", now + 1);

		assert_true(r == 0 || r == -ENOENT);
		r = store_put(f, store, "count", r == 0 ? got->revision : STORE_ABSENT, value,
			      (uint32_t)len, &revision);
		assert_true(r == 0 || r == -ESTALE);
		done += r == 0;
		fiber_clear(f);
	}
	store_close(f, store);
	mem_free(got);
	return 0;
}

static int counted(struct fiber *f, struct place *p)
{
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));
	struct store *store = open_store(f, p);

	assert_int_equal(store_get(f, store, "count", got), 0);
	assert_int_equal(strtoul(got->value, NULL, 10), PROCESSES * ROUNDS);
	store_close(f, store);
	mem_free(got);
	return 0;
}

/* ST1. The children are forked before there is a connection: SQLite wants it so. */
static void no_change_of_another_process_is_lost(void **state)
{
	struct place p = { .dir = "/tmp/test_sqlite.XXXXXX", .body = count };
	char command[100];
	pid_t pid[PROCESSES];
	int status;

	(void)state;
	assert_non_null(mkdtemp(p.dir));
	snprintf(p.path, sizeof(p.path), "%s/store.db", p.dir);
	snprintf(p.uri, sizeof(p.uri), "sqlite://%s?busy_ms=60000", p.path);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			place_enter(&p);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	p.body = counted;
	place_enter(&p);
	snprintf(command, sizeof(command), "rm -rf %s", p.dir);
	assert_int_equal(system(command), 0);
}

static int open_only(struct fiber *f, struct place *p)
{
	store_close(f, open_store(f, p));
	return 0;
}

/* All at the same moment: they wait for the end of the pipe. */
static void processes_open(struct place *p)
{
	pid_t pid[PROCESSES];
	int ends[2], status;
	char byte;

	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			close(ends[1]);
			(void)!read(ends[0], &byte, 1);
			place_enter(p);
			_exit(0);
		}
	}
	close(ends[0]);
	close(ends[1]);
	for (unsigned i = 0; i < PROCESSES; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

/* Who finds the file while another makes a store of it waits (busy_ms). */
static void a_store_may_be_made_by_several_at_once(void **state)
{
	struct place p = { .dir = "/tmp/test_sqlite.XXXXXX", .body = open_only };
	char command[100];

	(void)state;
	assert_non_null(mkdtemp(p.dir));
	for (unsigned round = 0; round < 25; round++) {
		snprintf(p.path, sizeof(p.path), "%s/store-%u.db", p.dir, round);
		snprintf(p.uri, sizeof(p.uri), "sqlite://%s?busy_ms=60000", p.path);
		processes_open(&p);
	}
	snprintf(command, sizeof(command), "rm -rf %s", p.dir);
	assert_int_equal(system(command), 0);
}

/* ---- what is not ours ---------------------------------------------------------------- */

static void refused(struct fiber *f, const char *uri, int code, const char *part)
{
	struct store *store = NULL;

	assert_int_equal(store_open(f, drivers, uri, &store), code);
	if (!strstr(fiber_words(f), part))
		fail_msg("'%s' is not in: %s", part, fiber_words(f));
	fiber_clear(f);
}

static void write_file(const char *path, const char *bytes)
{
	FILE *file = fopen(path, "w");

	fputs(bytes, file);
	fclose(file);
}

static void by_hand(const char *path, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static int foreign(struct fiber *f, struct place *p)
{
	char text[200];
	struct stat before, after;

	refused(f, "sqlite://host/path", -EINVAL, "expected sqlite:///path");
	refused(f, "sqlite:///", -EINVAL, "expected sqlite:///path");
	refused(f, "sqlite:///x?sync=off", -EINVAL, "sync");
	refused(f, "sqlite:///x?busy_ms=600001", -ERANGE, "busy_ms");
	refused(f, "sqlite:///nowhere/at/all.db", -ENOENT, "/nowhere/at/all.db");
	snprintf(text, sizeof(text), "sqlite://%s", p->dir);
	refused(f, text, -ENOENT, p->dir);

	write_file(p->path, "this is a text of more than one hundred bytes, so that it cannot be "
			    "taken for a database that is empty or just being made, can it?\n");
	refused(f, p->uri, -EUCLEAN, "not a database");
	unlink(p->path);

	by_hand(p->path, "CREATE TABLE t (x)");
	stat(p->path, &before);
	refused(f, p->uri, -EUCLEAN, "another application");
	stat(p->path, &after);
	assert_int_equal(before.st_size, after.st_size);
	unlink(p->path);

	store_close(f, open_store(f, p));
	by_hand(p->path, "PRAGMA user_version = 2");
	refused(f, p->uri, -EUCLEAN, "layout 2, this program knows 1");
	return 0;
}

static void what_is_no_store_is_named_and_left_alone(void **state)
{
	(void)state;
	place_run(foreign);
}

static int damaged(struct fiber *f, struct place *p)
{
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));
	struct store *store = open_store(f, p);
	uint64_t revision;

	by_hand(p->path, "INSERT INTO record VALUES ('big', zeroblob(20000), 7);"
			 "INSERT INTO record VALUES ('minus', x'00', -1);");
	assert_int_equal(store_get(f, store, "big", got), -EUCLEAN);
	fiber_clear(f);
	assert_int_equal(store_get(f, store, "minus", got), -EUCLEAN);
	fiber_clear(f);
	assert_int_equal(store_put(f, store, "minus", STORE_ABSENT, "x", 1, &revision), -EUCLEAN);
	fiber_clear(f);
	/* nothing is left begun */
	assert_int_equal(store_put(f, store, "fine", STORE_ABSENT, "x", 1, &revision), 0);
	store_close(f, store);
	mem_free(got);
	return 0;
}

static void a_damaged_record_is_told_and_the_rest_works(void **state)
{
	(void)state;
	place_run(damaged);
}

/* Somebody holds the file: we wait so long, and no longer. */
static int held(struct fiber *f, struct place *p)
{
	struct store *store;
	uint64_t revision;
	sqlite3 *other;

	strcat(p->uri, "?busy_ms=20");
	store = open_store(f, p);
	assert_int_equal(sqlite3_open(p->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(store_put(f, store, "a", STORE_ABSENT, "x", 1, &revision), -EBUSY);
	assert_non_null(strstr(fiber_words(f), "locked"));
	fiber_clear(f);
	assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(other);
	assert_int_equal(store_put(f, store, "a", STORE_ABSENT, "x", 1, &revision), 0);
	store_close(f, store);
	return 0;
}

static void a_store_held_by_another_is_busy(void **state)
{
	(void)state;
	place_run(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_contract_holds),
		cmocka_unit_test(its_journal_is_a_write_ahead_log),
		cmocka_unit_test(a_file_is_shared_and_outlives_its_users),
		cmocka_unit_test(no_change_of_another_process_is_lost),
		cmocka_unit_test(a_store_may_be_made_by_several_at_once),
		cmocka_unit_test(what_is_no_store_is_named_and_left_alone),
		cmocka_unit_test(a_damaged_record_is_told_and_the_rest_works),
		cmocka_unit_test(a_store_held_by_another_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
