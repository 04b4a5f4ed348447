/* SPDX-License-Identifier: Apache-2.0 */
/* cluster_world - see cluster_world.h. */
#include "cluster_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/must.h"
#include "io/addr.h"

static const char *const uris[CW_MEMBERS] = { "pool:///p0/r", "pool:///p0/s", "pool:///p1/r",
					      "pool:///p1/s", "pool:///p2/r", "pool:///p2/s" };

const char *cw_uri(const struct cluster *c, unsigned member)
{
	return c->uris[member];
}

void cw_name_members(struct cluster *c)
{
	for (unsigned i = 0; i < CW_MEMBERS; i++) {
		const struct cw_node *node = &c->nodes[i / CW_REPLICAS];
		char addr[IO_ADDR_TEXT_MAX], nqn[64];
		struct io_addr at;

		if (!c->is_remote) {
			snprintf(c->uris[i], CW_URI_MAX, "%s", uris[i]);
			continue;
		}
		sim_host_addr(node->place->host, CW_PORT, &at);
		cw_node_nqn(i, nqn);
		snprintf(c->uris[i], CW_URI_MAX, "nvmf://%s/%s?kato_ms=%" PRIu32 "&%s",
			 io_addr_print(&at, addr), nqn, c->kato_ms,
			 "timeout_ms=2000&wait_ms=1000&connect_ms=1000");
	}
}

int cw_member(const struct cluster *c, const char *uri)
{
	for (unsigned i = 0; i < CW_MEMBERS; i++)
		if (strcmp(cw_uri(c, i), uri) == 0)
			return (int)i;
	return -1;
}

uint64_t cw_lba(uint64_t cell)
{
	uint64_t border = (cell / CW_GROUP + 1) * (CW_REGION / 512);

	return border + cell % CW_GROUP * CW_CELL_LBAS - CW_GROUP / 2 * CW_CELL_LBAS;
}

bool cw_record(const struct cluster *c, struct volume_record *ret)
{
	char key[STORE_KEY_MAX + 1];
	const struct store_record *record;
	struct err err = { 0 };

	volume_key(&c->volume, key);
	record = sim_store_look(c->ss, key);
	if (!record)
		return false;
	if (volume_decode(record->value, record->len, ret, &err) < 0)
		sim_fail(c->sim, "the record is damaged: %s", err.words);
	return true;
}

static void trace_record(const struct cluster *c, const struct volume_record *rec)
{
	char line[300];
	size_t at = 0;

	for (unsigned i = 0; i < rec->member_count && at < sizeof(line); i++)
		at += (size_t)snprintf(line + at, sizeof(line) - at, " %s %s%s",
				       rec->members[i].uri,
				       volume_member_state_name(rec->members[i].state),
				       rec->members[i].is_offline ? "*" : "");
	sim_trace(c->sim, "record: epoch %" PRIu64 " gen %" PRIu64 ".%" PRIu64 "%s:%s", rec->epoch,
		  rec->gen_epoch, rec->gen_n, rec->clean ? " clean" : "", at ? line : "");
}

unsigned cw_in_sync(const struct cluster *c, const struct volume_record *rec)
{
	unsigned mask = 0;

	for (unsigned i = 0; i < rec->member_count; i++) {
		int member = cw_member(c, rec->members[i].uri);

		if (member >= 0 && rec->members[i].state == VOLUME_IN_SYNC)
			mask |= 1u << member;
	}
	return mask;
}

void cw_record_changed(struct cluster *c)
{
	struct volume_record *rec = mem_alloc(sim_mem(c->sim), sizeof(*rec));
	unsigned in_sync;

	must(rec);
	if (cw_record(c, rec)) {
		trace_record(c, rec);
		in_sync = cw_in_sync(c, rec);
		if (c->last_epoch && rec->epoch > c->last_epoch && !c->last_clean)
			sim_fault_count(c->sim, SIM_STORY_TAKEOVER);
		if (c->last_epoch && in_sync & ~c->last_in_sync)
			sim_fault_count(c->sim, SIM_STORY_REBUILD);
		cw_cache_record(c, rec->epoch, in_sync);
		c->last_epoch = rec->epoch;
		c->last_clean = rec->clean;
	}
	mem_free(rec);
}

/* ---- operations ----------------------------------------------------------------------------- */

