// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_uri - any text is refused with words, or is a URI that prints and parses
 * back to an equal one (invariants U1, U2 of base/uri.h).
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/uri.h"
#include "base/uuid.h"
#include "fuzz.h"

static void check_text(const char *text)
{
	for (; *text; text++)
		must((uint8_t)*text >= 0x20 && *text != 0x7f); /* U1 */
}

/* Every typed question may be asked of any parameter. */
static void ask_param(const struct uri *uri, const char *name)
{
	const char *const allowed[] = { "on*", "ns", name, NULL };
	struct err err = { 0 };
	struct uuid uuid;
	uint64_t u64;
	double f64;
	bool yes;

	if (uri_get_u64(uri, name, 1, 1000, 1, &u64, &err) == 0)
		must(u64 >= 1 && u64 <= 1000);
	else
		must(err.words[0]);
	if (uri_get_size(uri, name, 1, 1000, 1, &u64, &err) == 0)
		must(u64 >= 1 && u64 <= 1000);
	if (uri_get_f64(uri, name, -1, 1, 0, &f64, &err) == 0)
		must(f64 >= -1 && f64 <= 1);
	if (uri_get_bool(uri, name, true, &yes, &err) < 0)
		must(err.words[0]);
	if (uri_uuid(uri, name, &uuid) < 0 || uri_check_params(uri, allowed, &err) < 0)
		return;
}

static void check_equal(const struct uri *a, const struct uri *b)
{
	must(strcmp(uri_print(a), uri_print(b)) == 0);
	must(strcmp(uri_scheme(a), uri_scheme(b)) == 0);
	must(strcmp(uri_host(a), uri_host(b)) == 0);
	must(strcmp(uri_path(a), uri_path(b)) == 0);
	must(uri_port(a) == uri_port(b));
	must(uri_segment_count(a) == uri_segment_count(b));
	for (uint32_t i = 0; i < uri_segment_count(a); i++) {
		must(strcmp(uri_segment(a, i), uri_segment(b, i)) == 0);
		check_text(uri_segment(a, i));
	}
	must(uri_param_count(a) == uri_param_count(b));
	for (uint32_t i = 0; i < uri_param_count(a); i++) {
		const char *name = uri_param_name(a, i);
		const struct uri *child = uri_child(a, name);

		must(strcmp(name, uri_param_name(b, i)) == 0);
		check_text(uri_param_value(a, i));
		ask_param(a, name);
		must(!child == !uri_child(b, name));
		if (child)
			check_equal(child, uri_child(b, name)); /* depth <= URI_DEPTH_MAX */
		else if (uri_name_count(a, name) == 1)
			must(strcmp(uri_param_value(a, i), uri_param_value(b, i)) == 0);
	}
}

static void check_round_trip(struct mem *mem, const struct uri *uri)
{
	struct uri *again = NULL;
	struct err err = { 0 };
	int r = uri_parse(mem, uri_print(uri), &again, &err);

	if (strlen(uri_print(uri)) > URI_TEXT_LEN_MAX) {
		must(r == -ENAMETOOLONG); /* escapes made it longer */
		return;
	}
	must(r == 0); /* U2 */
	check_equal(uri, again);
	uri_free(again);
}

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	struct err err = { 0 };
	struct mem_heap heap;
	struct uri *uri;
	char *text;

	mem_heap_init(&heap);
	text = mem_strndup(&heap.mem, (const char *)data, size);
	must(text);
	if (uri_parse(&heap.mem, text, &uri, &err) == 0) {
		check_round_trip(&heap.mem, uri);
		uri_free(uri);
	} else {
		must(err.code < 0 && err.words[0]);
	}
	mem_free(text);
	mem_heap_fini(&heap);
	return 0;
}
