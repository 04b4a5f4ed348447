// SPDX-License-Identifier: Apache-2.0
/* Files, sockets and worker threads for fibers, on the real io_uring. */
#include "unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "io/addr.h"
#include "io/uring.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "reactor/group.h"

#define MS 1000000ull

struct place {
	struct mem_heap heap;
	char dir[64];
	char words[ERR_WORDS_SIZE];
};

static int place_io_open(void *ctx, unsigned index, struct io **ret, struct err *err)
{
	struct place *place = ctx;

	return uring_open(&place->heap.mem, NULL, ret, err);
}

/* Runs fn as the main fiber; keeps its words. */
static int place_run(struct place *place, unsigned count, fiber_fn fn)
{
	struct err err = { 0 };
	struct group_opts opts = {
		.count = count, .io_open = place_io_open, .io_ctx = place, .mem = &place->heap.mem
	};
	int res = group_run(&opts, fn, place, &err);

	snprintf(place->words, sizeof(place->words), "%s", err.words);
	return res;
}

static int place_init(void **state)
{
	struct place *place = calloc(1, sizeof(*place));

	mem_heap_init(&place->heap);
	strcpy(place->dir, "/tmp/test_fiber_io.XXXXXX");
	if (!mkdtemp(place->dir))
		return -1;
	*state = place;
	return 0;
}

static int place_fini(void **state)
{
	struct place *place = *state;
	char command[128];

	mem_heap_fini(&place->heap);
	snprintf(command, sizeof(command), "rm -rf %s", place->dir);
	int res = system(command);
	free(place);
	return res;
}

static const char *path_of(const struct place *place, const char *name, char path[128])
{
	snprintf(path, 128, "%s/%s", place->dir, name);
	return path;
}

static int uses_a_file(struct fiber *f, void *arg)
{
	struct place *place = arg;
	struct io_file *file;
	struct io_stat st;
	char path[128], buf[16] = "";

	path_of(place, "file", path);
	assert_int_equal(
		fiber_open(f, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, 0600, &file), 0);
	assert_int_equal(fiber_write(f, file, "hello", 5, 3, 0), 0);
	assert_int_equal(fiber_write(f, file, "J", 1, 3, IO_DSYNC), 0);
	assert_int_equal(fiber_fsync(f, file, 0), 0);
	assert_int_equal(fiber_fsync(f, file, IO_DATASYNC), 0);
	assert_int_equal(fiber_read(f, file, buf, sizeof(buf), 3), 5);
	assert_memory_equal(buf, "Jello", 5);
	assert_int_equal(fiber_read_full(f, file, buf, 8, 0), 0);
	assert_memory_equal(buf, "\0\0\0Jello", 8);
	assert_int_equal(fiber_truncate(f, file, 6), 0);
	assert_int_equal(fiber_fstat(f, file, &st), 0);
	assert_int_equal(st.size_bytes, 6);
	assert_int_equal(st.kind, IO_KIND_FILE);
	assert_string_equal(fiber_words(f), "");
	assert_int_equal(fiber_read_full(f, file, buf, 8, 0), -ENODATA);
	assert_string_equal(fiber_words(f), "read of 8 bytes at 0: the file ends after 6");
	fiber_close(f, file);
	return 0;
}

static void a_file_is_written_and_read(void **state)
{
	assert_int_equal(place_run(*state, 1, uses_a_file), 0);
}

static int count_entry(void *ctx, const char *name, enum io_kind kind)
{
	return ++*(int *)ctx == 3 ? 77 : 0;
}

static int uses_paths(struct fiber *f, void *arg)
{
	struct place *place = arg;
	struct io_stat st;
	char a[128], b[128], *text = NULL;
	size_t len;
	int count = 0;

	path_of(place, "a", a);
	path_of(place, "b", b);
	assert_int_equal(fiber_mkdir(f, a, 0700), 0);
	assert_int_equal(fiber_rename(f, a, b), 0);
	assert_int_equal(fiber_stat(f, b, &st), 0);
	assert_int_equal(st.kind, IO_KIND_DIR);
	assert_int_equal(fiber_sync_dir(f, place->dir), 0);
	assert_int_equal(fiber_unlink(f, b), 0);

	assert_int_equal(fiber_write_file(f, a, "one", 3, 0600), 0);
	assert_int_equal(fiber_write_file(f, a, "three", 5, 0600), 0);
	assert_int_equal(fiber_write_file(f, b, "", 0, 0600), 0);
	assert_int_equal(fiber_read_file(f, a, 5, &text, &len), 0);
	assert_int_equal(len, 5);
	assert_string_equal(text, "three");
	mem_free(text);
	assert_int_equal(fiber_read_file(f, b, 100, &text, &len), 0);
	assert_string_equal(text, "");
	mem_free(text);
	assert_int_equal(fiber_read_file(f, "/proc/self/comm", 100, &text, &len), 0);
	assert_int_equal(text[len - 1], '\n');
	mem_free(text);
	assert_int_equal(fiber_list(f, place->dir, count_entry, &count), 0);
	assert_int_equal(count, 2); /* nothing is left beside them */
	assert_int_equal(fiber_write_file(f, path_of(place, "c", b), "", 0, 0600), 0);
	count = 0;
	assert_int_equal(fiber_list(f, place->dir, count_entry, &count), 77);
	return 0;
}

