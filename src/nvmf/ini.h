/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ini - the initiator: a namespace behind NVMe/TCP as a disk, nvmf://host:port/nqn.
 *
 * The disk is used through bdev/. What is here is for who must be known to the other side:
 * reservations are held by a host, and which host a session is follows from its token.
 */
#ifndef NVMF_INI_H
#define NVMF_INI_H

#include "base/uuid.h"
#include "bdev/bdev_driver.h"
#include "bdev/resv.h"

extern const struct bdev_driver ini_driver;

/*
 * How it stands with the controller of an open disk of this driver; on the disk's home reactor.
 * DOWN: the connection is lost, or not wanted, and tried again; GONE: it will not come back.
 */
enum ini_link { INI_LINK_DOWN, INI_LINK_UP, INI_LINK_GONE };
enum ini_link ini_link_of(struct bdev *bdev);

/*
 * The host identifier of a session: each (instance of a nexus, epoch, session) is a host of its
 * own, since a reservation looks at nothing but that. token: epoch << 16 | session.
 */
struct uuid ini_host_id(const struct uuid *instance, uint64_t token);

/*
 * Reservation commands on the namespace of a channel of this driver; they may suspend, on the
 * channel's reactor. Errors: -ESTALE (conflict), -ENOTSUP, or what the connection met; worded.
 * A key that was registered is registered again by itself after a reconnect, before any bio.
 */
/* Registers `key`, also in place of another of ours; to outlive a loss of power, where that can be. */
MUST_USE int ini_resv_register(struct fiber *f, struct bdev_chan *chan, uint64_t key);
MUST_USE int ini_resv_unregister(struct fiber *f, struct bdev_chan *chan, uint64_t key);
/* type: enum nvme_resv_type. */
MUST_USE int ini_resv_acquire(struct fiber *f, struct bdev_chan *chan, uint64_t key, uint8_t type);
/* Takes it from who registered `old_key`, and aborts their commands. */
MUST_USE int ini_resv_preempt(struct fiber *f, struct bdev_chan *chan, uint64_t key,
			      uint64_t old_key, uint8_t type);
MUST_USE int ini_resv_release(struct fiber *f, struct bdev_chan *chan, uint64_t key, uint8_t type);
/* Everybody's registrations and the reservation. */
MUST_USE int ini_resv_clear(struct fiber *f, struct bdev_chan *chan, uint64_t key);
MUST_USE int ini_resv_report(struct fiber *f, struct bdev_chan *chan, struct resv_state *ret);

#endif
