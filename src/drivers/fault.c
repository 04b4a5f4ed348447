// SPDX-License-Identifier: Apache-2.0
/*
 * fault - make a failing disk out of a good one, by rules (fault.h).
 *
 *   submit --> no rule fires --------> SENT (child bio in flight) --> complete
 *          |-> status ---------------------------------------------> complete with it
 *          |-> corrupt: SENT --> flip bits of what was read --------> complete
 *          '-> hang: HUNG --rules change--> SENT
 *                         --RESET---------> complete with -ECANCELED
 *
 * F1. A channel has its own copy of the rules and counts; only its reactor touches it.
 * F2. Home knows all channels; a change of rules visits them one by one, under a latch
 *     that opening and closing a channel take too.
 * F3. Chance is drawn from `seed` and the number of the channel: two runs with the same
 *     requests have the same faults.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/prng.h"
#include "base/uri.h"
#include "drivers/below.h"
#include "drivers/fault.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/wait.h"

struct fault_rules {
	struct fault_rule rule[FAULT_RULES_MAX];
	unsigned count;
};

struct fault {
	struct bdev bdev;
	struct below below;
	struct reactor *home;	/* borrowed */
	uint64_t seed;

	/* home only (F2) */
	struct latch latch;
	struct list chans;
	uint64_t chans_ever;
	struct fault_rules rules;
};

struct fault_chan {
	struct below_chan below;
	struct bdev_chan *base;	/* borrowed: what we are the room of */
	struct list_link link;	/* fault.chans */
	struct list hung;	/* bios by their link */
	struct fault_rules rules;
	uint64_t seen[FAULT_RULES_MAX], fired[FAULT_RULES_MAX];
	struct prng prng;
};

struct fault_req {
	struct bio *parent;	/* borrowed until it completes */
	const struct fault_rule *corrupt; /* borrowed: the channel's; NULL: none */
	struct fault_rule rule;	/* what corrupt points to: rules may change meanwhile */
	struct bio child;	/* last */
};

/* ---- hot path -------------------------------------------------------------------- */

static void fault_flip(const struct bio *bio, uint64_t bit)
{
	uint64_t off = bit / 8;

	for (uint32_t i = 0; i < bio->iov_count; i++) {
		if (off < bio->iov[i].iov_len) {
			((uint8_t *)bio->iov[i].iov_base)[off] ^= (uint8_t)(1u << bit % 8);
			return;
		}
		off -= bio->iov[i].iov_len;
	}
}

/* Flip bits in those blocks of the bio that the rule names. */
static void fault_corrupt(struct fault_chan *chan, const struct bio *bio,
			  const struct fault_rule *rule)
{
	uint64_t block_bits = bio->chan->bdev->block_size * UINT64_C(8);
	uint64_t first = max_u64(rule->first, bio->lba) - bio->lba;
	uint64_t last = min_u64(rule->last, bio->lba + bio->blocks - 1) - bio->lba;

	for (uint32_t i = 0; i < rule->bits; i++)
		fault_flip(bio, prng_range(&chan->prng, first * block_bits,
					   (last + 1) * block_bits - 1));
}

static void fault_child_done(struct bio *child)
{
	struct fault_req *req = container_of(child, struct fault_req, child);

	if (req->corrupt && child->status == 0)
		fault_corrupt(bdev_chan_priv(req->parent->chan), req->parent, req->corrupt);
	below_complete(req->parent, child);
}

static void fault_send(struct fault_chan *chan, struct bio *bio, const struct fault_rule *corrupt)
{
	struct fault_req *req = bio_scratch(bio);

	req->parent = bio;
	req->corrupt = NULL;
	if (corrupt) {
		req->rule = *corrupt;
		req->corrupt = &req->rule;
	}
	bio_clone(&req->child, bio, chan->below.chan, fault_child_done);
	bio_submit(&req->child);
}

static bool fault_fits(const struct fault_rule *rule, const struct bio *bio)
{
	if (rule->ops && !(rule->ops >> bio->op & 1))
		return false;
	if (rule->first == 0 && rule->last == UINT64_MAX)
		return true;
	return bio->op != BIO_FLUSH && bio->lba <= rule->last &&
	       bio->lba + bio->blocks > rule->first;
}

static bool fault_fires(struct fault_chan *chan, unsigned i)
{
	const struct fault_rule *rule = &chan->rules.rule[i];
	uint64_t seen = ++chan->seen[i];

	if ((rule->nth && seen != rule->nth) || (rule->every && seen % rule->every) ||
	    (rule->count && chan->fired[i] >= rule->count) ||
	    (rule->ppm && !prng_chance_ppm(&chan->prng, rule->ppm)))
		return false;
	chan->fired[i]++;
	return true;
}

