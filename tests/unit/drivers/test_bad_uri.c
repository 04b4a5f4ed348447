// SPDX-License-Identifier: Apache-2.0
/* Wrong URIs: each is refused with one line that names the part that is wrong. */
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"

#define M "malloc:///m?size_mb=1"

struct bad_uri {
	const char *uri;	/* %s: the directory */
	int code;
	const char *words;	/* part of the line */
};

static const struct bad_uri bad_uris[] = {
	/* the text */
	{"/dev/sda", -EINVAL, "no scheme; a file is written file:///dev/sda"},
	{"flie:///x", -EINVAL, "no driver for 'flie:'; there are: file, malloc"},
	{"malloc:///m?size_mb=1#x", -EINVAL, "'#' must be written"},
	{"delay:///d?on=delay:///d?on=delay:///d?on=delay:///d?on=delay:///d?on=delay:///d?"
	 "on=delay:///d?on=delay:///d?on=delay:///d?on=" M, -E2BIG, "nested deeper than 8"},

	/* malloc, null */
	{"malloc:///m", -EINVAL, "none of 'size_mb', 'size' and 'num_blocks'"},
	{"malloc:///m?size_mb=1&size=1m", -EINVAL, "more than one of 'size_mb'"},
	{"malloc:///m?size_mb=x", -EINVAL, "'size_mb' is 'x', expected a number"},
	{"malloc:///m?size_mb=0", -ERANGE, "'size_mb' is '0', expected a number 1.."},
	{"malloc:///m?size_mb=-1", -EINVAL, "'size_mb' is '-1'"},
	{"malloc:///m?size_mb=18446744073709551616", -ERANGE, "'size_mb' is '18446744073709551616'"},
	{"malloc:///m?size_mb=17592186044416", -ERANGE, "'size_mb' is '17592186044416'"},
	{"malloc:///m?num_blocks=18446744073709551615", -ERANGE, "'num_blocks'"},
	{"malloc:///m?size=1000", -EINVAL, "'size' is 1000, expected a multiple of blk_size 512"},
	{"malloc:///m?size=100", -ERANGE, "'size' is '100', expected a size 512.."},
	{"malloc:///m?size_mb=1&blk_size=513", -EINVAL, "'blk_size' is 513, expected a power of two"},
	{"malloc:///m?size_mb=1&blk_size=256", -ERANGE, "'blk_size' is '256', expected a number 512..65536"},
	{"malloc:///m?size_mb=1&colour=red", -EINVAL, "unknown parameter 'colour', known are: size_mb"},
	{"malloc:///m?size_mb=1&size_mb=2", -EINVAL, "'size_mb' is given twice"},
	{"malloc:?size_mb=1", -EINVAL, "malloc: no name"},
	{"null:///n?size=2000000t", -ERANGE, "'size' is '2000000t'"},
	{"null:///n?size_mb=1&uuid=xyz", -EINVAL, "'uuid' is not a UUID"},

	/* file */
	{"file:///nonexistent/disk", -ENOENT, "/nonexistent/disk"},
	{"file:///nonexistent/disk?size=1m", -ENOENT, "/nonexistent/disk"},
	{"file://%s", -EISDIR, "is a directory"},
	{"file:///", -EINVAL, "file: no path"},
	{"file://host/x", -EINVAL, "file: host 'host', expected none"},
	{"aio:///dev/null", -EINVAL, "/dev/null: is neither a file nor a block device"},
	{"file://%s/empty", -EINVAL, "empty: is empty"},
	{"file://%s/odd", -EINVAL, "odd: its size, 1000, is not a multiple of blk_size 512"},
	{"file://%s/odd?direct=off", -EINVAL, "odd: its size, 1000, is not a multiple"},
	{"file://%s/mb?blk_size=1000", -EINVAL, "'blk_size' is 1000, expected a power of two"},
	{"file://%s/mb?direct=maybe", -EINVAL, "'direct' is 'maybe', expected auto, on or off"},
	{"file://%s/mb?fua=never", -EINVAL, "'fua' is 'never', expected dsync, flush"},
	{"file://%s/mb?size=9000000000000000000", -ERANGE, "'size' is '9000000000000000000'"},
	{"file://%s/mb?read_only=2", -EINVAL, "'read_only' is '2', expected true or false"},
	{"file://%s/mb?read_only=yes&size=2m", -EROFS, "mb: is read-only and smaller"},
	{"file://%s/mb/x", -ENOTDIR, "mb/x"},

	/* delay, rate, fault */
	{"delay:///d", -ENOENT, "delay: parameter 'on' is missing"},
	{"delay:///d?on=disk", -EINVAL, "'on' is 'disk', expected a URI"},
	{"delay:///d?ns=60000000001&on=" M, -ERANGE, "'ns' is '60000000001', expected a number 0..60000000000"},
	{"delay:///d?jitter_ns=1s&on=" M, -EINVAL, "'jitter_ns' is '1s'"},
	{"delay:///d?on=malloc:///m?size_mb=x", -EINVAL, "malloc: parameter 'size_mb' is 'x'"},
	{"delay:///d?on=file:///nonexistent", -ENOENT, "/nonexistent"},
	{"delay:///d?on=delay:///d?on=" M, -ELOOP, "would stand on itself"},
	{"rate:///r?on=" M, -EINVAL, "neither 'iops' nor 'mb_s'"},
	{"rate:///r?iops=0&on=" M, -ERANGE, "'iops' is '0'"},
	{"rate:///r?iops=1000000001&on=" M, -ERANGE, "'iops' is '1000000001'"},
	{"rate:///r?iops=9&latency_ns=99999999999&on=" M, -ERANGE, "'latency_ns'"},
	{"fault:///f?rule=wirte&on=" M, -EINVAL, "rule 'wirte': cannot understand 'wirte'"},
	{"fault:///f?rule=read,nth:x&on=" M, -EINVAL, "rule 'read,nth:x': cannot understand 'nth:x'"},
	{"fault:///f?rule=write,corrupt&on=" M, -EINVAL, "only reads can be corrupted"},
	{"fault:///f?rule=write", -ENOENT, "fault: parameter 'on' is missing"},

	/* part */
	{"part:///p?offset_mb=1&on=" M, -EINVAL, "offset is block 2048, but malloc:///m has only 2048"},
	{"part:///p?size_mb=2&on=" M, -EINVAL, "size is 4096 blocks from block 0 on, but malloc:///m ends at 2048"},
	{"part:///p?offset_blocks=1&size_mb=1&on=" M, -EINVAL, "size is 2048 blocks from block 1 on"},
	{"part:///p?num_blocks=0&on=" M, -EINVAL, "size is 0"},
	{"part:///p?size_mb=1&num_blocks=1&on=" M, -EINVAL, "both 'size_mb' and 'num_blocks'"},
	{"part:///p?offset_blocks=99999999999999999999&on=" M, -ERANGE, "'offset_blocks'"},

	/* concat */
	{"concat:///c", -EINVAL, "0 parameters 'on', expected 1..64"},
	{"concat:?on=" M, -EINVAL, "concat: no name"},
	{"concat:///c?on=malloc%%3A///a?size_mb=1&on=malloc:///b?size_mb=1&blk_size=4096", -EINVAL,
	 "member 2, malloc:///b, has blocks of 4096, those before it of 512"},
	{"concat:///c?on=malloc%%3A///m?size_mb=1&on=" M, -EINVAL, "members 1 and 2 are both malloc:///m"},
	{"concat:///c?on=malloc%%3A///m?size_mb=1&on=malloc:///m?num_blocks=2048", -EEXIST,
	 "malloc:///m is already open with another"},
	{"concat:///c?on=x&on=" M, -EINVAL, "'on' number 1 is not a URI"},
	{"concat:///c?on=null%%3A///a?size_mb=1&on=delay%%3A///d?on=null:///b?size_mb=1&on=null:///x?size=0",
	 -ERANGE, "null: parameter 'size' is '0'"},
};

