// SPDX-License-Identifier: Apache-2.0
/*
 * store - the way of a call to its driver: checked, at home, one at a time.
 *
 * SC1. A driver never sees two calls at once: they queue in order. At most STORE_CALLS_MAX wait.
 * SC2. Keys and lengths are checked before a driver sees them.
 */
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/uri.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"

enum store_op { STORE_GET, STORE_PUT, STORE_DEL, STORE_NEXT };

struct store_call {
	struct store *store;
	enum store_op op;
	const char *key;   /* NEXT: the prefix */
	const char *after; /* NEXT */
	uint64_t expected;
	const void *value;
	uint32_t len;
	uint64_t revision;
	struct store_record *ret;
};

static bool is_key(const char *text, bool may_be_empty)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_./";
	size_t len = strnlen(text, STORE_KEY_MAX + 1);

	return len <= STORE_KEY_MAX && strspn(text, allowed) == len && (len > 0 || may_be_empty);
}

static int store_dispatch(struct fiber *f, struct store_call *call)
{
	const struct store_driver *driver = call->store->driver;

	switch (call->op) {
	case STORE_GET:
		return driver->get(f, call->store, call->key, call->ret);
	case STORE_PUT:
		return driver->put(f, call->store, call->key, call->expected, call->value,
				   call->len, &call->revision);
	case STORE_DEL:
		return driver->del(f, call->store, call->key, call->expected);
	case STORE_NEXT:
		break;
	}
	return driver->next(f, call->store, call->key, call->after, call->ret);
}

/* At home. SC1. */
static int store_run(struct fiber *f, void *arg)
{
	struct store_call *call = arg;
	struct store *store = call->store;

	if (store->calls >= STORE_CALLS_MAX)
		return fiber_fail(f, -EAGAIN, "store '%s': %u calls wait already", store->uri,
				  STORE_CALLS_MAX);
	store->calls++;
	int r = latch_lock(f, &store->turn);
	if (r == 0) {
		r = store_dispatch(f, call);
		latch_unlock(f, &store->turn);
	}
	store->calls--;
	return r;
}

static int store_call(struct fiber *f, struct store_call *call)
{
	if (!is_key(call->key, call->op == STORE_NEXT) ||
	    (call->op == STORE_NEXT && !is_key(call->after, true)))
		return fiber_fail(f, -EINVAL,
				  "store: a key is 1 to %u letters, digits or any of -_./",
				  STORE_KEY_MAX);
	if (call->len > STORE_VALUE_MAX)
		return fiber_fail(f, -EINVAL, "store: '%s' has %u bytes, at most %u are kept",
				  call->key, call->len, STORE_VALUE_MAX);
	if (fiber_reactor(f) == call->store->home)
		return store_run(f, call);
	return fiber_call_on(f, call->store->home, "store", store_run, call);
}

/* ---- face ------------------------------------------------------------------ */

int store_open(struct fiber *f, const struct store_driver *const *drivers, const char *text,
	       struct store **ret)
{
	CLEANUP(cleanup_uri) struct uri *uri = NULL;
	struct store *store;
	int r = uri_parse(fiber_io(f)->mem, text, &uri, fiber_fail_err(f));

	if (r < 0)
		return r;
	while (*drivers && strcmp((*drivers)->scheme, uri_scheme(uri)) != 0)
		drivers++;
	if (!*drivers)
		return fiber_fail(f, -EINVAL, "store '%s': no driver for '%s'", text,
				  uri_scheme(uri));
	r = (*drivers)->open(f, uri, &store);
	if (r < 0)
		return r;
	store->driver = *drivers;
	store->home = fiber_reactor(f);
	store->calls = 0;
	latch_init(&store->turn);
	snprintf(store->uri, sizeof(store->uri), "%s", text);
	*ret = store;
	return 0;
}

void store_close(struct fiber *f, struct store *store)
{
	must(fiber_reactor(f) == store->home && store->calls == 0);
	store->driver->close(f, store);
}

int store_get(struct fiber *f, struct store *store, const char *key, struct store_record *ret)
{
	struct store_call call = { .store = store, .op = STORE_GET, .key = key, .ret = ret };

	return store_call(f, &call);
}

int store_put(struct fiber *f, struct store *store, const char *key, uint64_t expected,
	      const void *value, uint32_t len, uint64_t *ret_revision)
{
	struct store_call call = {
		.store = store,
		.op = STORE_PUT,
		.key = key,
		.expected = expected,
		.value = value,
		.len = len,
	};
	int r = store_call(f, &call);

	if (r == 0)
		*ret_revision = call.revision;
	return r;
}

int store_del(struct fiber *f, struct store *store, const char *key, uint64_t expected)
{
	struct store_call call = {
		.store = store, .op = STORE_DEL, .key = key, .expected = expected
	};

	return store_call(f, &call);
}

int store_next(struct fiber *f, struct store *store, const char *prefix, const char *after,
	       struct store_record *ret)
{
	struct store_call call = {
		.store = store, .op = STORE_NEXT, .key = prefix, .after = after, .ret = ret
	};

	return store_call(f, &call);
}
