/* SPDX-License-Identifier: Apache-2.0 */
/* bdev - the node's table of open disks, and its drivers by scheme. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "base/uri.h"
#include "bdev/bdev_priv.h"

const struct bdev_env *env_of(struct fiber *f)
{
	const struct bdev_env *env = reactor_bdev_env(fiber_reactor(f));

	must(env);
	return env;
}

/* ---- the table -------------------------------------------------------- */

int bdev_table_new(struct io *io, struct bdev_table **ret)
{
	struct bdev_table *table = mem_new(io, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->io = io;
	map_init(&table->by_name, io->mem, 2 * BDEV_OPEN_MAX); /* names and keys */
	list_init(&table->opening);
	*ret = table;
	return 0;
}

void bdev_table_free(struct bdev_table *table)
{
	if (!table)
		return;
	must(table->count == 0);
	for (unsigned i = 0; i < REACTORS_MAX; i++)
		local_free(table->local[i]);
	map_fini(&table->by_name);
	mem_free(table);
}

int bdev_each(struct fiber *f, int (*fn)(void *ctx, struct bdev *bdev), void *ctx)
{
	const struct bdev_env *env = env_of(f);
	struct map_iter it;

	must(fiber_reactor(f) == env->home);
	map_for_each(&env->table->by_name, &it) {
		struct bdev_core *core = it.value;
		int r;

		if (core->state != CORE_OPEN || strcmp(it.key, core->key) != 0)
			continue;
		r = fn(ctx, core->bdev);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- drivers ---------------------------------------------------------- */

static bool driver_is(const struct bdev_driver *driver, const char *scheme)
{
	if (strcmp(driver->scheme, scheme) == 0)
		return true;
	for (const char *const *alias = driver->aliases; alias && *alias; alias++)
		if (strcmp(*alias, scheme) == 0)
			return true;
	return false;
}

static int driver_unknown(struct fiber *f, const struct bdev_env *env, const char *scheme)
{
	char known[160] = "none";
	size_t len = 0;

	for (const struct bdev_driver *const *d = env->drivers; *d && len < sizeof(known); d++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", len ? ", " : "",
					(*d)->scheme);
	return fiber_fail(f, -EINVAL, "no driver for '%s:'; there are: %s", scheme, known);
}

/* Only what the driver declares, and what every disk takes. */
static int params_check(struct fiber *f, const struct bdev_driver *driver, const struct uri *uri)
{
	const char *allowed[URI_PARAMS_MAX + 2];
	unsigned count = 0;

	for (const struct bdev_param *p = driver->params; p && p->name && *p->name; p++) {
		must(count < URI_PARAMS_MAX);
		allowed[count++] = p->name;
	}
	allowed[count++] = "uuid";
	allowed[count] = NULL;
	return uri_check_params(uri, allowed, fiber_err(f));
}

int driver_for(struct fiber *f, const struct bdev_env *env, const struct uri *uri,
	       const struct bdev_driver **ret)
{
	const char *scheme = uri_scheme(uri);

	for (const struct bdev_driver *const *d = env->drivers; *d; d++) {
		if (!driver_is(*d, scheme))
			continue;
		*ret = *d;
		return params_check(f, *d, uri);
	}
	return driver_unknown(f, env, scheme);
}
