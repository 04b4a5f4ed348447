/* SPDX-License-Identifier: Apache-2.0 */
/* drivers - every disk a storage node can open by URI. */
#ifndef ENGINE_DRIVERS_H
#define ENGINE_DRIVERS_H

struct bdev_driver;

/* NULL-terminated: for bdev_env.drivers. */
extern const struct bdev_driver *const engine_drivers[];

#endif