RIG_TEST(each_is_refused_with_one_line_that_names_the_part)
{
	assert_true(ARRAY_LEN(bad_uris) >= 30);
	rig_file(rig, "empty", 0);
	rig_file(rig, "odd", 1000);
	rig_file(rig, "mb", 1 << 20);
	for (unsigned i = 0; i < ARRAY_LEN(bad_uris); i++) {
		const struct bad_uri *bad = &bad_uris[i];
		const char *hole = strstr(bad->uri, "%s");
		char uri[1024];

		if (hole)
			snprintf(uri, sizeof(uri), "%.*s%s%s", (int)(hole - bad->uri), bad->uri, rig->dir,
				 hole + 2);
		else
			snprintf(uri, sizeof(uri), "%s", bad->uri);
		for (char *p = strstr(uri, "%%"); p; p = strstr(p, "%%"))
			memmove(p, p + 1, strlen(p));
		rig_refused(f, uri, bad->code, bad->words);
	}
}

RIG_TEST(the_same_name_with_other_parameters_is_refused)
{
	struct bdev *bdev = rig_open(f, "malloc:///m?size_mb=1");

	(void)rig;
	rig_refused(f, "malloc:///m?size_mb=2", -EEXIST, "malloc:///m");
	bdev_close(f, bdev);
}

RIG_TEST(what_somebody_writes_to_is_not_taken_from_him)
{
	struct bdev *bdev = rig_open(f, "delay:///d?on=" M);

	(void)rig;
	rig_refused(f, "part:///p?on=" M, -EBUSY, "malloc:///m is claimed for writing by delay:///d");
	bdev_close(f, bdev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_refused_with_one_line_that_names_the_part),
		cmocka_unit_test(the_same_name_with_other_parameters_is_refused),
		cmocka_unit_test(what_somebody_writes_to_is_not_taken_from_him),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
