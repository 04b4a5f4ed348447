/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ram_store - a record store in memory, with faults: `ram:///`. And what every store must do.
 */
#ifndef TESTS_STORE_RAM_STORE_H
#define TESTS_STORE_RAM_STORE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "unit/reactor/one.h"

#define RAM_RECORDS 16

/* The store of `ram:///`: one at a time. */
struct ram_store {
	struct store store;
	struct store_record record[RAM_RECORDS]; /* revision 0: free */
	uint64_t counter;
	unsigned calls, calls_at_once, at_once_max;
	uint64_t delay_ns; /* of each call */
	int fail_before;   /* -errno of all calls, which then do nothing */
	int fail_after;	   /* -errno of all changes, which are made all the same */
	int fall_silent;   /* -errno of the next change, which is made; and then fail_before */
};

extern const struct store_driver ram_store_driver;
extern const struct store_driver *const ram_drivers[];

static inline struct ram_store *ram_of(struct store *store)
{
	return container_of(store, struct ram_store, store);
}

/* The contract of store.h, asserted on an empty store. On a fiber. */
void store_contract(struct fiber *f, struct store *store);

#endif
