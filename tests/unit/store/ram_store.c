// SPDX-License-Identifier: Apache-2.0
/* ram_store - see ram_store.h. */
#include "unit/store/ram_store.h"

#include "base/uri.h"

static int ram_begin(struct fiber *f, struct ram_store *ram)
{
	ram->calls++;
	ram->calls_at_once++;
	if (ram->calls_at_once > ram->at_once_max)
		ram->at_once_max = ram->calls_at_once;
	int r = ram->delay_ns ? fiber_sleep(f, ram->delay_ns) : 0;
	ram->calls_at_once--;
	if (r == 0 && ram->fail_before < 0)
		r = fiber_fail(f, ram->fail_before, "ram store: told to fail");
	return r;
}

/* A change was made: what is said of it? */
static int ram_end(struct ram_store *ram)
{
	if (ram->fall_silent == 0)
		return ram->fail_after;
	ram->fail_before = ram->fall_silent;
	ram->fall_silent = 0;
	return ram->fail_before;
}

static struct store_record *ram_find(struct ram_store *ram, const char *key)
{
	for (unsigned i = 0; i < RAM_RECORDS; i++)
		if (ram->record[i].revision && strcmp(ram->record[i].key, key) == 0)
			return &ram->record[i];
	return NULL;
}

static int ram_get(struct fiber *f, struct store *store, const char *key, struct store_record *ret)
{
	struct ram_store *ram = ram_of(store);
	int r = ram_begin(f, ram);
	const struct store_record *record = ram_find(ram, key);

	if (r == 0 && !record)
		r = -ENOENT;
	if (r == 0)
		*ret = *record;
	return r;
}

static int ram_compare(struct fiber *f, struct ram_store *ram, const char *key, uint64_t expected)
{
	int r = ram_begin(f, ram);
	const struct store_record *record = ram_find(ram, key);

	if (r == 0 && (record ? record->revision : STORE_ABSENT) != expected)
		r = fiber_fail(f, -ESTALE, "ram store: another revision of '%s'", key);
	return r;
}

static int ram_put(struct fiber *f, struct store *store, const char *key, uint64_t expected,
		   const void *value, uint32_t len, uint64_t *ret_revision)
{
	struct ram_store *ram = ram_of(store);
	int r = ram_compare(f, ram, key, expected);
	struct store_record *record = ram_find(ram, key);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < RAM_RECORDS && !record; i++)
		if (!ram->record[i].revision)
			record = &ram->record[i];
	if (!record)
		return -ENOSPC;
	strcpy(record->key, key);
	memcpy(record->value, value, len);
	record->value[len] = 0;
	record->len = len;
	record->revision = ++ram->counter;
	*ret_revision = record->revision;
	return ram_end(ram);
}

static int ram_del(struct fiber *f, struct store *store, const char *key, uint64_t expected)
{
	struct ram_store *ram = ram_of(store);
	int r = ram_compare(f, ram, key, expected);

	if (r < 0)
		return r;
	ram_find(ram, key)->revision = 0;
	ram->counter++;
	return ram_end(ram);
}

static int ram_next(struct fiber *f, struct store *store, const char *prefix, const char *after,
		    struct store_record *ret)
{
	struct ram_store *ram = ram_of(store);
	const struct store_record *best = NULL;
	int r = ram_begin(f, ram);

	for (unsigned i = 0; r == 0 && i < RAM_RECORDS; i++) {
		const struct store_record *at = &ram->record[i];

		if (at->revision && strncmp(at->key, prefix, strlen(prefix)) == 0 &&
		    strcmp(at->key, after) > 0 && (!best || strcmp(at->key, best->key) < 0))
			best = at;
	}
	if (r == 0 && !best)
		r = -ENOENT;
	if (r == 0)
		*ret = *best;
	return r;
}

static int ram_open(struct fiber *f, const struct uri *uri, struct store **ret)
{
	struct ram_store *ram = mem_new(fiber_io(f), sizeof(*ram));

	(void)uri;
	if (!ram)
		return -ENOMEM;
	*ret = &ram->store;
	return 0;
}

static void ram_close(struct fiber *f, struct store *store)
{
	(void)f;
	mem_free(ram_of(store));
}

const struct store_driver ram_store_driver = {
	.scheme = "ram",
	.open = ram_open,
	.close = ram_close,
	.get = ram_get,
	.put = ram_put,
	.del = ram_del,
	.next = ram_next,
};

