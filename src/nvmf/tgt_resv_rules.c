// SPDX-License-Identifier: Apache-2.0
/*
 * tgt_resv_rules - who registers, acquires, preempts and releases. See tgt_resv_priv.h.
 */
#include <string.h>

#include "base/must.h"
#include "nvmf/tgt_resv_priv.h"
#include "wire/nvme_status.h"

_Static_assert(RESV_REGISTRANTS_MAX <= 64, "sets of registrants are 64 bits");

#define CONFLICT (NVME_RESERVATION_CONFLICT | NVME_DNR)
#define BAD	 (NVME_INVALID_FIELD | NVME_DNR)

int tgt_resv_find(const struct resv_state *state, const struct uuid *host_id)
{
	for (uint32_t i = 0; i < state->count; i++)
		if (uuid_equal(&state->registrant[i].host_id, host_id))
			return (int)i;
	return -1;
}

/* ---- changes of the state ------------------------------------------------------------------- */

static void holder_none(struct resv_state *state)
{
	state->type = NVME_RESV_NONE;
	state->holder = -1;
}

/* Takes the registrants of a set out; a holder among them has been dealt with (V2). */
static void registrants_remove(struct resv_state *state, uint64_t set)
{
	uint32_t kept = 0;
	int32_t holder = -1;

	for (uint32_t i = 0; i < state->count; i++) {
		if (set >> i & 1)
			continue;
		if (state->holder == (int32_t)i)
			holder = (int32_t)kept;
		state->registrant[kept++] = state->registrant[i];
	}
	memset(&state->registrant[kept], 0, (state->count - kept) * sizeof(state->registrant[0]));
	state->count = kept;
	state->holder = holder;
	must((holder >= 0) == (state->type != NVME_RESV_NONE)); /* V2 */
}

/* All registrants but one (-1: none is left out). */
static uint64_t set_of_others(const struct resv_state *state, int me)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < state->count; i++)
		if ((int)i != me)
			set |= UINT64_C(1) << i;
	return set;
}

static uint64_t set_of_key(const struct resv_state *state, uint64_t key)
{
	uint64_t set = 0;

	for (uint32_t i = 0; i < state->count; i++)
		if (state->registrant[i].key == key)
			set |= UINT64_C(1) << i;
	return set;
}

/* ---- tokens --------------------------------------------------------------------------------- */

/* The greatest key of others than me. */
static uint64_t others_key_max(const struct resv_state *state, int me)
{
	uint64_t max = 0;

	for (uint32_t i = 0; i < state->count; i++)
		if ((int)i != me)
			max = max_u64(max, state->registrant[i].key);
	return max;
}

static bool token_may_register(const struct resv_state *state, const struct tgt_resv_ask *ask,
			       int me)
{
	uint64_t others = others_key_max(state, me);

	return ask->cmd.new_key != 0 && ask->cmd.new_key >= ask->fence_token &&
	       (ask->cmd.new_key > others ||
		(ask->may_repeat && ask->cmd.new_key == others)); /* V3 */
}

static bool token_may_acquire(const struct resv_state *state, const struct tgt_resv_ask *ask,
			      int me)
{
	return ask->cmd.key >= ask->fence_token &&
	       ask->cmd.key > others_key_max(state, me); /* V4 */
}

/*
 * V5. Each session is a host of its own, and crashes without a word: of those that registered
 * and never acquired the oldest makes room.
 */
static int token_room(struct resv_state *state)
{
	int oldest = -1;

	for (int i = 0; i < (int)state->count; i++)
		if (i != state->holder &&
		    (oldest < 0 || state->registrant[i].key < state->registrant[oldest].key))
			oldest = i;
	return oldest;
}

/* V5. Who takes the disk with the greatest token deposes all others, the holder too. */
static void token_depose(struct resv_state *state, const struct tgt_resv_ask *ask, uint64_t others,
			 struct tgt_resv_effect *effect)
{
	int me = tgt_resv_find(state, &ask->host_id);

	effect->fences = effect->drains = true;
	if (me < 0)
		return; /* it preempted itself */
	if (state->type != NVME_RESV_NONE) {
		state->type = ask->cmd.type;
		state->holder = me;
	}
	registrants_remove(state, set_of_others(state, me));
	effect->removed = effect->tell_preempted = others;
	effect->tell_released = 0;
}

