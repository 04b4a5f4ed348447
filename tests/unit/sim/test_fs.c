/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "unit/sim/bare.h"

#define RW (IO_OPEN_READ | IO_OPEN_WRITE)

static void put_file(struct bare *b, const char *path, const char *text, bool sync)
{
	struct io_file *f = bare_open(b, path, RW | IO_OPEN_CREATE | IO_OPEN_TRUNC);

	assert_int_equal(bare_write(b, f, text, strlen(text), 0, 0), strlen(text));
	if (sync)
		assert_int_equal(bare_sync(b, f), 0);
	bare_close(b, f);
}

static int64_t get_file(struct bare *b, const char *path, char *text, size_t size)
{
	struct io_file *f = bare_open(b, path, IO_OPEN_READ);
	int64_t n = bare_read(b, f, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	bare_close(b, f);
	return n;
}

static void files_and_directories_work(void **state)
{
	char text[100];
	struct bare b;

	bare_start(&b, 1);
	assert_int_equal(bare_path(&b, IO_MKDIR, "/d", NULL), 0);
	assert_int_equal(bare_path(&b, IO_MKDIR, "/d", NULL), -EEXIST);
	assert_int_equal(bare_path(&b, IO_MKDIR, "/x/y", NULL), -ENOENT);
	put_file(&b, "/d/one", "hello", false);
	assert_int_equal(get_file(&b, "/d/one", text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(bare_open_error(&b, "/d/none", IO_OPEN_READ), -ENOENT);
	assert_int_equal(bare_open_error(&b, "/d", IO_OPEN_READ), -EISDIR);
	assert_int_equal(bare_open_error(&b, "/d/one/x", IO_OPEN_READ), -ENOTDIR);
	assert_int_equal(bare_open_error(&b, "/d/one", RW | IO_OPEN_CREATE | IO_OPEN_EXCL),
			 -EEXIST);
	assert_int_equal(bare_path(&b, IO_RENAME, "/d/one", "/d/two"), 0);
	assert_int_equal(bare_path(&b, IO_RENAME, "/d/two", "/two"), -EXDEV);
	assert_false(bare_exists(&b, "/d/one"));
	assert_int_equal(bare_path(&b, IO_UNLINK, "/d", NULL), -ENOTEMPTY);
	assert_int_equal(bare_path(&b, IO_UNLINK, "/d/two", NULL), 0);
	assert_int_equal(bare_path(&b, IO_UNLINK, "/d/two", NULL), -ENOENT);
	assert_int_equal(bare_path(&b, IO_UNLINK, "/d", NULL), 0);
	assert_false(bare_exists(&b, "/d"));
	bare_stop(&b);
}

struct names {
	char text[200];
	unsigned count, stop_at;
};

static int on_name(void *ctx, const char *name, enum io_kind kind)
{
	struct names *names = ctx;

	snprintf(names->text + strlen(names->text), sizeof(names->text) - strlen(names->text),
		 "%s%c", name, kind == IO_KIND_DIR ? '/' : ' ');
	return ++names->count == names->stop_at ? -77 : 0;
}

static void a_listing_is_by_name_and_can_be_ended(void **state)
{
	struct names names = { .text = "" };
	struct io_op op = { 0 };
	struct bare b;

	bare_start(&b, 1);
	put_file(&b, "/c", "", false);
	put_file(&b, "/a", "", false);
	bare_path(&b, IO_MKDIR, "/b", NULL);
	io_prep_list(&op, "/", on_name, &names, NULL);
	assert_int_equal(bare_do(&b, b.io, &op), 0);
	assert_string_equal(names.text, "a b/c ");
	names = (struct names){ .stop_at = 2 };
	assert_int_equal(bare_do(&b, b.io, &op), -77);
	assert_string_equal(names.text, "a b/");
	bare_stop(&b);
}

static void an_unlinked_file_lives_while_it_is_open(void **state)
{
	char buf[4] = "abc";
	struct bare b;

	bare_start(&b, 1);
	struct io_file *f = bare_open(&b, "/f", RW | IO_OPEN_CREATE);
	assert_int_equal(bare_write(&b, f, buf, 4, 0, 0), 4);
	assert_int_equal(bare_path(&b, IO_UNLINK, "/f", NULL), 0);
	assert_int_equal(bare_sync_dir(&b, "/"), 0);
	memset(buf, 0, 4);
	assert_int_equal(bare_read(&b, f, buf, 4, 0), 4);
	assert_string_equal(buf, "abc");
	bare_close(&b, f);
	bare_stop(&b);
}

static void truncation_shrinks_and_grows(void **state)
{
	uint8_t buf[9000];
	struct bare b;

	bare_start(&b, 1);
	struct io_file *f = bare_open(&b, "/f", RW | IO_OPEN_CREATE);
	memset(buf, 1, sizeof(buf));
	assert_int_equal(bare_write(&b, f, buf, 9000, 0, 0), 9000);
	assert_int_equal(bare_range(&b, IO_TRUNCATE, f, 0, 100), 0);
	assert_int_equal(bare_range(&b, IO_TRUNCATE, f, 0, 5000), 0);
	assert_int_equal(bare_read(&b, f, buf, 9000, 0), 5000);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(buf[i], i < 100);
	bare_close(&b, f);
	bare_stop(&b);
}

enum survives { NOT, MAYBE, SURELY };

/* Runs the steps for many seeds, with a power cut at the end; counts what `there` says. */
static void expect(void (*steps)(struct bare *b), bool (*there)(struct bare *b), enum survives want)
{
	unsigned count = 0;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct bare b;
		bare_start(&b, seed);
		steps(&b);
		bare_reboot(&b);
		count += there(&b);
		bare_stop(&b);
	}
	if (want == MAYBE)
		assert_in_range(count, 5, 55);
	else
		assert_int_equal(count, want == SURELY ? 60 : 0);
}

static bool f_exists(struct bare *b)
{
	return bare_exists(b, "/f");
}

static bool f_is_new(struct bare *b)
{
	char text[100];

	get_file(b, "/f", text, sizeof(text));
	assert_true(strcmp(text, "new") == 0 || strcmp(text, "old text") == 0);
	return strcmp(text, "new") == 0;
}

static bool f_has_all_of_new(struct bare *b)
{
	char text[100];

	return bare_exists(b, "/f") && get_file(b, "/f", text, sizeof(text)) == 3 &&
	       strcmp(text, "new") == 0;
}

static void create_only(struct bare *b)
{
	put_file(b, "/f", "new", true);
}

static void create_and_sync_dir(struct bare *b)
{
	put_file(b, "/f", "new", false);
	assert_int_equal(bare_sync_dir(b, "/"), 0);
}

static void create_and_sync_both(struct bare *b)
{
	put_file(b, "/f", "new", true);
	assert_int_equal(bare_sync_dir(b, "/"), 0);
}

static void a_new_file_needs_two_syncs(void **state)
{
	expect(create_only, f_exists, MAYBE);
	expect(create_and_sync_dir, f_exists, SURELY);
	expect(create_and_sync_dir, f_has_all_of_new, MAYBE);
	expect(create_and_sync_both, f_has_all_of_new, SURELY);
}

static void replace(struct bare *b)
{
	put_file(b, "/f", "old text", true);
	assert_int_equal(bare_sync_dir(b, "/"), 0);
	put_file(b, "/f.new", "new", true);
	assert_int_equal(bare_path(b, IO_RENAME, "/f.new", "/f"), 0);
}

static void replace_and_sync(struct bare *b)
{
	replace(b);
	assert_int_equal(bare_sync_dir(b, "/"), 0);
}

static void a_rename_is_whole_and_durable_after_a_sync(void **state)
{
	expect(replace, f_exists, SURELY);
	expect(replace, f_is_new, MAYBE);
	expect(replace_and_sync, f_is_new, SURELY);
}

static void remove_it(struct bare *b)
{
	create_and_sync_both(b);
	assert_int_equal(bare_path(b, IO_UNLINK, "/f", NULL), 0);
}

static void remove_and_sync(struct bare *b)
{
	remove_it(b);
	assert_int_equal(bare_sync_dir(b, "/"), 0);
}

static void an_unlink_is_durable_after_a_sync(void **state)
{
	expect(remove_it, f_exists, MAYBE);
	expect(remove_it, f_has_all_of_new, MAYBE);
	expect(remove_and_sync, f_exists, NOT);
}

static void limits_are_told(void **state)
{
	char path[IO_PATH_MAX + 10];
	struct bare b;

	bare_start(&b, 1);
	memset(path, 'a', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(bare_open_error(&b, path, IO_OPEN_READ), -ENAMETOOLONG);
	path[300] = '\0';
	assert_int_equal(bare_open_error(&b, path, RW | IO_OPEN_CREATE), -ENAMETOOLONG);
	assert_int_equal(bare_open_error(&b, "relative", IO_OPEN_READ), -EINVAL);
	int r = 0;
	for (unsigned i = 0; i <= SIM_DISKS_MAX && r == 0; i++) {
		snprintf(path, sizeof(path), "/d%u", i);
		r = (int)bare_path(&b, IO_MKDIR, path, NULL);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(bare_open_error(&b, "/f", RW | IO_OPEN_CREATE), -ENOSPC);
	bare_stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_and_directories_work),
		cmocka_unit_test(a_listing_is_by_name_and_can_be_ended),
		cmocka_unit_test(an_unlinked_file_lives_while_it_is_open),
		cmocka_unit_test(truncation_shrinks_and_grows),
		cmocka_unit_test(a_new_file_needs_two_syncs),
		cmocka_unit_test(a_rename_is_whole_and_durable_after_a_sync),
		cmocka_unit_test(an_unlink_is_durable_after_a_sync),
		cmocka_unit_test(limits_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
