/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - a file that one process at a time holds, and in which the next one reads who was before it.
 *
 *	locked --> who was before has ended, and so has its lease --> we are written down --> we may have a lease
 *
 * ID1. The lock ends with the process and all it had under way (IO7). So who has it knows that nobody else
 *	that had it serves anything, and need not leave others waiting for that lease (LE5).
 * ID2. Who we are is durable before we have a lease: the next one finds it.
 * ID3. A copy of the file says nothing: it bears the number of the file it was written to.
 *
 * The file is one line, "<instance> <device> <inode>". What cannot be read as that names nobody.
 */
#ifndef ENGINE_IDENTITY_H
#define ENGINE_IDENTITY_H

#include "base/lang.h"

struct fiber;
struct io_file;
struct store;
struct uuid;

/*
 * Made if it is not there. Before the instance has a lease in that store. *ret is closed when it has none any
 * more (fiber_close). -EBUSY: another process has it, and does not end
 * within 5 s.
 */
MUST_USE int identity_take(struct fiber *f, const char *path, struct store *store,
			   const struct uuid *instance, struct io_file **ret);

#endif
