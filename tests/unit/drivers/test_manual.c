// SPDX-License-Identifier: Apache-2.0
/* Every driver has a manual page that names each of its parameters. */
#include <stdio.h>

#include "engine/drivers.h"
#include "rig.h"

static void each_driver_is_told_about(void **state)
{
	static char text[65536];

	(void)state;
	for (const struct bdev_driver *const *d = engine_drivers; *d; d++) {
		char want[256];
		size_t len;
		FILE *page;

		assert_true((*d)->help && *(*d)->help);
		snprintf(want, sizeof(want), "%s/%s.md", DOCS_DIR, (*d)->scheme);
		page = fopen(want, "r");
		if (!page)
			fail_msg("no %s", want);
		len = fread(text, 1, sizeof(text) - 1, page);
		fclose(page);
		text[len] = '\0';
		snprintf(want, sizeof(want), "# %s - ", (*d)->scheme);
		if (!strstr(text, want))
			fail_msg("%s has no title '%s'", (*d)->scheme, want);
		for (const struct bdev_param *p = (*d)->params; p && p->name && *p->name; p++) {
			assert_true(p->help && *p->help);
			snprintf(want, sizeof(want), "\n| `%.*s` |", (int)strcspn(p->name, "*"), p->name);
			if (!strstr(text, want))
				fail_msg("%s.md does not tell of '%s'", (*d)->scheme, p->name);
		}
	}
}

static bool manual_has_alias(const struct bdev_driver *driver, const char *scheme)
{
	for (const char *const *a = driver->aliases; a && *a; a++)
		if (strcmp(*a, scheme) == 0)
			return true;
	return strcmp(driver->scheme, scheme) == 0;
}

static void no_two_drivers_answer_to_one_scheme(void **state)
{
	static const char *const schemes[] = {"file", "aio", "uring", "bdev", "malloc", "null",
					      "delay", "rate", "fault", "part", "concat"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(schemes); i++) {
		unsigned count = 0;

		for (const struct bdev_driver *const *d = engine_drivers; *d; d++)
			count += manual_has_alias(*d, schemes[i]);
		assert_int_equal(count, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_driver_is_told_about),
		cmocka_unit_test(no_two_drivers_answer_to_one_scheme),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
