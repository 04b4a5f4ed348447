// SPDX-License-Identifier: Apache-2.0
/* The record of a volume: text and back, and what is refused. */
#include "store/volume.h"
#include "unit/store/ram_store.h"

#define TEXT                                                                                     \
	"{\"version\":1,\"volume\":\"01020304-0000-4000-8000-000000000001\",\"name\":\"db\","    \
	"\"size_bytes\":1073741824,\"block_size\":512,\"epoch\":7,"                              \
	"\"owner\":\"0a000000-0000-4000-8000-000000000002\",\"clean\":false,\"gen\":[7,2],"      \
	"\"members\":[{\"replica\":\"0b000000-0000-4000-8000-000000000003\","                    \
	"\"uri\":\"pool:///p/r1\",\"state\":\"in-sync\",\"offline\":false,\"reason\":\"\"},"     \
	"{\"replica\":\"0c000000-0000-4000-8000-000000000004\",\"uri\":\"nvmf://b:8420/nqn.x\"," \
	"\"state\":\"out\",\"offline\":true,\"reason\":\"write failed: EIO\"}]}"

/* The bytes, as they are kept: they do not change within a version. */
static void a_record_has_this_text(void **state)
{
	static struct volume_record record;
	char text[STORE_VALUE_MAX + 1];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(volume_decode(TEXT, strlen(TEXT), &record, &err), 0);
	assert_string_equal(record.name, "db");
	assert_int_equal(record.size_bytes, 1 << 30);
	assert_int_equal(record.epoch, 7);
	assert_int_equal(record.gen_n, 2);
	assert_int_equal(record.member_count, 2);
	assert_int_equal(record.members[0].state, VOLUME_IN_SYNC);
	assert_int_equal(record.members[1].state, VOLUME_OUT);
	assert_true(record.members[1].is_offline);
	assert_string_equal(record.members[1].reason, "write failed: EIO");
	assert_int_equal(volume_encode(&record, text, sizeof(text), &err), 0);
	assert_string_equal(text, TEXT);
}

/* Every text that is cut, or has one byte wrong, is refused or a record: nothing in between. */
static void damaged_text_is_refused(void **state)
{
	static struct volume_record record;
	struct err err = { 0 };
	char text[sizeof(TEXT)];
	unsigned taken = 0;

	(void)state;
	for (uint32_t len = 0; len < strlen(TEXT); len++)
		assert_int_equal(volume_decode(TEXT, len, &record, &err), -EUCLEAN);
	for (uint32_t i = 0; i < strlen(TEXT); i++) {
		for (unsigned byte = 0; byte < 256; byte += 5) {
			strcpy(text, TEXT);
			text[i] = (char)byte;
			int r = volume_decode(text, strlen(TEXT), &record, &err);
			assert_true(r == 0 || r == -EUCLEAN);
			if (r == 0)
				assert_int_equal(volume_check(&record, &err), 0);
			taken += r == 0;
		}
	}
	assert_true(taken > 0);
}

static void replaced(const char *what, const char *with, const char *part)
{
	static struct volume_record record;
	static char text[4 * sizeof(TEXT)];
	const char *at = strstr(TEXT, what);
	struct err err = { 0 };

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - TEXT), TEXT, with, at + strlen(what));
	assert_int_equal(volume_decode(text, (uint32_t)strlen(text), &record, &err), -EUCLEAN);
	if (!strstr(err_words(&err), part))
		fail_msg("'%s' is not in: %s", part, err_words(&err));
}

