// SPDX-License-Identifier: Apache-2.0
/* identity - see identity.h. */
#include "engine/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/uuid.h"
#include "reactor/fiber.h"
#include "reactor/fiber_io.h"
#include "store/lease.h"

#define IDENTITY_BYTES 96 /* always: a line, and spaces before its end */
#define IDENTITY_MODE  0600
#define WAIT_NS	       UINT64_C(5000000000) /* a process that was killed may hold it so long */
#define WAIT_STEP_NS   UINT64_C(20000000)

/* Who was before, in this very file (ID3). */
static bool identity_parse(const char *line, const struct io_stat *stat, struct uuid *ret)
{
	uint64_t dev, ino;
	char text[UUID_TEXT_SIZE];

	return sscanf(line, "%36s %" SCNu64 " %" SCNu64, text, &dev, &ino) == 3 &&
	       uuid_parse(text, ret) == 0 && dev == stat->dev && ino == stat->ino;
}

/* If that cannot be done, others wait for the end of it, as they do for any. */
static void identity_end(struct fiber *f, struct store *store, const char *line,
			 const struct io_stat *stat)
{
	struct uuid before;

	if (identity_parse(line, stat, &before) && lease_end(f, store, &before) < 0)
		fiber_clear(f);
}

static int identity_write(struct fiber *f, struct io_file *file, const struct io_stat *stat,
			  const struct uuid *instance)
{
	char line[IDENTITY_BYTES + 1], text[UUID_TEXT_SIZE], words[IDENTITY_BYTES];

	snprintf(words, sizeof(words), "%s %" PRIu64 " %" PRIu64, uuid_print(instance, text),
		 stat->dev, stat->ino);
	snprintf(line, sizeof(line), "%-*s\n", IDENTITY_BYTES - 1, words);
	return fiber_write(f, file, line, IDENTITY_BYTES, 0, IO_DSYNC);
}

static int identity_pass(struct fiber *f, struct io_file *file, struct store *store,
			 const struct uuid *instance)
{
	char line[IDENTITY_BYTES + 1] = "";
	struct io_stat stat;
	int64_t len;
	int r = fiber_fstat(f, file, &stat);

	if (r < 0)
		return r;
	len = fiber_read(f, file, line, IDENTITY_BYTES, 0);
	if (len < 0)
		return (int)len;
	identity_end(f, store, line, &stat);
	return identity_write(f, file, &stat, instance); /* ID2 */
}

/* ID1. */
static int identity_open(struct fiber *f, const char *path, struct io_file **ret)
{
	const uint32_t flags = IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_LOCK;
	uint64_t until_ns = io_now(fiber_io(f)) + WAIT_NS;
	int r;

	while ((r = fiber_open(f, path, flags, IDENTITY_MODE, ret)) == -EBUSY) {
		fiber_clear(f);
		if (io_now(fiber_io(f)) >= until_ns)
			return fiber_fail(f, -EBUSY, "%s: another process has it", path);
		r = fiber_sleep(f, WAIT_STEP_NS);
		if (r < 0)
			return r;
	}
	return r;
}

int identity_take(struct fiber *f, const char *path, struct store *store,
		  const struct uuid *instance, struct io_file **ret)
{
	struct io_file *file;
	int r = identity_open(f, path, &file);

	if (r < 0)
		return r;
	r = identity_pass(f, file, store, instance);
	if (r < 0)
		fiber_close(f, file);
	else
		*ret = file;
	return r;
}
