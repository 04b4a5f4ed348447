/* SPDX-License-Identifier: Apache-2.0 */
/*
 * publish - a volume that this process owns, within reach of clients: by NVMe/TCP or by NBD.
 *
 *	publish_start()   a subsystem with one namespace, or an NBD export; clients find it
 *	   keeper fiber   follows the state of the nexus with the ANA state
 *	publish_stop()    clients are drained and dropped
 *
 *	nexus                               ANA                         NVMe clients
 *	serving                             as told (Optimized)         served
 *	frozen, or no lease, for a while    Inaccessible                wait; other paths are used
 *	stopped                             Inaccessible                wait
 *	deposed                             Inaccessible                refused, then dropped
 *
 * PB1. A path is Optimized only when the nexus serves: after its resync (rule RESYNC), and
 *	for no longer than it is the owner.
 * PB2. Controller ids come from the range of the epoch, and the ANA change count begins at a number
 *	made of it: a host that is connected to two owners sees no id twice, and no count go back.
 *	Ranges come round again after PUBLISH_RANGES epochs.
 * PB3. A deposed owner answers nobody with an error that would be taken for one of the disk.
 * PB4. Reservations of clients are not offered (RESCAP 0), nor is anything fused.
 */
#ifndef ENGINE_PUBLISH_H
#define ENGINE_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "nvmf/tgt.h"

struct fiber;
struct nbd_server;
struct nexus;
struct publish;

#define PUBLISH_NQN_PREFIX  "nqn.2019-05.io.openebs:"
#define PUBLISH_NQN_MAX	    223u
#define PUBLISH_HOSTS_MAX   TGT_HOSTS_MAX
#define PUBLISH_IDS	    1023u		 /* controller ids of an epoch ... */
#define PUBLISH_RANGES	    64u			 /* ... and so many such ranges */
#define PUBLISH_PATIENCE_NS UINT64_C(5000000000) /* frozen for so long: Inaccessible */

/* Exactly one of tgt and nbd. Both are borrowed until publish_stop(), as is the nexus. */
struct publish_args {
	struct nexus *nexus;
	struct tgt *tgt;
	struct nbd_server *nbd;
	const char *nqn;	  /* NULL: PUBLISH_NQN_PREFIX and the volume's uuid */
	const char *name;	  /* of the NBD export; NULL: the volume's */
	const char *const *hosts; /* NQNs that may connect; none: all may */
	unsigned host_count;
	bool multipath; /* a host may come through several ports of the target */
};

/* -EINVAL names; -EEXIST: published already; -EBUSY: somebody else writes to it. Worded. */
MUST_USE int publish_start(struct fiber *f, const struct publish_args *args, struct publish **ret);
/* Not cancellable. What cannot end any more, since no member is left, is refused after a second. */
void publish_stop(struct fiber *f, struct publish *p);

/* The state while the nexus serves. OPTIMIZED, NON_OPTIMIZED or INACCESSIBLE. */
MUST_USE int publish_ana(struct fiber *f, struct publish *p, enum tgt_ana_state wanted);
/* What is told now; of NBD as well, which has no such thing: Optimized if it serves. */
enum tgt_ana_state publish_ana_now(const struct publish *p);

MUST_USE int publish_allow(struct fiber *f, struct publish *p, const char *hostnqn);
/* Its associations are drained and closed. -ENOENT. */
MUST_USE int publish_deny(struct fiber *f, struct publish *p, const char *hostnqn);

/* The volume has grown: clients are told. */
MUST_USE int publish_rescan(struct fiber *f, struct publish *p);

const char *publish_nqn(const struct publish *p); /* or the name of the NBD export */
bool publish_is_nbd(const struct publish *p);
/* The first and the last controller id of an epoch (PB2). */
void publish_ids(uint64_t epoch, uint16_t *ret_first, uint16_t *ret_last);

const char *publish_ana_name(enum tgt_ana_state state);
/* -EINVAL. */
MUST_USE int publish_ana_parse(const char *name, enum tgt_ana_state *ret);

#endif