struct cw_op *cw_op_begin_at(struct cluster *c, const struct cw_place *place, enum op_state state,
			     uint64_t cell, uint64_t count)
{
	for (unsigned i = 0; i < CW_OPS_MAX; i++) {
		struct cw_op *op = &c->ops[i];

		if (op->state != OP_FREE)
			continue;
		*op = (struct cw_op){ .state = state,
				      .place = place->number,
				      .cell = cell,
				      .count = count,
				      .mark = check_flush_begin(c->check) };
		return op;
	}
	return NULL;
}

struct cw_op *cw_op_begin(struct cluster *c, const struct cw_cand *cand, enum op_state state,
			  uint64_t cell, uint64_t count)
{
	struct cw_op *op = cw_op_begin_at(c, cand->place, state, cell, count);

	if (op)
		op->epoch = cand->epoch;
	return op;
}

static void op_writes_end(struct cluster *c, struct cw_op *op, enum check_end how)
{
	for (uint64_t i = 0; i < op->count; i++)
		check_write_end(c->check, op->cell + i, op->writes[i], how);
}

void cw_op_end(struct cluster *c, struct cw_op *op, bool ok)
{
	if (!op->epoch) /* the host's: any owner so far may have it */
		op->epoch = c->last_epoch;
	if (op->state == OP_WRITING && !ok) {
		op->state = OP_IN_DOUBT;
		return;
	}
	if (op->state == OP_WRITING && op->mark < c->cut_mark)
		op_writes_end(c, op, CHECK_FAILED);
	else if (op->state == OP_WRITING)
		op_writes_end(c, op, c->is_volatile && !op->is_fua ? CHECK_ACKED : CHECK_DURABLE);
	if (op->state == OP_FLUSHING && ok && op->mark > c->cut_mark)
		check_flush_end(c->check, op->mark, true);
	if (op->state == OP_READING)
		check_read_end(c->check);
	op->state = OP_FREE;
}

void cw_serves(struct cluster *c, uint64_t epoch)
{
	for (unsigned i = 0; i < CW_OPS_MAX; i++) {
		struct cw_op *op = &c->ops[i];

		if (op->state != OP_IN_DOUBT || op->epoch >= epoch)
			continue;
		op_writes_end(c, op, CHECK_FAILED);
		op->state = OP_FREE;
	}
	cw_cache_serves(c, epoch);
}

void cw_place_gone(struct cw_place *place)
{
	struct cluster *c = place->c;

	for (unsigned i = 0; i < CW_OPS_MAX; i++) {
		struct cw_op *op = &c->ops[i];

		if (op->state == OP_FREE || op->state == OP_IN_DOUBT || op->place != place->number)
			continue;
		cw_op_end(c, op, false);
	}
	for (unsigned i = 0; place == c->host.place && i < CW_WORKERS_MAX; i++)
		c->host.requests[i].op = NULL;
	for (unsigned i = 0; i < CW_NODES; i++)
		if (place->nodes >> i & 1)
			c->nodes[i].pool = NULL;
	for (unsigned i = 0; i < c->cand_count; i++) {
		struct cw_cand *cand = &c->cands[i];

		if (!(place->cands >> i & 1))
			continue;
		cand->store = NULL;
		cand->table = NULL;
		cand->nexus = NULL;
		cand->bdev = NULL;
		cand->publish = NULL;
	}
}

/* ---- bytes ------------------------------------------------------------------------------------- */

void cw_judge(struct cluster *c, uint64_t cell, uint64_t mark, const uint8_t *bytes)
{
	uint64_t serial = 0, first = 0;
	bool is_whole = true; /* not torn */
	char text[160];

	for (uint32_t sector = 0; sector < CW_SECTORS; sector++) {
		enum pattern_kind kind = pattern_look(bytes + sector * PATTERN_SECTOR,
						      sim_seed(c->sim), cell, sector, &serial);

		if (kind != PATTERN_GOOD && kind != PATTERN_ALL_ZEROS) {
			sim_fail(c->sim, "cell %" PRIu64 " sector %u is foreign", cell, sector);
			return;
		}
		first = sector ? first : serial;
		is_whole = is_whole && first == serial;
		/* one that began before a loss may return what was right then, long after */
		if (!check_may_read(c->check, cell, mark, serial) && mark > c->cut_mark) {
			sim_fail(c->sim, "cell %" PRIu64 " reads %" PRIu64 "; it may be %s", cell,
				 serial, check_explain(c->check, cell, text, sizeof(text)));
			return;
		}
	}
	if (is_whole && mark > c->cut_mark &&
	    check_has_ended(c->check, cell, serial, mark)) /* as while it is idle */
		check_saw(c->check, cell, serial);
}