/* The first rule that fires, or NULL. */
static const struct fault_rule *fault_find(struct fault_chan *chan, const struct bio *bio)
{
	for (unsigned i = 0; i < chan->rules.count; i++)
		if (fault_fits(&chan->rules.rule[i], bio) && fault_fires(chan, i))
			return &chan->rules.rule[i];
	return NULL;
}

static void fault_reset(struct fault_chan *chan)
{
	struct bio *bio;

	while ((bio = list_pop_front(&chan->hung, struct bio, link)))
		bio_complete(bio, -ECANCELED);
}

static void fault_submit(struct bio *bio)
{
	struct fault_chan *chan = bdev_chan_priv(bio->chan);
	const struct fault_rule *rule = NULL;

	if (bio->op == BIO_RESET)
		fault_reset(chan);
	else
		rule = fault_find(chan, bio);
	if (!rule || rule->action == FAULT_CORRUPT) {
		fault_send(chan, bio, rule);
	} else if (rule->action == FAULT_STATUS) {
		bio_complete(bio, rule->status);
	} else {
		list_link_init(&bio->link);
		list_add_tail(&chan->hung, &bio->link);
	}
}

/* ---- rules, at run time (F2) ------------------------------------------------------- */

struct fault_visit {
	struct fault *fault;
	struct fault_chan *chan;
	const struct fault_rules *rules; /* NULL: only look */
	uint64_t fired[FAULT_RULES_MAX];
};

/* On the channel's reactor. */
static int fault_visit_chan(struct fiber *f, void *arg)
{
	struct fault_visit *visit = arg;
	struct fault_chan *chan = visit->chan;
	struct list hung;
	struct bio *bio;

	(void)f;
	for (unsigned i = 0; i < FAULT_RULES_MAX; i++)
		visit->fired[i] += chan->fired[i];
	if (!visit->rules)
		return 0;
	chan->rules = *visit->rules;
	memset(chan->seen, 0, sizeof(chan->seen));
	memset(chan->fired, 0, sizeof(chan->fired));
	list_init(&hung);
	list_splice_tail(&hung, &chan->hung);
	while ((bio = list_pop_front(&hung, struct bio, link)))
		fault_send(chan, bio, NULL);
	return 0;
}

/* At home. */
static int fault_visit_all(struct fiber *f, void *arg)
{
	struct fault_visit *visit = arg;
	struct fault *fault = visit->fault;
	int r;

	TRY(latch_lock(f, &fault->latch));
	r = 0;
	list_for_each(visit->chan, &fault->chans, link) {
		r = fiber_call_on(f, visit->chan->base->reactor, "fault-visit", fault_visit_chan,
				  visit);
		if (r < 0)
			break;
	}
	if (r == 0 && visit->rules)
		fault->rules = *visit->rules;
	latch_unlock(f, &fault->latch);
	return r;
}

static int fault_visit(struct fiber *f, struct bdev *bdev, struct fault_visit *visit)
{
	if (bdev->driver != &fault_driver)
		return fiber_fail(f, -EINVAL, "%s is not a fault disk", bdev->name);
	visit->fault = container_of(bdev, struct fault, bdev);
	return fiber_call_on(f, visit->fault->home, "fault-rules", fault_visit_all, visit);
}

int fault_set_rules(struct fiber *f, struct bdev *bdev, const struct fault_rule *rules,
		    unsigned count)
{
	CLEANUP(cleanup_mem) struct fault_rules *copy = mem_new(fiber_io(f), sizeof(*copy));
	struct fault_visit visit = {.rules = copy};

	if (!copy)
		return -ENOMEM;
	if (count > FAULT_RULES_MAX)
		return fiber_fail(f, -EINVAL, "fault: %u rules, expected up to %u", count,
				  FAULT_RULES_MAX);
	if (count > 0)
		memcpy(copy->rule, rules, count * sizeof(*rules));
	copy->count = count;
	return fault_visit(f, bdev, &visit);
}

int fault_get_fired(struct fiber *f, struct bdev *bdev, uint64_t ret_fired[FAULT_RULES_MAX])
{
	struct fault_visit visit = {0};

	TRY(fault_visit(f, bdev, &visit));
	memcpy(ret_fired, visit.fired, sizeof(visit.fired));
	return 0;
}

/* ---- channels ------------------------------------------------------------------------ */

/* At home. */
static int fault_add_chan(struct fiber *f, void *arg)
{
	struct fault_chan *chan = arg;
	struct fault *fault = container_of(chan->base->bdev, struct fault, bdev);

	TRY(latch_lock(f, &fault->latch));
	chan->rules = fault->rules;
	prng_init(&chan->prng, fault->seed, fault->chans_ever++); /* F3 */
	list_add_tail(&fault->chans, &chan->link);
	latch_unlock(f, &fault->latch);
	return 0;
}

