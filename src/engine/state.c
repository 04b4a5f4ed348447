// SPDX-License-Identifier: Apache-2.0
/*
 * state - what a node keeps over restarts: one file, replaced as a whole.
 *
 * STATE_DIR/node.json: pools and their disks, disks opened by URI and their shares, nexuses and how
 * they are published, and what is half made. What belongs to a replica (that it is shared,
 * with whom) is in its pool, what belongs to a volume in its record.
 *
 * SF1. A save holds everything the lists held when it was asked for; who waits for one that has
 *      not begun shares it with the others.
 * SF2. The file is the old one or the new one, whatever happens (fiber_write_file).
 */
#include <errno.h>
#include <stdio.h>

#include "engine/engine_priv.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"

#define STATE_FILE "node.json"
#define STATE_MODE 0600

static void state_path(const struct engine *e, char path[IO_PATH_MAX])
{
	snprintf(path, IO_PATH_MAX, "%s/" STATE_FILE, e->opts.state_dir);
}

static int save_now(struct fiber *f, struct engine *e)
{
	uint64_t version = e->save_wanted;
	char *path = mem_new(e->io, IO_PATH_MAX), *text = NULL;
	size_t len;
	int r = path ? state_encode(e, &text, &len) : -ENOMEM;

	if (r < 0) {
		mem_free(path);
		return fiber_fail(f, r, "no memory to save the node's state");
	}
	state_path(e, path);
	r = fiber_write_file(f, path, text, len, STATE_MODE);
	if (r == 0)
		e->save_done = version;
	mem_free(text);
	mem_free(path);
	return r;
}

int state_save(struct fiber *f, struct engine *e)
{
	uint64_t version = ++e->save_wanted;
	int r = latch_lock(f, &e->saving);

	if (r < 0)
		return r;
	if (e->save_done < version) /* SF1 */
		r = save_now(f, e);
	latch_unlock(f, &e->saving);
	return r;
}

int state_load(struct fiber *f, struct engine *e)
{
	CLEANUP(cleanup_mem) char *path = mem_new(e->io, IO_PATH_MAX);
	CLEANUP(cleanup_mem) char *text = NULL;
	size_t len;
	int r;

	if (!path)
		return fiber_fail(f, -ENOMEM, "no memory");
	state_path(e, path);
	r = fiber_read_file(f, path, ENGINE_STATE_BYTES, &text, &len);
	if (r == -ENOENT) {
		fiber_clear(f);
		return 0;
	}
	return r < 0 ? r : state_decode(f, e, text, len);
}
