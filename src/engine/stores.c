// SPDX-License-Identifier: Apache-2.0
/* stores - every record store a storage node can open by URI: one line a driver. */
#include <stddef.h>

#include "clients/sqlite.h"
#include "engine/stores.h"

const struct store_driver *const engine_stores[] = {
	&sqlite_store_driver,
	NULL,
};