static int fault_del_chan(struct fiber *f, void *arg)
{
	struct fault_chan *chan = arg;
	struct fault *fault = container_of(chan->base->bdev, struct fault, bdev);

	TRY(latch_lock(f, &fault->latch));
	list_del(&chan->link);
	latch_unlock(f, &fault->latch);
	return 0;
}

static int fault_chan_open(struct fiber *f, struct bdev_chan *base)
{
	struct fault *fault = container_of(base->bdev, struct fault, bdev);
	struct fault_chan *chan = bdev_chan_priv(base);
	int r;

	memset(chan, 0, sizeof(*chan));
	chan->base = base;
	list_init(&chan->hung);
	TRY(below_chan_open(f, base, &fault->below));
	r = fiber_call_on(f, fault->home, "fault-chan", fault_add_chan, chan);
	if (r < 0)
		below_chan_close(f, base);
	return r;
}

static void fault_chan_close(struct fiber *f, struct bdev_chan *base)
{
	struct fault *fault = container_of(base->bdev, struct fault, bdev);
	struct fault_chan *chan = bdev_chan_priv(base);

	while (fiber_call_on(f, fault->home, "fault-chan", fault_del_chan, chan) < 0)
		fiber_yield(f); /* no fiber to be had: again */
	below_chan_close(f, base);
}

/* ---- the disk -------------------------------------------------------------------------- */

static uint64_t fault_blocks(const struct bdev *bdev)
{
	return container_of(bdev, const struct fault, bdev)->below.bdev->blocks;
}

static int fault_rescan(struct fiber *f, struct bdev *bdev)
{
	return below_rescan(f, &container_of(bdev, struct fault, bdev)->below);
}

static void fault_close(struct fiber *f, struct bdev *bdev)
{
	struct fault *fault = container_of(bdev, struct fault, bdev);

	below_close(f, &fault->below);
	mem_free(fault);
}

static int fault_get_rules(struct fiber *f, const struct uri *uri, struct fault_rules *ret)
{
	uint32_t params = uri_param_count(uri);

	for (uint32_t i = 0; i < params; i++) {
		if (strcmp(uri_param_name(uri, i), "rule") != 0)
			continue;
		if (ret->count == FAULT_RULES_MAX)
			return fiber_fail(f, -EINVAL, "fault: more than %u parameters 'rule'",
					  FAULT_RULES_MAX);
		TRY(fault_rule_parse(uri_param_value(uri, i), &ret->rule[ret->count],
				     fiber_err(f)));
		ret->count++;
	}
	return 0;
}

static int fault_open(struct fiber *f, const struct uri *uri, struct bdev **ret)
{
	CLEANUP(cleanup_mem) struct fault *fault = mem_new(fiber_io(f), sizeof(*fault));
	const struct uri *on;
	uint64_t seed;

	if (!fault)
		return -ENOMEM;
	io_random(fiber_io(f), &seed, sizeof(seed));
	TRY(uri_get_u64(uri, "seed", 0, UINT64_MAX, seed, &fault->seed, fiber_err(f)));
	TRY(fault_get_rules(f, uri, &fault->rules));
	TRY(uri_get_child(uri, "on", &on, fiber_err(f)));
	fault->home = fiber_reactor(f);
	latch_init(&fault->latch);
	list_init(&fault->chans);
	TRY(below_open(f, uri, on, &fault->bdev, fault_blocks, &fault->below));
	below_inherit(&fault->below, sizeof(struct fault_req));
	fault->bdev.driver = &fault_driver;
	fault->bdev.uuid = fault->below.bdev->uuid;
	fault->bdev.blocks = fault->below.bdev->blocks;
	bdev_set_limits(&fault->bdev, &(struct bdev_limits){.ops = below_ops(&fault->bdev)});
	*ret = &steal(fault)->bdev;
	return 0;
}

static const struct bdev_param fault_params[] = {
	{"rule*", "what fails: words with commas between them, as write,lba:0-99,nth:3,status:EIO"},
	{"seed", "a number that chance follows from; default: another each time"},
	{"on", "URI of the disk below; the last parameter"},
	{0},
};

const struct bdev_driver fault_driver = {
	.scheme = "fault",
	.help = "fails, corrupts or hangs requests by rules",
	.params = fault_params,
	.open = fault_open,
	.close = fault_close,
	.rescan = fault_rescan,
	.chan_bytes = sizeof(struct fault_chan),
	.chan_open = fault_chan_open,
	.chan_close = fault_chan_close,
	.submit = fault_submit,
	.status = &below_status_ops,
};
