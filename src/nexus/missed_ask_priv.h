/* SPDX-License-Identifier: Apache-2.0 */
/* missed_ask_priv - what members are asked about the maps of those that are away. See missed.c. */
#ifndef NEXUS_MISSED_ASK_PRIV_H
#define NEXUS_MISSED_ASK_PRIV_H

#include "nexus/nexus_priv.h"

#define MISSED_MARK_BATCH 64u

struct missed_map {
	struct uuid replica;
	struct replica_gen gen;
	uint64_t at; /* its words in the question */
};

/* A question to members. */
struct missed_ask {
	unsigned which; /* 1 << index of peers */
	bool is_only;	/* maps of others go */
	uint64_t regions;
	struct missed_map map[REPLICA_MISS_SLOTS];
	unsigned count; /* MARK: */
	uint64_t numbers[MISSED_MARK_BATCH];
	uint64_t words[];
};

/* Answers of one member (ask_members); `what` is a struct missed_ask. */

/* It has these maps, empty before, and with all their regions. */
int missed_answer_open(struct fiber *f, struct nexus_child *child, const void *what);
/* Regions are added to maps. */
int missed_answer_mark(struct fiber *f, struct nexus_child *child, const void *what);
int missed_answer_drop(struct fiber *f, struct nexus_child *child, const void *what);

/* A question that has the maps of these peers; NULL: no memory. */
struct missed_ask *missed_ask_new(struct nexus *n, unsigned which, size_t *ret_bytes);

/* Members that have maps, or take part in all changes to them. */
nexus_mask missed_holders(struct nexus *n);

#endif
