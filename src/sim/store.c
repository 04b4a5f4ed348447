/* SPDX-License-Identifier: Apache-2.0 */
/* store - see store.h. */
#include "sim/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/uri.h"
#include "reactor/fiber.h"
#include "sim/sim_priv.h"

#define SIM_STORE_STREAM  (UINT64_C(1) << 40)
#define SIM_STORE_WAY_NS  SIM_MS	/* one way, median */
#define SIM_STORE_HELD_NS (50 * SIM_MS) /* a request at a cut tries again so often */
#define SIM_STORE_LATE_NS (30 * SIM_S)	/* at most, beyond the time-out */
#define SIM_STORE_DOWN_NS (20 * SIM_S)	/* at most */

enum sim_store_kind { SIM_STORE_GET, SIM_STORE_PUT, SIM_STORE_DEL, SIM_STORE_NEXT };

struct sim_store_caller {
	char name[SIM_STORE_NAME_MAX + 1];
	bool requests_cut, answers_cut;
};

struct sim_store {
	struct sim *sim;
	struct sim_host *host; /* NULL: everywhere */
	struct prng prng;
	uint64_t timeout_ns, counter, down_until_ns;
	void (*changed)(void *ctx, const char *key); /* or NULL */
	void *changed_ctx;
	struct store_record *records[SIM_STORE_RECORDS_MAX]; /* NULL: free */
	unsigned caller_count;
	struct sim_store_caller callers[SIM_STORE_CALLERS_MAX];
};

/* A process's. */
struct sim_store_client {
	struct store store;
	struct sim_store *ss;
	struct sim_store_caller *caller;
	struct sim_host *host;
};

/* A request on its way; the world's, so that it outlives its caller. */
struct sim_store_op {
	struct sim_event event;
	struct sim_store *ss;
	struct sim_store_caller *caller;
	struct sim_host *from;
	enum sim_store_kind kind;
	char key[STORE_KEY_MAX + 1], after[STORE_KEY_MAX + 1];
	uint64_t expected, revision;
	uint32_t len;
	int result;
	bool is_done, is_left, is_unanswered; /* left: nobody waits for it */
	struct store_record *found;	      /* of GET and NEXT: as it is now */
	uint8_t value[];		      /* of PUT: len bytes */
};

static size_t op_size(uint32_t len)
{
	return sizeof(struct sim_store_op) + len;
}

static void op_free(struct sim_store_op *op)
{
	struct arena *arena = &op->ss->sim->arena;

	if (op->found)
		arena_put(arena, op->found, sizeof(*op->found));
	arena_put(arena, op, op_size(op->len));
}

/* ---- the store ------------------------------------------------------------------------- */

static struct store_record **store_find(struct sim_store *ss, const char *key)
{
	for (unsigned i = 0; i < SIM_STORE_RECORDS_MAX; i++)
		if (ss->records[i] && strcmp(ss->records[i]->key, key) == 0)
			return &ss->records[i];
	return NULL;
}

static struct store_record **store_room(struct sim_store *ss)
{
	for (unsigned i = 0; i < SIM_STORE_RECORDS_MAX; i++)
		if (!ss->records[i])
			return &ss->records[i];
	return NULL;
}

static struct store_record *store_after(struct sim_store *ss, const char *prefix, const char *after)
{
	struct store_record *best = NULL;

	for (unsigned i = 0; i < SIM_STORE_RECORDS_MAX; i++) {
		struct store_record *at = ss->records[i];

		if (at && strncmp(at->key, prefix, strlen(prefix)) == 0 &&
		    strcmp(at->key, after) > 0 && (!best || strcmp(at->key, best->key) < 0))
			best = at;
	}
	return best;
}

