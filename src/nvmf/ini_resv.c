// SPDX-License-Identifier: Apache-2.0
/*
 * ini_resv - reservations on the namespace of a disk of ours.
 *
 * A reservation is held by a host, not by a connection: it stays when the connection is lost.
 * But a target of ours binds the token of a session to the association in which the key was
 * registered; so the key is remembered, and registered again in each new association before a
 * bio goes there (I2).
 */
#include <errno.h>
#include <inttypes.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/must.h"
#include "nvmf/ini_priv.h"
#include "wire/nvme_resv.h"

#define INI_REPORT_BYTES \
	(NVME_RESV_REPORT_EXT_BYTES + RESV_REGISTRANTS_MAX * NVME_RESV_HOST_EXT_BYTES)

static int ini_resv_do(struct fiber *f, struct ini_queue *q, uint32_t nsid, uint8_t opcode,
		       const struct nvme_resv_cmd *cmd, const char *doing)
{
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = nsid };
	uint8_t data[NVME_RESV_REGISTER_BYTES] = { 0 };
	struct nvme_cqe cqe;

	nvme_resv_encode(cmd, &sqe, data);
	return ini_call_ok(f, q, &sqe, data, (uint32_t)nvme_resv_data_bytes(opcode), doing, &cqe);
}

int ini_resv_again(struct fiber *f, struct ini_queue *q, uint32_t nsid, uint64_t key)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_REPLACE,
					   .iekey = true,
					   .cptpl = NVME_RESV_PTPL_KEEP,
					   .new_key = key };

	return ini_resv_do(f, q, nsid, NVME_IO_RESV_REGISTER, &cmd, "registering our key again");
}

/* The session is over: its key shall be in nobody's way. It may fail: then it makes room when it must. */
void ini_resv_leave(struct fiber *f, struct ini_queue *q)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_UNREGISTER, .key = q->ini->key };

	if (ini_resv_do(f, q, q->ini->ns.nsid, NVME_IO_RESV_REGISTER, &cmd, "unregistering") < 0)
		fiber_clear(f);
}

/* ---- of a channel ---------------------------------------------------------------------- */

static struct ini_queue *ini_resv_queue(struct fiber *f, struct bdev_chan *chan, int *ret)
{
	struct ini_queue *q;

	must(chan->bdev->driver->open == ini_driver.open && fiber_reactor(f) == chan->reactor);
	q = ini_chan_of(chan)->q;
	*ret = 0;
	if (!q->ini->ns.rescap)
		*ret = fiber_fail(f, -ENOTSUP, "%s: it has no reservations", q->ini->bdev->name);
	return q;
}

static int ini_resv_on(struct fiber *f, struct bdev_chan *chan, uint8_t opcode,
		       const struct nvme_resv_cmd *cmd, const char *doing)
{
	int r;
	struct ini_queue *q = ini_resv_queue(f, chan, &r);

	return r < 0 ? r : ini_resv_do(f, q, q->ini->ns.nsid, opcode, cmd, doing);
}

struct ini_key_call {
	struct ini *ini;
	uint64_t key;
};

static int ini_key_set(struct fiber *f, void *arg)
{
	struct ini_key_call *call = arg;

	(void)f;
	call->ini->key = call->key;
	return 0;
}

/* Home registers it again after a loss. */
static int ini_key_keep(struct fiber *f, struct bdev_chan *chan, uint64_t key)
{
	struct ini_key_call call = { ini_chan_of(chan)->q->ini, key };

	return fiber_call_on(f, call.ini->home, "nvmf key", ini_key_set, &call);
}

int ini_resv_register(struct fiber *f, struct bdev_chan *chan, uint64_t key)
{
	const struct ini *ini = ini_of(chan->bdev);
	uint8_t cptpl = ini->ns.rescap & NVME_RESCAP_PTPL ? NVME_RESV_PTPL_ON : NVME_RESV_PTPL_KEEP;
	const struct nvme_resv_cmd cmd = {
		.action = NVME_RESV_REPLACE, .iekey = true, .cptpl = cptpl, .new_key = key
	};
	const struct nvme_resv_cmd plain = { .action = NVME_RESV_REGISTER,
					     .cptpl = cptpl,
					     .new_key = key };
	int r;

	/* Replace wants a registration where IEKEY is not of revision 1.3; then register. */
	r = ini_resv_on(f, chan, NVME_IO_RESV_REGISTER, &cmd, "registering a key");
	if (r == -ESTALE) {
		fiber_clear(f);
		r = ini_resv_on(f, chan, NVME_IO_RESV_REGISTER, &plain, "registering a key");
	}
	return r < 0 ? r : ini_key_keep(f, chan, key);
}

