// SPDX-License-Identifier: Apache-2.0
/*
 * resv - the reservations of a replica: kept, not understood (bdev/resv.h).
 *
 * They are stored as a whole by an operation of the commit, with the fence in the same
 * transaction; the gate drains what an older token has begun. Layout: control_priv.h.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "pool/control_priv.h"
#include "reactor/fiber.h"

#define RESV_PER_VALUE	     9u
#define RESV_REGISTRANT_SIZE 24u

_Static_assert(RESV_PER_VALUE *RESV_REGISTRANT_SIZE <= ATTR_VALUE_SIZE, "they fit an attribute");

void resv_init(struct resv_state *state)
{
	*state = (struct resv_state){ .holder = -1 };
}

static bool resv_is_valid(const struct resv_state *state)
{
	return state->count <= RESV_REGISTRANTS_MAX && state->holder >= -1 &&
	       state->holder < (int64_t)state->count;
}

/* ---- values ---------------------------------------------------------------------------------- */

int resv_load_value(struct resv_state *state, uint64_t index, const uint8_t *value)
{
	uint64_t first = (index - 1) * RESV_PER_VALUE;

	if (index == 0) {
		state->generation = le32_get(value);
		state->type = value[4];
		state->ptpl = value[5];
		state->holder = (int32_t)le32_get(value + 8);
		state->count = le32_get(value + 12);
		return resv_is_valid(state) ? 0 : -EILSEQ;
	}
	if (index > RESV_REGISTRANTS_MAX || first >= state->count)
		return -EILSEQ;
	for (unsigned i = 0; i < RESV_PER_VALUE && first + i < state->count; i++) {
		const uint8_t *at = value + (size_t)i * RESV_REGISTRANT_SIZE;

		state->registrant[first + i].key = le64_get(at);
		memcpy(state->registrant[first + i].host_id.bytes, at + 8, 16);
	}
	return 0;
}

static int head_put(struct fiber *f, struct replica *rep, const struct resv_state *state)
{
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	le32_put(value, state->generation);
	value[4] = state->type;
	value[5] = state->ptpl;
	le32_put(value + 8, (uint32_t)state->holder);
	le32_put(value + 12, state->count);
	return attr_put(f, rep, ATTR_RESERVATION, 0, value);
}

static int registrants_put(struct fiber *f, struct replica *rep, const struct resv_state *state,
			   unsigned first)
{
	uint8_t value[ATTR_VALUE_SIZE] = { 0 };

	for (unsigned i = 0; i < RESV_PER_VALUE && first + i < state->count; i++) {
		uint8_t *at = value + (size_t)i * RESV_REGISTRANT_SIZE;

		le64_put(at, state->registrant[first + i].key);
		memcpy(at + 8, state->registrant[first + i].host_id.bytes, 16);
	}
	return attr_put(f, rep, ATTR_RESERVATION, 1 + first / RESV_PER_VALUE, value);
}

/* ---- load and store -------------------------------------------------------------------------- */

struct resv_call {
	struct control_call call;
	const struct resv_state *state;
	struct resv_state *ret;
	uint64_t fence_token;
};

static int load_run(struct fiber *f, struct control_call *call)
{
	(void)f;
	*container_of(call, struct resv_call, call)->ret = call->control->resv;
	return 0;
}

static int resv_load(struct fiber *f, struct bdev_chan *chan, struct resv_state *ret)
{
	struct resv_call resv = { .call = { .run = load_run }, .ret = ret };

	return control_call(f, chan, &resv.call);
}

static int store_commit(struct fiber *f, struct pool *pool, void *arg)
{
	const struct resv_call *resv = container_of(arg, struct resv_call, call);
	struct replica *rep = resv->call.rep;
	int r;

	(void)pool;
	replica_dirty(rep);
	rep->rec.fence = max_u64(rep->rec.fence, resv->fence_token);
	resv->call.control->resv = *resv->state;
	r = attr_drop(f, rep, ATTR_RESERVATION);
	if (r == 0)
		r = head_put(f, rep, resv->state);
	for (unsigned i = 0; r == 0 && i < resv->state->count; i += RESV_PER_VALUE)
		r = registrants_put(f, rep, resv->state, i);
	return r;
}

static int store_run(struct fiber *f, struct control_call *call)
{
	const struct resv_call *resv = container_of(call, struct resv_call, call);
	bool fences = resv->fence_token != 0;
	int r;

	if (!fences)
		call->token = UINT64_MAX; /* nothing is claimed */
	r = control_change(f, call, fences, NULL, store_commit);
	return r;
}

static int resv_store(struct fiber *f, struct bdev_chan *chan, const struct resv_state *state,
		      uint64_t fence_token)
{
	struct resv_call resv = { .call = { .run = store_run, .token = fence_token },
				  .state = state,
				  .fence_token = fence_token };

	if (!resv_is_valid(state))
		return fiber_fail(f, -EINVAL, "reservations: %u registrants, holder %" PRId32,
				  state->count, state->holder);
	return control_call(f, chan, &resv.call);
}

const struct bdev_resv_ops resv_ops = {
	.load = resv_load,
	.store = resv_store,
};
