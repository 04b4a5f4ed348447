// SPDX-License-Identifier: Apache-2.0
/*
 * drivers - every disk a storage node can open by URI: one line a driver.
 */
#include <stddef.h>

#include "drivers/concat.h"
#include "drivers/delay.h"
#include "drivers/fault.h"
#include "drivers/file.h"
#include "drivers/malloc.h"
#include "drivers/null.h"
#include "drivers/part.h"
#include "drivers/rate.h"
#include "engine/drivers.h"
#include "nexus/nexus.h"
#include "nvmf/ini.h"
#include "pool/pool.h"

const struct bdev_driver *const engine_drivers[] = {
	&file_driver, &malloc_driver, &null_driver, &part_driver,  &concat_driver, &delay_driver,
	&rate_driver, &fault_driver,  &pool_driver, &nexus_driver, &ini_driver,	   NULL,
};