int ini_resv_unregister(struct fiber *f, struct bdev_chan *chan, uint64_t key)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_UNREGISTER, .key = key };

	TRY(ini_key_keep(f, chan, 0));
	return ini_resv_on(f, chan, NVME_IO_RESV_REGISTER, &cmd, "unregistering a key");
}

int ini_resv_acquire(struct fiber *f, struct bdev_chan *chan, uint64_t key, uint8_t type)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_ACQUIRE, .type = type, .key = key };

	return ini_resv_on(f, chan, NVME_IO_RESV_ACQUIRE, &cmd, "acquiring a reservation");
}

int ini_resv_preempt(struct fiber *f, struct bdev_chan *chan, uint64_t key, uint64_t old_key,
		     uint8_t type)
{
	const struct nvme_resv_cmd cmd = {
		.action = NVME_RESV_PREEMPT_ABORT, .type = type, .key = key, .new_key = old_key
	};

	return ini_resv_on(f, chan, NVME_IO_RESV_ACQUIRE, &cmd, "preempting a reservation");
}

int ini_resv_release(struct fiber *f, struct bdev_chan *chan, uint64_t key, uint8_t type)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_RELEASE, .type = type, .key = key };

	return ini_resv_on(f, chan, NVME_IO_RESV_RELEASE, &cmd, "releasing a reservation");
}

int ini_resv_clear(struct fiber *f, struct bdev_chan *chan, uint64_t key)
{
	const struct nvme_resv_cmd cmd = { .action = NVME_RESV_CLEAR, .key = key };

	TRY(ini_key_keep(f, chan, 0));
	return ini_resv_on(f, chan, NVME_IO_RESV_RELEASE, &cmd, "clearing reservations");
}

/* ---- the report ---------------------------------------------------------------------------- */

static int ini_resv_decode(const uint8_t *data, size_t size, struct resv_state *ret)
{
	struct nvme_resv_report report;

	TRY(nvme_resv_report_decode(data, size, true, &report));
	if (report.registrants > RESV_REGISTRANTS_MAX)
		return -E2BIG;
	*ret = (struct resv_state){ .generation = report.generation,
				    .type = report.type,
				    .ptpl = report.ptpl,
				    .holder = -1,
				    .count = report.registrants };
	for (unsigned i = 0; i < report.registrants; i++) {
		struct nvme_resv_host host;

		TRY(nvme_resv_host_decode(data, size, true, i, &host));
		ret->registrant[i].key = host.key;
		memcpy(ret->registrant[i].host_id.bytes, host.host_id,
		       sizeof(ret->registrant[i].host_id.bytes));
		if (host.holder && ret->holder < 0)
			ret->holder = (int32_t)i;
	}
	if (ret->type == NVME_RESV_WRITE_EXCLUSIVE_ALL ||
	    ret->type == NVME_RESV_EXCLUSIVE_ACCESS_ALL)
		ret->holder = -1;
	return 0;
}

int ini_resv_report(struct fiber *f, struct bdev_chan *chan, struct resv_state *ret)
{
	CLEANUP(cleanup_mem) uint8_t *data = mem_new(fiber_io(f), INI_REPORT_BYTES);
	struct nvme_sqe sqe = { .opcode = NVME_IO_RESV_REPORT,
				.cdw10 = INI_REPORT_BYTES / 4 - 1,
				.cdw11 = 1 };
	struct nvme_cqe cqe;
	int r;
	struct ini_queue *q = ini_resv_queue(f, chan, &r);

	if (r < 0)
		return r;
	if (!data)
		return fiber_fail(f, -ENOMEM, "no memory for a reservation report");
	sqe.nsid = q->ini->ns.nsid;
	TRY(ini_call_ok(f, q, &sqe, data, INI_REPORT_BYTES, "reading reservations", &cqe));
	r = ini_resv_decode(data, INI_REPORT_BYTES, ret);
	if (r < 0)
		return fiber_fail(f, -EPROTO, "the reservation report makes no sense");
	return 0;
}