/* ---- register ------------------------------------------------------------------------------- */

static uint16_t key_put(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			struct tgt_resv_effect *effect)
{
	if (ask->is_fence && !token_may_register(state, ask, me))
		return CONFLICT;
	if (me < 0) {
		if (state->count == RESV_REGISTRANTS_MAX) {
			if (!ask->is_fence)
				return NVME_INTERNAL_ERROR | NVME_DNR;
			registrants_remove(state, UINT64_C(1) << token_room(state));
		}
		me = (int)state->count++;
		state->registrant[me].host_id = ask->host_id;
	}
	state->registrant[me].key = ask->cmd.new_key;
	effect->binds = ask->is_fence;
	return NVME_SUCCESS;
}

static uint16_t unregister(struct resv_state *state, const struct tgt_resv_ask *ask, int me)
{
	if (me < 0 || (!ask->cmd.iekey && state->registrant[me].key != ask->cmd.key))
		return CONFLICT;
	if (state->holder == me)
		holder_none(state);
	registrants_remove(state, UINT64_C(1) << me);
	return NVME_SUCCESS;
}

static uint16_t register_action(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
				struct tgt_resv_effect *effect)
{
	switch (ask->cmd.action) {
	case NVME_RESV_REGISTER: /* again with the same key: nothing changes */
		if (me >= 0 && state->registrant[me].key != ask->cmd.new_key)
			return CONFLICT;
		return key_put(state, ask, me, effect);
	case NVME_RESV_UNREGISTER:
		return unregister(state, ask, me);
	case NVME_RESV_REPLACE: /* with IEKEY whether it is a registrant or not */
		if (!ask->cmd.iekey && (me < 0 || state->registrant[me].key != ask->cmd.key))
			return CONFLICT;
		return key_put(state, ask, me, effect);
	default:
		return BAD;
	}
}

static uint16_t apply_register(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			       struct tgt_resv_effect *effect)
{
	uint16_t status;

	if (ask->cmd.cptpl == NVME_RESV_PTPL_ON && !ask->can_persist)
		return BAD;
	status = register_action(state, ask, me, effect);
	if (status)
		return status;
	if (ask->cmd.cptpl != NVME_RESV_PTPL_KEEP)
		state->ptpl = ask->cmd.cptpl == NVME_RESV_PTPL_ON;
	state->generation++;
	effect->changed = true;
	return NVME_SUCCESS;
}

/* ---- acquire, preempt ----------------------------------------------------------------------- */

static bool type_is_known(uint8_t type)
{
	return type == NVME_RESV_WRITE_EXCLUSIVE || type == NVME_RESV_EXCLUSIVE_ACCESS;
}

static uint16_t acquire(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			struct tgt_resv_effect *effect)
{
	if (state->type != NVME_RESV_NONE) {
		if (state->holder != me || state->type != ask->cmd.type)
			return CONFLICT;
		effect->changed = ask->is_fence; /* the fence may not be up yet */
		return NVME_SUCCESS;
	}
	state->type = ask->cmd.type;
	state->holder = me;
	effect->changed = true;
	return NVME_SUCCESS;
}

static uint16_t preempt(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			struct tgt_resv_effect *effect)
{
	bool takes = state->holder >= 0 && state->registrant[state->holder].key == ask->cmd.new_key;
	uint64_t mine = UINT64_C(1) << me;
	uint64_t set = set_of_key(state, ask->cmd.new_key);
	uint64_t rest = set_of_others(state, me) & ~set;

	if (ask->cmd.new_key == 0)
		return BAD; /* it is for the types of all registrants only */
	if (!set)
		return CONFLICT;
	if (takes) {
		set &= ~mine; /* who preempts the holder stays a registrant */
		if (state->type != ask->cmd.type)
			effect->tell_released = rest;
		state->type = ask->cmd.type;
		state->holder = me;
	}
	effect->removed = set & ~mine;
	effect->tell_preempted = set & ~mine;
	effect->drains = ask->cmd.action == NVME_RESV_PREEMPT_ABORT || ask->is_fence;
	if (set)
		registrants_remove(state, set);
	state->generation++;
	effect->changed = true;
	return NVME_SUCCESS;
}