static int store_do_put(struct sim_store_op *op)
{
	struct sim_store *ss = op->ss;
	struct store_record **at = store_find(ss, op->key);
	uint64_t revision = at ? (*at)->revision : STORE_ABSENT;

	if (revision != op->expected)
		return -ESTALE;
	if (!at && !(at = store_room(ss)))
		return -ENOSPC;
	if (!*at)
		*at = arena_zalloc(&ss->sim->arena, sizeof(**at));
	snprintf((*at)->key, sizeof((*at)->key), "%s", op->key);
	memcpy((*at)->value, op->value, op->len);
	(*at)->value[op->len] = 0;
	(*at)->len = op->len;
	(*at)->revision = op->revision = ++ss->counter;
	return 0;
}

static int store_do_del(struct sim_store_op *op)
{
	struct sim_store *ss = op->ss;
	struct store_record **at = store_find(ss, op->key);

	if ((at ? (*at)->revision : STORE_ABSENT) != op->expected)
		return -ESTALE;
	if (!at)
		return -ENOENT;
	arena_put(&ss->sim->arena, *at, sizeof(**at));
	*at = NULL;
	ss->counter++; /* ST3 */
	return 0;
}

static int store_do_look(struct sim_store_op *op)
{
	struct sim_store *ss = op->ss;
	struct store_record **at = store_find(ss, op->key);
	const struct store_record *record = at ? *at : NULL;

	if (op->kind == SIM_STORE_NEXT)
		record = store_after(ss, op->key, op->after);
	if (!record)
		return -ENOENT;
	op->found = arena_get(&ss->sim->arena, sizeof(*op->found));
	memcpy(op->found, record, offsetof(struct store_record, value) + record->len + 1);
	return 0;
}

static int store_do(struct sim_store_op *op)
{
	switch (op->kind) {
	case SIM_STORE_PUT:
		return store_do_put(op);
	case SIM_STORE_DEL:
		return store_do_del(op);
	case SIM_STORE_GET:
	case SIM_STORE_NEXT:
		break;
	}
	return store_do_look(op);
}

/* ---- the way there ------------------------------------------------------------------------ */

static bool op_is_cut(const struct sim_store_op *op, bool answer)
{
	const struct sim_store *ss = op->ss;

	if (answer ? op->caller->answers_cut : op->caller->requests_cut)
		return true;
	if (!ss->host || ss->host == op->from)
		return false;
	return answer ? sim_net_is_cut(ss->host, op->from) : sim_net_is_cut(op->from, ss->host);
}

/* SS1: here and now. */
static void op_arrives(struct sim *sim, struct sim_event *event)
{
	static const char *const names[] = { "get", "put", "del", "next" };
	struct sim_store_op *op = container_of(event, struct sim_store_op, event);
	struct sim_store *ss = op->ss;

	if (op_is_cut(op, false)) { /* held back, as TCP would */
		sim_after(sim, &op->event, SIM_STORE_HELD_NS, op_arrives);
		return;
	}
	if (sim->now_ns >= ss->down_until_ns && sim_fault(sim, SIM_STORE_DOWN, "store"))
		ss->down_until_ns = sim->now_ns + prng_below(&ss->prng, SIM_STORE_DOWN_NS);
	op->is_unanswered = sim->now_ns < ss->down_until_ns || (ss->host && !ss->host->up);
	if (!op->is_unanswered) {
		op->result = store_do(op);
		op->is_unanswered = op_is_cut(op, true);
		sim_trace(sim, "store: %s %s %s @%llu: %d%s", op->caller->name, names[op->kind],
			  op->key, (unsigned long long)(op->result ? op->expected : op->revision),
			  op->result, op->is_left ? " (late)" : "");
		if (ss->changed && op->result == 0 &&
		    (op->kind == SIM_STORE_PUT || op->kind == SIM_STORE_DEL))
			ss->changed(ss->changed_ctx, op->key);
	}
	op->is_done = true;
	if (op->is_left)
		op_free(op);
}

static int op_leave(struct fiber *f, struct sim_store_op *op, int error)
{
	if (op->is_done)
		op_free(op);
	else
		op->is_left = true;
	return error == -ECANCELED ? error : fiber_fail(f, error, "store: no answer");
}

