/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - small records under keys, changed by compare-and-swap: where it is decided who owns what.
 *
 *	store_open(uri) -> struct store
 *	store_get() / store_put() / store_del() / store_next()
 *
 * The folder, lowest first: store.h (records), lease.h (who is alive), volume.h (the record
 * of a volume and its text). Drivers live above (clients/) and come in as a table.
 *
 * ST1. put and del change a record only if its revision is the one expected, atomically
 *      with all other users of the store, in this process and in others.
 * ST2. What put or del did is durable when they return 0.
 * ST3. Revisions come from one counter of the store and only grow: one that was seen never
 *      names another content, not even after a deletion.
 * ST4. -ESTALE: the revision is another; nothing was changed. -EIO and -ETIMEDOUT of put and
 *      del: it may have been done, or (ETIMEDOUT) be done later. Read it again; a put with the old
 *      revision then settles it (ST1).
 *
 * Errors: -ENOENT no such record; -EINVAL a key or value beyond the limits; -ENOSPC; -EROFS;
 * -EBUSY others hold the store for longer than it waits; -EUCLEAN what is there is no
 * store, or damaged.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "reactor/wait.h"

struct fiber;
struct reactor;
struct store;
struct uri;

#define STORE_KEY_MAX	128u   /* bytes; letters, digits, '-', '_', '.', '/' */
#define STORE_VALUE_MAX 16384u /* bytes, any */
#define STORE_CALLS_MAX 256u   /* waiting for one store; more: -EAGAIN */

#define STORE_ABSENT 0u /* the revision of a record that is not there */

struct store_record {
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	uint32_t len;
	char value[STORE_VALUE_MAX + 1]; /* and a NUL that does not count */
};

/*
 * What a driver offers. All on the store's home reactor, one call at a time; keys and
 * lengths have been checked. next: the first record with this prefix whose key is greater
 * than `after`, in the order of bytes; -ENOENT: none.
 */
struct store_driver {
	const char *scheme;
	int (*open)(struct fiber *f, const struct uri *uri, struct store **ret);
	void (*close)(struct fiber *f, struct store *store);
	int (*get)(struct fiber *f, struct store *store, const char *key, struct store_record *ret);
	int (*put)(struct fiber *f, struct store *store, const char *key, uint64_t expected,
		   const void *value, uint32_t len, uint64_t *ret_revision);
	int (*del)(struct fiber *f, struct store *store, const char *key, uint64_t expected);
	int (*next)(struct fiber *f, struct store *store, const char *prefix, const char *after,
		    struct store_record *ret);
};

/* Part of a driver's own. Nobody but store.c writes it after open. */
struct store {
	const struct store_driver *driver;
	struct reactor *home;
	struct latch turn; /* one call at a time */
	unsigned calls;	   /* under way or waiting */
	char uri[256];	   /* for words */
};

/*
 * Of the table (NULL-terminated) the driver whose scheme the URI has. The fiber's reactor is
 * the store's home; the calls below may come from any. Words name what is wrong.
 */
MUST_USE int store_open(struct fiber *f, const struct store_driver *const *drivers, const char *uri,
			struct store **ret);
/* At home, with no call under way. */
void store_close(struct fiber *f, struct store *store);

MUST_USE int store_get(struct fiber *f, struct store *store, const char *key,
		       struct store_record *ret);
/* expected STORE_ABSENT: only if there is none. */
MUST_USE int store_put(struct fiber *f, struct store *store, const char *key, uint64_t expected,
		       const void *value, uint32_t len, uint64_t *ret_revision);
MUST_USE int store_del(struct fiber *f, struct store *store, const char *key, uint64_t expected);
/* One after the other: begin with after "". What changes meanwhile may be seen or not. */
MUST_USE int store_next(struct fiber *f, struct store *store, const char *prefix, const char *after,
			struct store_record *ret);

#endif
