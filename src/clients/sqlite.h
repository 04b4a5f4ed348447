/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite - a record store in one SQLite file: `sqlite:///path?busy_ms=5000`.
 *
 * For the processes of one machine: they share the file. Made if it is not there.
 */
#ifndef CLIENTS_SQLITE_H
#define CLIENTS_SQLITE_H

#include "store/store.h"

extern const struct store_driver sqlite_store_driver;

#endif
