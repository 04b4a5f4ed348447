/* SPDX-License-Identifier: Apache-2.0 */
/* stores - every record store a storage node can open by URI. */
#ifndef ENGINE_STORES_H
#define ENGINE_STORES_H

struct store_driver;

/* NULL-terminated: for store_open(). */
extern const struct store_driver *const engine_stores[];

#endif