static int op_take(struct fiber *f, struct sim_store_op *op, struct store_record *ret,
		   uint64_t *ret_revision)
{
	int r = op->result;

	if (r == 0 && op->found)
		memcpy(ret, op->found, offsetof(struct store_record, value) + op->found->len + 1);
	if (r == 0 && op->kind == SIM_STORE_PUT)
		*ret_revision = op->revision;
	if (r == -ESTALE)
		r = fiber_fail(f, r, "store: another revision of '%s'", op->key);
	op_free(op);
	return r;
}

/* Sends it, and waits for the answer. */
static int op_call(struct fiber *f, struct sim_store_op *op, struct store_record *ret,
		   uint64_t *ret_revision)
{
	struct sim_store *ss = op->ss;
	struct sim *sim = ss->sim;
	uint64_t there_ns = sim_delay(&ss->prng, SIM_STORE_WAY_NS);
	uint64_t back_ns = sim_delay(&ss->prng, SIM_STORE_WAY_NS), waited_ns = 0;
	bool is_answered = !sim_fault(sim, SIM_STORE_LOST_ANSWER, op->caller->name);
	bool fails = sim_fault(sim, SIM_STORE_EIO, op->caller->name);

	if (sim_fault(sim, SIM_STORE_SLOW, op->caller->name))
		there_ns += prng_below(&ss->prng, ss->timeout_ns);
	if (sim_fault(sim, SIM_STORE_LATE, op->caller->name))
		there_ns += prng_below(&ss->prng, ss->timeout_ns + SIM_STORE_LATE_NS);
	if (sim_fault(sim, SIM_STORE_LOST_REQUEST, op->caller->name)) {
		op->is_done = op->is_unanswered = true;
		back_ns = ss->timeout_ns;
	} else {
		sim_after(sim, &op->event, there_ns, op_arrives);
	}
	while (waited_ns < ss->timeout_ns) {
		uint64_t ns = waited_ns ? SIM_MS : min_u64(there_ns + back_ns, ss->timeout_ns);
		int r = fiber_sleep(f, ns);

		if (r < 0)
			return op_leave(f, op, r);
		waited_ns += ns;
		if (op->is_done && fails)
			return op_leave(f, op, -EIO);
		if (op->is_done && !op->is_unanswered && is_answered)
			return op_take(f, op, ret, ret_revision);
		if (op->is_done)
			waited_ns += ss->timeout_ns - min_u64(waited_ns, ss->timeout_ns);
	}
	return op_leave(f, op, -ETIMEDOUT);
}

/* ---- the driver ------------------------------------------------------------------------------ */

static struct sim_store_op *op_new(struct store *store, enum sim_store_kind kind, const char *key,
				   uint32_t len)
{
	struct sim_store_client *c = container_of(store, struct sim_store_client, store);
	struct sim_store_op *op = arena_zalloc(&c->ss->sim->arena, op_size(len));

	op->ss = c->ss;
	op->caller = c->caller;
	op->from = c->host;
	op->kind = kind;
	op->len = len;
	snprintf(op->key, sizeof(op->key), "%s", key);
	return op;
}

static int client_get(struct fiber *f, struct store *store, const char *key,
		      struct store_record *ret)
{
	return op_call(f, op_new(store, SIM_STORE_GET, key, 0), ret, NULL);
}

static int client_put(struct fiber *f, struct store *store, const char *key, uint64_t expected,
		      const void *value, uint32_t len, uint64_t *ret_revision)
{
	struct sim_store_op *op = op_new(store, SIM_STORE_PUT, key, len);

	op->expected = expected;
	memcpy(op->value, value, len);
	return op_call(f, op, NULL, ret_revision);
}

static int client_del(struct fiber *f, struct store *store, const char *key, uint64_t expected)
{
	struct sim_store_op *op = op_new(store, SIM_STORE_DEL, key, 0);

	op->expected = expected;
	return op_call(f, op, NULL, NULL);
}