static void what_a_record_cannot_be_is_named(void **state)
{
	(void)state;
	replaced("\"version\":1", "\"version\":3", "version 3");
	replaced("\"version\":1", "\"version\":2", "version 2 with 10 fields");
	replaced("\"clean\":false", "\"clean\":false,\"new\":1", "11 fields, not 1 with 10");
	replaced("\"reason\":\"\"", "\"reason\":\"\",\"x\":1", "as version 1 has them");
	replaced("\"block_size\":512", "\"block_size\":513", "block_size 513");
	replaced("\"size_bytes\":1073741824", "\"size_bytes\":-5", "'size_bytes' is not");
	replaced("\"size_bytes\":1073741824", "\"size_bytes\":1073741825",
		 "not a number of blocks");
	replaced("\"size_bytes\":1073741824", "\"size_bytes\":0", "not a number of blocks");
	replaced("\"epoch\":7", "\"epoch\":281474976710656", "beyond");
	replaced("in-sync", "out", "no member is in sync");
	replaced("in-sync", "fine", "'state' is not in-sync, rebuilding or out");
	replaced("nvmf://b:8420/nqn.x", "pool:///p/r1", "is a member twice");
	replaced("0c000000-0000-4000-8000-000000000004", "0b000000-0000-4000-8000-000000000003",
		 "is a member twice");
	replaced("01020304-0000-4000-8000-000000000001", "00000000-0000-0000-0000-000000000000",
		 "not nil");
	replaced("\"gen\":[7,2]", "\"gen\":[7]", "two numbers");
	replaced("\"name\":\"db\"", "\"name\":\"d\\u0000b\"", "'name' is not");
	replaced("\"clean\":false", "\"clean\":[[[[[0]]]]]", "not one JSON value");
}

/* ---- earlier owners ---------------------------------------------------------------- */

#define OWNER	"0a000000-0000-4000-8000-000000000002"
#define EARLIER "0d000000-0000-4000-8000-000000000005"

/* TEXT of version 2, with such a list; NULL: the very record. */
static int decode_earlier(const char *list, struct volume_record *ret, struct err *err,
			  char text[4 * sizeof(TEXT)])
{
	snprintf(text, 4 * sizeof(TEXT), "{\"version\":2%.*s,\"earlier\":%s}",
		 (int)strlen(TEXT) - 13, &TEXT[12], list);
	return volume_decode(text, (uint32_t)strlen(text), ret, err);
}

static void earlier_refused(const char *list, const char *part)
{
	static struct volume_record record;
	static char text[4 * sizeof(TEXT)];
	struct err err = { 0 };

	assert_int_equal(decode_earlier(list, &record, &err, text), -EUCLEAN);
	if (!strstr(err_words(&err), part))
		fail_msg("'%s' is not in: %s", part, err_words(&err));
}

/* VJ3, VO4. */
static void earlier_owners_are_a_version_of_their_own(void **state)
{
	static struct volume_record record;
	static char text[4 * sizeof(TEXT)], again[STORE_VALUE_MAX + 1];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(decode_earlier("[\"" EARLIER "\"]", &record, &err, text), 0);
	assert_int_equal(record.earlier_count, 1);
	assert_int_equal(record.earlier[0].bytes[0], 0xd);
	assert_int_equal(volume_encode(&record, again, sizeof(again), &err), 0);
	assert_string_equal(again, text);
	record.earlier_count = 0; /* what an older program can read */
	assert_int_equal(volume_encode(&record, again, sizeof(again), &err), 0);
	assert_string_equal(again, TEXT);
	record.earlier_count = 1;
	record.clean = true;
	assert_int_equal(volume_encode(&record, again, sizeof(again), &err), -EINVAL);
	assert_non_null(strstr(err_words(&err), "has no earlier owners"));

	earlier_refused("[]", "'earlier' is not a list of 1 to 4");
	earlier_refused("[7]", "'earlier' is not a uuid");
	earlier_refused("[\"" OWNER "\"]", "cannot be an earlier owner as well");
	earlier_refused("[\"" EARLIER "\",\"" EARLIER "\"]", "cannot be an earlier owner as well");
}