const struct store_driver *const ram_drivers[] = { &ram_store_driver, NULL };

/* ---- the contract --------------------------------------------------------------- */

static void contract_changes(struct fiber *f, struct store *store, struct store_record *got)
{
	uint64_t first, second, third;

	assert_int_equal(store_get(f, store, "volume/a", got), -ENOENT);
	assert_int_equal(store_put(f, store, "volume/a", STORE_ABSENT, "one", 3, &first), 0);
	assert_int_equal(store_put(f, store, "volume/a", STORE_ABSENT, "two", 3, &second), -ESTALE);
	fiber_clear(f);
	assert_int_equal(store_put(f, store, "volume/a", first, "t\0o", 3, &second), 0);
	assert_true(second > first);
	assert_int_equal(store_put(f, store, "volume/a", first, "old", 3, &third), -ESTALE);
	fiber_clear(f);
	assert_int_equal(store_get(f, store, "volume/a", got), 0);
	assert_string_equal(got->key, "volume/a");
	assert_int_equal(got->revision, second);
	assert_int_equal(got->len, 3);
	assert_memory_equal(got->value, "t\0o", 4);
	/* ST3 */
	assert_int_equal(store_del(f, store, "volume/a", first), -ESTALE);
	fiber_clear(f);
	assert_int_equal(store_del(f, store, "volume/a", second), 0);
	assert_int_equal(store_get(f, store, "volume/a", got), -ENOENT);
	assert_int_equal(store_put(f, store, "volume/a", second, "x", 1, &third), -ESTALE);
	fiber_clear(f);
	assert_int_equal(store_put(f, store, "volume/a", STORE_ABSENT, "", 0, &third), 0);
	assert_true(third > second);
}

static void contract_order(struct fiber *f, struct store *store, struct store_record *got)
{
	static const char *const keys[] = { "volume/c", "volume/B", "lease/z", "volume",
					    "volumes/a" };
	static const char *const found[] = { "volume/B", "volume/a", "volume/c" };
	uint64_t revision;
	char after[STORE_KEY_MAX + 1] = "";

	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		assert_int_equal(store_put(f, store, keys[i], STORE_ABSENT, keys[i], 3, &revision),
				 0);
	for (unsigned i = 0; i < ARRAY_LEN(found); i++) {
		assert_int_equal(store_next(f, store, "volume/", after, got), 0);
		assert_string_equal(got->key, found[i]);
		strcpy(after, got->key);
	}
	assert_int_equal(store_next(f, store, "volume/", after, got), -ENOENT);
	assert_int_equal(store_next(f, store, "", "", got), 0);
	assert_string_equal(got->key, "lease/z");
}

static void contract_limits(struct fiber *f, struct store *store, struct store_record *got)
{
	static const char *const bad[] = { "", "a b", "a'b", "a%", "\xc3\xa4" };
	char key[STORE_KEY_MAX + 2];
	uint64_t revision;

	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(store_get(f, store, bad[i], got), -EINVAL);
		assert_non_null(strstr(fiber_words(f), "a key is 1 to 128"));
		fiber_clear(f);
	}
	memset(key, 'k', sizeof(key));
	key[STORE_KEY_MAX + 1] = 0;
	assert_int_equal(store_get(f, store, key, got), -EINVAL);
	fiber_clear(f);
	key[STORE_KEY_MAX] = 0;
	memset(got->value, 'v', sizeof(got->value));
	assert_int_equal(store_put(f, store, key, 0, got->value, STORE_VALUE_MAX + 1, &revision),
			 -EINVAL);
	assert_non_null(strstr(fiber_words(f), "at most 16384"));
	fiber_clear(f);
	assert_int_equal(store_put(f, store, key, 0, got->value, STORE_VALUE_MAX, &revision), 0);
	assert_int_equal(store_get(f, store, key, got), 0);
	assert_int_equal(got->len, STORE_VALUE_MAX);
	assert_int_equal(got->value[STORE_VALUE_MAX - 1], 'v');
}

void store_contract(struct fiber *f, struct store *store)
{
	struct store_record *got = mem_new(fiber_io(f), sizeof(*got));

	contract_changes(f, store, got);
	contract_order(f, store, got);
	contract_limits(f, store, got);
	mem_free(got);
}