static int client_next(struct fiber *f, struct store *store, const char *prefix, const char *after,
		       struct store_record *ret)
{
	struct sim_store_op *op = op_new(store, SIM_STORE_NEXT, prefix, 0);

	snprintf(op->after, sizeof(op->after), "%s", after);
	return op_call(f, op, ret, NULL);
}

static struct sim_store_caller *store_caller(struct sim_store *ss, const char *name)
{
	for (unsigned i = 0; i < ss->caller_count; i++)
		if (strcmp(ss->callers[i].name, name) == 0)
			return &ss->callers[i];
	must(ss->caller_count < SIM_STORE_CALLERS_MAX);
	struct sim_store_caller *caller = &ss->callers[ss->caller_count++];
	snprintf(caller->name, sizeof(caller->name), "%s", name);
	return caller;
}

static int client_open(struct fiber *f, const struct uri *uri, struct store **ret)
{
	struct sim_proc *proc = sim_proc_of(fiber_io(f));
	struct sim_store *ss = sim_proc_sim(proc)->store;
	struct sim_store_client *c;

	if (!ss || uri_segment_count(uri) != 1)
		return fiber_fail(f, -EINVAL, "%s: sim:///NAME is wanted, and a store",
				  uri_print(uri));
	c = mem_new(fiber_io(f), sizeof(*c));
	if (!c)
		return fiber_fail(f, -ENOMEM, "no memory for a store");
	c->ss = ss;
	c->caller = store_caller(ss, uri_segment(uri, 0));
	c->host = sim_proc_host(proc);
	*ret = &c->store;
	return 0;
}

static void client_close(struct fiber *f, struct store *store)
{
	(void)f;
	mem_free(container_of(store, struct sim_store_client, store));
}

static const struct store_driver sim_store_driver = {
	.scheme = "sim",
	.open = client_open,
	.close = client_close,
	.get = client_get,
	.put = client_put,
	.del = client_del,
	.next = client_next,
};

const struct store_driver *const sim_store_drivers[] = { &sim_store_driver, NULL };

/* ---- face --------------------------------------------------------------------------------------- */

struct sim_store *sim_store_add(struct sim *sim, struct sim_host *host, uint64_t timeout_ns)
{
	struct sim_store *ss = arena_zalloc(&sim->arena, sizeof(*ss));

	must(!sim->store);
	ss->sim = sim;
	ss->host = host;
	ss->timeout_ns = timeout_ns;
	prng_init(&ss->prng, sim->opts.seed, SIM_STORE_STREAM);
	sim->store = ss;
	return ss;
}

void sim_store_cut(struct sim_store *ss, const char *name, bool requests, bool answers)
{
	struct sim_store_caller *caller = store_caller(ss, name);

	sim_trace(ss->sim, "store: %s: requests %s, answers %s", name, requests ? "held" : "come",
		  answers ? "lost" : "come");
	if (requests || answers)
		sim_fault_count(ss->sim, SIM_STORE_CUT);
	caller->requests_cut = requests;
	caller->answers_cut = answers;
}

void sim_store_heal(struct sim_store *ss)
{
	ss->down_until_ns = 0;
	for (unsigned i = 0; i < ss->caller_count; i++)
		ss->callers[i].requests_cut = ss->callers[i].answers_cut = false;
}

void sim_store_on_change(struct sim_store *ss, void (*fn)(void *ctx, const char *key), void *ctx)
{
	ss->changed = fn;
	ss->changed_ctx = ctx;
}

const struct store_record *sim_store_look(const struct sim_store *ss, const char *key)
{
	for (unsigned i = 0; i < SIM_STORE_RECORDS_MAX; i++)
		if (ss->records[i] && strcmp(ss->records[i]->key, key) == 0)
			return ss->records[i];
	return NULL;
}