static void there_are_at_most_so_many_earlier_owners(void **state)
{
	static struct volume_record record;
	static char text[STORE_VALUE_MAX + 1];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(volume_decode(TEXT, strlen(TEXT), &record, &err), 0);
	for (unsigned i = 0; i < VOLUME_EARLIER_MAX; i++)
		record.earlier[i].bytes[0] = (uint8_t)(100 + i);
	record.earlier_count = VOLUME_EARLIER_MAX;
	assert_int_equal(volume_encode(&record, text, sizeof(text), &err), 0);
	assert_int_equal(volume_decode(text, (uint32_t)strlen(text), &record, &err), 0);
	assert_int_equal(record.earlier_count, VOLUME_EARLIER_MAX);
	record.earlier_count++;
	assert_int_equal(volume_encode(&record, text, sizeof(text), &err), -EINVAL);
	assert_non_null(strstr(err_words(&err), "at most 4 earlier owners, not 5"));
	earlier_refused("[\"a\",\"a\",\"a\",\"a\",\"a\"]", "a list of 1 to 4");
}

/* ---- in a store -------------------------------------------------------------------- */

static int stored(struct fiber *f, void *arg)
{
	struct volume_record *record = mem_new(fiber_io(f), sizeof(*record)),
			     *got = mem_new(fiber_io(f), sizeof(*got));
	uint64_t revision = STORE_ABSENT, found, old;
	struct store *store;

	(void)arg;
	assert_int_equal(store_open(f, ram_drivers, "ram:///", &store), 0);
	assert_int_equal(volume_decode(TEXT, strlen(TEXT), record, NULL), 0);
	assert_int_equal(volume_get(f, store, &record->volume, got, &found), -ENOENT);
	assert_int_equal(volume_put(f, store, record, &revision), 0);
	old = revision;
	record->epoch++;
	assert_int_equal(volume_put(f, store, record, &revision), 0);
	assert_int_equal(volume_put(f, store, record, &old), -ESTALE); /* SEAL */
	fiber_clear(f);
	assert_int_equal(volume_get(f, store, &record->volume, got, &found), 0);
	assert_int_equal(found, revision);
	assert_memory_equal(got, record, sizeof(*got));
	/* one that is too long */
	record->member_count = VOLUME_MEMBERS_MAX;
	for (unsigned i = 0; i < VOLUME_MEMBERS_MAX; i++) {
		memset(record->members[i].uri, '\1', VOLUME_URI_MAX);
		record->members[i].uri[0] = (char)('a' + i);
		record->members[i].replica.bytes[15] = (uint8_t)i;
		record->members[i].state = VOLUME_IN_SYNC;
	}
	assert_int_equal(volume_put(f, store, record, &revision), -E2BIG);
	fiber_clear(f);
	/* the right text in the wrong place */
	struct uuid other = got->volume;
	other.bytes[0] ^= 1;
	volume_key(&other, ram_of(store)->record[0].key);
	assert_int_equal(volume_get(f, store, &other, record, &found), -EUCLEAN);
	assert_non_null(strstr(fiber_words(f), "is the record of another volume"));
	fiber_clear(f);
	volume_key(&got->volume, ram_of(store)->record[0].key);
	ram_of(store)->record[0].value[0] = 'x';
	assert_int_equal(volume_get(f, store, &got->volume, record, &found), -EUCLEAN);
	fiber_clear(f);
	store_close(f, store);
	mem_free(record);
	mem_free(got);
	return 0;
}

static void it_is_changed_only_by_whom_read_it_last(void **state)
{
	struct one one;

	(void)state;
	one_init(&one);
	assert_int_equal(one_fiber(&one, stored, NULL, NULL), 0);
	one_fini(&one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_has_this_text),
		cmocka_unit_test(damaged_text_is_refused),
		cmocka_unit_test(what_a_record_cannot_be_is_named),
		cmocka_unit_test(earlier_owners_are_a_version_of_their_own),
		cmocka_unit_test(there_are_at_most_so_many_earlier_owners),
		cmocka_unit_test(it_is_changed_only_by_whom_read_it_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