static void paths_are_made_renamed_listed_and_removed(void **state)
{
	assert_int_equal(place_run(*state, 1, uses_paths), 0);
}

static void expect(struct fiber *f, int got, int code, const char *words)
{
	assert_int_equal(got, code);
	if (!strstr(fiber_words(f), words))
		print_message("# got: %s\n", fiber_words(f));
	assert_non_null(strstr(fiber_words(f), words));
	fiber_clear(f);
}

static int fails_on_files(struct fiber *f, void *arg)
{
	struct io_file *file;
	struct io_stat st;
	char *text, buf[4];
	size_t len;

	expect(f, fiber_open(f, "/no/such", IO_OPEN_READ, 0, &file), -ENOENT,
	       "open '/no/such': No such file or directory");
	expect(f, fiber_stat(f, "/no/such", &st), -ENOENT, "stat '/no/such': ");
	expect(f, fiber_list(f, "/no/such", count_entry, NULL), -ENOENT, "list '/no/such': ");
	expect(f, fiber_unlink(f, "/no/such"), -ENOENT, "unlink '/no/such': ");
	expect(f, fiber_mkdir(f, "/no/such", 0700), -ENOENT, "mkdir '/no/such': ");
	expect(f, fiber_rename(f, "/no/such", "/no/other"), -ENOENT,
	       "rename '/no/such' to '/no/other': ");
	expect(f, fiber_sync_dir(f, "/no/such"), -ENOENT, "open '/no/such': ");
	expect(f, fiber_write_file(f, "/no/such", "x", 1, 0600), -ENOENT, "open '/no/such.new': ");
	expect(f, fiber_read_file(f, "/no/such", 10, &text, &len), -ENOENT, "open '/no/such': ");
	expect(f, fiber_read_file(f, "/etc/passwd", 10, &text, &len), -EFBIG,
	       "expected at most 10");
	expect(f, fiber_read_file(f, "/proc/self/status", 10, &text, &len), -EFBIG,
	       "longer than 10 bytes");
	expect(f, fiber_read_file(f, "/tmp", 1 << 20, &text, &len), -EISDIR, "Is a directory");
	assert_int_equal(fiber_open(f, "/dev/null", IO_OPEN_READ, 0, &file), 0);
	expect(f, fiber_write(f, file, "x", 1, 4096, 0), -EBADF, "write of 1 bytes at 4096: ");
	expect(f, fiber_truncate(f, file, 5), -EINVAL, "truncate to 5 bytes: ");
	fiber_close(f, file);
	assert_int_equal(fiber_open(f, "/tmp", IO_OPEN_READ | IO_OPEN_DIR, 0, &file), 0);
	expect(f, (int)fiber_read(f, file, buf, 4, 0), -EISDIR, "read of 4 bytes at 0: ");
	expect(f, fiber_read_full(f, file, buf, 4, 0), -EISDIR, "read of 4 bytes at 0: ");
	fiber_close(f, file);
	return 0;
}

static void failures_name_the_operation_and_the_path(void **state)
{
	assert_int_equal(place_run(*state, 1, fails_on_files), 0);
}

static int writes_under_pressure(struct fiber *f, void *arg)
{
	struct place *place = arg;
	char path[128], *text;
	size_t len;

	path_of(place, "file", path);
	for (uint64_t n = 1; n <= 2; n++) {
		place->heap.fail_at = place->heap.allocs + n;
		expect(f, fiber_write_file(f, path, "x", 1, 0600), -ENOMEM, "out of memory");
	}
	place->heap.fail_at = 0;
	assert_int_equal(fiber_write_file(f, path, "x", 1, 0600), 0);
	for (uint64_t n = 1; n < 20; n++) {
		place->heap.fail_at = place->heap.allocs + n;
		int res = fiber_read_file(f, path, 10, &text, &len);
		if (res == 0) {
			mem_free(text);
			place->heap.fail_at = 0;
			return n > 1 ? 0 : -EINVAL;
		}
		assert_int_equal(res, -ENOMEM);
		fiber_clear(f);
	}
	return -EINVAL;
}

static void failed_allocations_are_worded_errors(void **state)
{
	assert_int_equal(place_run(*state, 1, writes_under_pressure), 0);
}