static uint16_t apply_acquire(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			      struct tgt_resv_effect *effect)
{
	uint64_t others = set_of_others(state, me);
	uint16_t status;

	if (ask->cmd.iekey || !type_is_known(ask->cmd.type) ||
	    ask->cmd.action > NVME_RESV_PREEMPT_ABORT)
		return BAD;
	if (me < 0 || state->registrant[me].key != ask->cmd.key)
		return CONFLICT;
	if (ask->is_fence && !token_may_acquire(state, ask, me))
		return CONFLICT;
	if (ask->cmd.action == NVME_RESV_ACQUIRE)
		status = acquire(state, ask, me, effect);
	else
		status = preempt(state, ask, me, effect);
	if (status == NVME_SUCCESS && ask->is_fence)
		token_depose(state, ask, others, effect);
	return status;
}

/* ---- release, clear ------------------------------------------------------------------------- */

static uint16_t release(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			struct tgt_resv_effect *effect)
{
	if (state->type == NVME_RESV_NONE || state->holder != me)
		return NVME_SUCCESS; /* without effect */
	if (state->type != ask->cmd.type)
		return BAD;
	holder_none(state); /* of these two types nobody is told */
	effect->changed = true;
	return NVME_SUCCESS;
}

static uint16_t clear(struct resv_state *state, int me, struct tgt_resv_effect *effect)
{
	effect->tell_resv_preempted = effect->removed = set_of_others(state, me);
	holder_none(state);
	registrants_remove(state, set_of_others(state, -1));
	state->generation++;
	effect->changed = true;
	return NVME_SUCCESS;
}

static uint16_t apply_release(struct resv_state *state, const struct tgt_resv_ask *ask, int me,
			      struct tgt_resv_effect *effect)
{
	if (ask->cmd.iekey)
		return BAD;
	if (me < 0 || state->registrant[me].key != ask->cmd.key)
		return CONFLICT;
	switch (ask->cmd.action) {
	case NVME_RESV_RELEASE:
		return release(state, ask, me, effect);
	case NVME_RESV_CLEAR:
		return clear(state, me, effect);
	default:
		return BAD;
	}
}

/* ---- all ------------------------------------------------------------------------------------ */

uint16_t tgt_resv_apply(struct resv_state *state, const struct tgt_resv_ask *ask,
			struct tgt_resv_effect *ret)
{
	struct tgt_resv_effect effect = { 0 };
	int me = tgt_resv_find(state, &ask->host_id);
	uint16_t status;

	switch (ask->opcode) {
	case NVME_IO_RESV_REGISTER:
		status = apply_register(state, ask, me, &effect);
		break;
	case NVME_IO_RESV_ACQUIRE:
		status = apply_acquire(state, ask, me, &effect);
		break;
	case NVME_IO_RESV_RELEASE:
		status = apply_release(state, ask, me, &effect);
		break;
	default:
		return NVME_INVALID_OPCODE | NVME_DNR;
	}
	if (status == NVME_SUCCESS)
		*ret = effect;
	return status;
}

/* ---- what is allowed meanwhile -------------------------------------------------------------- */

uint8_t tgt_resv_rights(const struct resv_state *state, const struct uuid *host_id)
{
	if (state->type == NVME_RESV_NONE)
		return TGT_MAY_ALL;
	if (state->holder >= 0 && tgt_resv_find(state, host_id) == state->holder)
		return TGT_MAY_ALL;
	return state->type == NVME_RESV_WRITE_EXCLUSIVE ? TGT_MAY_READ : 0;
}

uint8_t tgt_resv_needs(uint8_t opcode)
{
	switch (opcode) {
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
	case NVME_IO_VERIFY:
		return TGT_MAY_READ;
	case NVME_IO_FLUSH:
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_UNCORRECTABLE:
	case NVME_IO_WRITE_ZEROES:
	case NVME_IO_DATASET_MANAGEMENT:
		return TGT_MAY_WRITE;
	case NVME_IO_COPY:
		return TGT_MAY_ALL;
	default:
		return 0; /* reservations obey rules of their own */
	}
}
