/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_resv_rules - reservations as a pure state machine (Base 2.0, sections 7.2 to 7.5, 8.19).
 *
 *	struct resv_state --command of a host--> a new state, and whom to tell what
 *
 * Types: Write Exclusive and Exclusive Access; others are refused. Registrants are known by
 * their host identifier. On subsystems marked `fence` keys are tokens besides:
 *
 * V1. A refused command changes nothing.
 * V2. There is a holder if and only if there is a type; the holder is a registrant.
 * V3. (fence) No key is registered below the fence, or not above every other host's key.
 * V4. (fence) Who acquires or preempts has a key no smaller than the fence and any other,
 * V5. and is then the only registrant: all others are below the fence now.
 */
#ifndef NVMF_TGT_RESV_PRIV_H
#define NVMF_TGT_RESV_PRIV_H

#include "bdev/resv.h"
#include "wire/nvme_resv.h"

/* What a host may do to a namespace. */
enum tgt_right {
	TGT_MAY_READ = 1 << 0,
	TGT_MAY_WRITE = 1 << 1,
	TGT_MAY_ALL = TGT_MAY_READ | TGT_MAY_WRITE,
};

/* Who asks, and what its namespace can. */
struct tgt_resv_ask {
	uint8_t opcode; /* register, acquire, release */
	struct nvme_resv_cmd cmd;
	struct uuid host_id;
	bool can_persist;     /* the disk keeps the state (PTPL) */
	bool is_fence;	      /* keys are tokens, */
	uint64_t fence_token; /* and this is the greatest that took the disk */
	bool may_repeat;      /* the rule SESSION is off */
};

/* Sets of registrants are bits by their index in the state before. */
struct tgt_resv_effect {
	bool changed;		      /* store it, tell the reactors */
	bool binds;		      /* (fence) the association's token is now cmd.new_key */
	bool fences;		      /* (fence) store it with cmd.key as the fence's token */
	bool drains;		      /* commands of `removed` end before this one does */
	uint64_t removed;	      /* no registrants any more, by another's doing */
	uint64_t tell_preempted;      /* registration preempted, */
	uint64_t tell_released;	      /* reservation released, */
	uint64_t tell_resv_preempted; /* reservation preempted */
};

/* An NVMe status. `state` and *ret are changed only on success (V1). */
MUST_USE uint16_t tgt_resv_apply(struct resv_state *state, const struct tgt_resv_ask *ask,
				 struct tgt_resv_effect *ret);

/* Index of a registrant, or -1. */
int tgt_resv_find(const struct resv_state *state, const struct uuid *host_id);

/* enum tgt_right of a host that is (or is not) a registrant. */
uint8_t tgt_resv_rights(const struct resv_state *state, const struct uuid *host_id);
/* enum tgt_right an I/O command needs (section 8.19, command behaviour); 0: none. */
uint8_t tgt_resv_needs(uint8_t opcode);

#endif