/* ---- streams -------------------------------------------------------------- */

struct door {
	struct io_sock *accepted;
	struct fiber *waiter;
};

static void door_accepted(void *ctx, int res, struct io_sock *sock)
{
	struct door *door = ctx;

	assert_int_equal(res, 0);
	door->accepted = sock;
}

static int talks(struct fiber *f, void *arg)
{
	struct io_addr addr, found[4];
	struct io_listener *listener;
	struct door door = { 0 };
	struct io_sock *sock;
	char buf[8] = "";
	uint32_t count = 0;
	struct io_sock_opts opts = { 0 };

	assert_int_equal(io_addr_parse("127.0.0.1:0", &addr, NULL), 0);
	assert_int_equal(
		io_listen(fiber_io(f), &addr, &opts, door_accepted, &door, &listener, NULL), 0);
	io_listener_addr(listener, &addr);
	assert_int_equal(fiber_resolve(f, "127.0.0.1", addr.port, found, 4, &count), 0);
	assert_in_range(count, 1, 4);
	assert_int_equal(found[0].port, addr.port);
	assert_int_equal(fiber_connect(f, &addr, &opts, &sock), 0);
	while (!door.accepted)
		assert_int_equal(fiber_sleep(f, MS), 0);
	assert_int_equal(fiber_send(f, sock, "ping", 4), 0);
	assert_int_equal(fiber_recv(f, door.accepted, buf, 4), 4);
	assert_string_equal(buf, "ping");
	io_sock_shutdown(sock);
	assert_int_equal(fiber_recv(f, door.accepted, buf, 4), 0);
	expect(f, fiber_send(f, sock, "x", 1), -EPIPE, "send to 127.0.0.1:");
	io_sock_close(sock);
	io_sock_close(door.accepted);
	io_listener_close(listener);
	expect(f, fiber_connect(f, &addr, &opts, &sock), -ECONNREFUSED, "connect to 127.0.0.1:");
	int res = fiber_resolve(f, "no.such.host.invalid", 1, found, 4, &count);
	assert_true(res < 0);
	expect(f, res, res, "resolve 'no.such.host.invalid': ");
	return 0;
}

static void streams_connect_send_and_receive(void **state)
{
	assert_int_equal(place_run(*state, 1, talks), 0);
}

/* ---- the loop on the real backend ------------------------------------------ */

static int64_t blocks(void *ctx)
{
	usleep(20000);
	return *(int *)ctx + 1;
}

static int works(struct fiber *f, void *arg)
{
	struct io_stats before, after;
	int value = 41;

	assert_int_equal(fiber_work(f, blocks, &value), 42);
	uint64_t began = io_now(fiber_io(f));
	io_stats(fiber_io(f), &before);
	assert_int_equal(fiber_sleep(f, 50 * MS), 0);
	io_stats(fiber_io(f), &after);
	uint64_t slept = io_now(fiber_io(f)) - began;
	assert_in_range(slept, 50 * MS, 1000 * MS);
	assert_in_range(after.turns - before.turns, 1, 10); /* RE4 */
	return 0;
}

static void a_worker_thread_is_waited_for_and_sleep_sleeps(void **state)
{
	assert_int_equal(place_run(*state, 1, works), 0);
}

static int adds_there(struct fiber *f, void *arg)
{
	return (*(int *)arg)++;
}

static int calls_around(struct fiber *f, void *arg)
{
	int count = 0;

	for (unsigned i = 0; i < 900; i++) {
		struct reactor *to = reactor_peer(fiber_reactor(f), i % 3);
		assert_int_equal(fiber_call_on(f, to, "add", adds_there, &count), i);
		if (i % 100 == 0)
			assert_int_equal(fiber_sleep(f, 2 * MS), 0); /* let all fall asleep */
	}
	return count;
}

static void reactors_on_rings_call_and_wake_each_other(void **state)
{
	assert_int_equal(place_run(*state, 3, calls_around), 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_file_is_written_and_read, place_init, place_fini),
		cmocka_unit_test_setup_teardown(paths_are_made_renamed_listed_and_removed,
						place_init, place_fini),
		cmocka_unit_test_setup_teardown(failures_name_the_operation_and_the_path,
						place_init, place_fini),
		cmocka_unit_test_setup_teardown(failed_allocations_are_worded_errors, place_init,
						place_fini),
		cmocka_unit_test_setup_teardown(streams_connect_send_and_receive, place_init,
						place_fini),
		cmocka_unit_test_setup_teardown(a_worker_thread_is_waited_for_and_sleep_sleeps,
						place_init, place_fini),
		cmocka_unit_test_setup_teardown(reactors_on_rings_call_and_wake_each_other,
						place_init, place_fini),
	};

	return cmocka_run_group_tests_name("fiber_io", tests, NULL, NULL);
}
