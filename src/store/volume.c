// SPDX-License-Identifier: Apache-2.0
/* volume - what a record must be, and its way to the store and back. See volume.h. */
#include "store/volume.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "reactor/fiber.h"

void volume_key(const struct uuid *volume, char ret_key[STORE_KEY_MAX + 1])
{
	char text[UUID_TEXT_SIZE];

	snprintf(ret_key, STORE_KEY_MAX + 1, "volume/%s", uuid_print(volume, text));
}

const char *volume_member_state_name(enum volume_member_state state)
{
	static const char *const names[] = { "in-sync", "rebuilding", "out" };

	return names[state];
}

static int check_sizes(const struct volume_record *record, struct err *err)
{
	if (record->block_size < 512 || record->block_size > 65536 ||
	    (record->block_size & (record->block_size - 1)))
		return err_fail(err, -EINVAL, "block_size %u: a power of two, 512 to 65536",
				record->block_size);
	if (record->size_bytes == 0 || record->size_bytes % record->block_size ||
	    record->size_bytes > INT64_MAX)
		return err_fail(err, -EINVAL, "size_bytes %llu: not a number of blocks of %u",
				(unsigned long long)record->size_bytes, record->block_size);
	return 0;
}

/* VO3. */
static int check_pair(const struct volume_member *a, const struct volume_member *b, struct err *err)
{
	char text[UUID_TEXT_SIZE];

	if (strcmp(a->uri, b->uri) == 0)
		return err_fail(err, -EINVAL, "'%s' is a member twice", a->uri);
	if (!uuid_is_nil(&a->replica) && uuid_equal(&a->replica, &b->replica))
		return err_fail(err, -EINVAL, "replica %s is a member twice",
				uuid_print(&a->replica, text));
	return 0;
}

static int check_members(const struct volume_record *record, struct err *err)
{
	unsigned in_sync = 0;
	int r = 0;

	if (record->member_count == 0 || record->member_count > VOLUME_MEMBERS_MAX)
		return err_fail(err, -EINVAL, "a volume has 1 to %u members, not %u",
				VOLUME_MEMBERS_MAX, record->member_count);
	for (unsigned i = 0; i < record->member_count && r == 0; i++) {
		const struct volume_member *member = &record->members[i];

		if (member->uri[0] == 0 || (unsigned)member->state > VOLUME_OUT)
			return err_fail(err, -EINVAL, "member %u has no URI or state", i);
		in_sync += member->state == VOLUME_IN_SYNC;
		for (unsigned j = 0; j < i && r == 0; j++)
			r = check_pair(&record->members[j], member, err);
	}
	if (r == 0 && in_sync == 0)
		r = err_fail(err, -EINVAL, "no member is in sync"); /* VO2 */
	return r;
}

/* VO4. */
static int check_earlier(const struct volume_record *record, struct err *err)
{
	char text[UUID_TEXT_SIZE];

	if (record->earlier_count > VOLUME_EARLIER_MAX)
		return err_fail(err, -EINVAL, "a volume has at most %u earlier owners, not %u",
				VOLUME_EARLIER_MAX, record->earlier_count);
	if (record->clean && record->earlier_count > 0)
		return err_fail(err, -EINVAL, "a volume that is clean has no earlier owners");
	for (unsigned i = 0; i < record->earlier_count; i++) {
		const struct uuid *who = &record->earlier[i];
		bool twice = uuid_is_nil(who) || uuid_equal(who, &record->owner);

		for (unsigned j = 0; j < i; j++)
			twice = twice || uuid_equal(who, &record->earlier[j]);
		if (twice)
			return err_fail(err, -EINVAL, "%s cannot be an earlier owner as well",
					uuid_print(who, text));
	}
	return 0;
}

int volume_check(const struct volume_record *record, struct err *err)
{
	int r = check_sizes(record, err);

	if (r == 0 && uuid_is_nil(&record->volume))
		r = err_fail(err, -EINVAL, "a volume has a uuid that is not nil");
	if (r == 0 && record->epoch > VOLUME_EPOCH_MAX)
		r = err_fail(err, -EINVAL, "epoch %llu is beyond %llu",
			     (unsigned long long)record->epoch,
			     (unsigned long long)VOLUME_EPOCH_MAX);
	if (r == 0)
		r = check_earlier(record, err);
	return r < 0 ? r : check_members(record, err);
}

/* ---- in a store ------------------------------------------------------------------ */

int volume_get(struct fiber *f, struct store *store, const struct uuid *volume,
	       struct volume_record *ret, uint64_t *ret_revision)
{
	CLEANUP(cleanup_mem)
	struct store_record *record = mem_new(fiber_io(f), sizeof(*record));
	char key[STORE_KEY_MAX + 1];
	int r;

	if (!record)
		return fiber_fail(f, -ENOMEM, "no memory for a volume's record");
	volume_key(volume, key);
	r = store_get(f, store, key, record);
	if (r == 0)
		r = volume_decode(record->value, record->len, ret, fiber_fail_err(f));
	if (r == 0 && !uuid_equal(&ret->volume, volume))
		r = fiber_fail(f, -EUCLEAN, "'%s' is the record of another volume", key);
	if (r == 0)
		*ret_revision = record->revision;
	return r;
}

int volume_put(struct fiber *f, struct store *store, const struct volume_record *record,
	       uint64_t *revision)
{
	CLEANUP(cleanup_mem) char *text = mem_new(fiber_io(f), STORE_VALUE_MAX + 1);
	char key[STORE_KEY_MAX + 1];
	int r;

	if (!text)
		return fiber_fail(f, -ENOMEM, "no memory for a volume's record");
	r = volume_encode(record, text, STORE_VALUE_MAX + 1, fiber_fail_err(f));
	if (r < 0)
		return r;
	volume_key(&record->volume, key);
	return store_put(f, store, key, *revision, text, (uint32_t)strlen(text), revision);
}
