/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume - the record of a volume: who owns it, and which members hold what was acknowledged.
 *
 * Under "volume/<uuid>", as JSON text. Changed on events, never per request, and always by
 * compare-and-swap on the revision it was read at: with that goes the epoch (rule SEAL).
 *
 * VO1. `epoch` never goes down. Whoever takes the volume over writes epoch + 1 and itself as owner.
 * VO2. At least one member is IN_SYNC (rule LASTONE).
 * VO3. No two members have the same replica, nor the same URI.
 * VO4. `earlier` names former owners who may not know yet that they are none, and may read from a member that
 *	nobody has fenced. Who takes over adds the owner that was; who has waited for them takes them
 *	out. The owner is not among them, and a volume that was closed has none.
 */
#ifndef STORE_VOLUME_H
#define STORE_VOLUME_H

#include "base/uuid.h"
#include "store/store.h"

struct err;

#define VOLUME_NAME_MAX	   63u
#define VOLUME_URI_MAX	   511u
#define VOLUME_MEMBERS_MAX 16u
#define VOLUME_EARLIER_MAX 4u
#define VOLUME_EPOCH_MAX   ((UINT64_C(1) << 48) - 1) /* a token is epoch << 16 | session */

enum volume_member_state {
	VOLUME_IN_SYNC,	   /* holds every acknowledged write */
	VOLUME_REBUILDING, /* being copied to */
	VOLUME_OUT,	   /* missed writes, or is new */
};

struct volume_member {
	struct uuid replica; /* nil: a device without our metadata and label */
	enum volume_member_state state;
	bool is_offline; /* a person's wish: not to be used */
	char uri[VOLUME_URI_MAX + 1];
	char reason[64]; /* why it is out, or in doubt; "" if neither */
};

struct volume_record {
	struct uuid volume;
	char name[VOLUME_NAME_MAX + 1];
	uint64_t size_bytes;
	uint32_t block_size;
	uint64_t epoch;
	struct uuid owner;	   /* instance of a nexus process; nil: none yet */
	bool clean;		   /* the owner closed it: members are equal */
	unsigned earlier_count;
	struct uuid earlier[VOLUME_EARLIER_MAX]; /* VO4, oldest first */
	uint64_t gen_epoch, gen_n; /* generation of the member list */
	unsigned member_count;
	struct volume_member members[VOLUME_MEMBERS_MAX];
};

void volume_key(const struct uuid *volume, char ret_key[STORE_KEY_MAX + 1]);

/* A record that has what VO1 to VO3 and the limits ask for? -EINVAL, words name the field. */
MUST_USE int volume_check(const struct volume_record *record, struct err *err);

/* Text of a checked record. -E2BIG: more than STORE_VALUE_MAX (long URIs). */
MUST_USE int volume_encode(const struct volume_record *record, char *ret_text, uint32_t size,
			   struct err *err);
/* -EUCLEAN: not a record, of a newer version, or not one that volume_check() takes. */
MUST_USE int volume_decode(const char *text, uint32_t len, struct volume_record *ret,
			   struct err *err);

const char *volume_member_state_name(enum volume_member_state state);

/* ---- the record in a store: get, and change if it is still the one that was read ---- */

MUST_USE int volume_get(struct fiber *f, struct store *store, const struct uuid *volume,
			struct volume_record *ret, uint64_t *ret_revision);
/* *revision STORE_ABSENT: make it. On success *revision is that of the new record. */
MUST_USE int volume_put(struct fiber *f, struct store *store, const struct volume_record *record,
			uint64_t *revision);

#endif
