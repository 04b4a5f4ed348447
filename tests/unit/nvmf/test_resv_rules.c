// SPDX-License-Identifier: Apache-2.0
/*
 * Reservations as the tables of the specification have them (Base 2.0, sections 7.2 to 7.5,
 * 8.19), and what subsystems marked `fence` add.
 */
#include <string.h>

#include "unit/unit.h"

#include "nvmf/tgt_resv_priv.h"
#include "wire/nvme_status.h"

#define CONFLICT (NVME_RESERVATION_CONFLICT | NVME_DNR)
#define BAD	 (NVME_INVALID_FIELD | NVME_DNR)
#define WE	 NVME_RESV_WRITE_EXCLUSIVE
#define EA	 NVME_RESV_EXCLUSIVE_ACCESS
#define ALL	 TGT_MAY_ALL

static struct resv_state state;
static struct tgt_resv_effect effect;
static bool fence;
static uint64_t fence_token;
static bool can_persist;

static int fresh(void **unused)
{
	state = (struct resv_state){ .holder = -1 };
	fence = false;
	fence_token = 0;
	can_persist = true;
	return 0;
}

static struct uuid host(char name)
{
	return (struct uuid){ { (uint8_t)name, 1 } };
}

static uint16_t apply(char who, uint8_t opcode, struct nvme_resv_cmd cmd)
{
	struct resv_state before = state;
	struct tgt_resv_ask ask = {
		.opcode = opcode,
		.cmd = cmd,
		.host_id = host(who),
		.can_persist = can_persist,
		.is_fence = fence,
		.fence_token = fence_token,
	};
	uint16_t status;

	memset(&effect, 0, sizeof(effect));
	status = tgt_resv_apply(&state, &ask, &effect);
	if (status)
		assert_memory_equal(&state, &before, sizeof(state)); /* V1 */
	assert_int_equal(state.holder >= 0, state.type != 0);	     /* V2 */
	assert_true(state.holder < (int)state.count);
	return status;
}

static uint16_t reg(char who, uint64_t key)
{
	return apply(who, NVME_IO_RESV_REGISTER, (struct nvme_resv_cmd){ .new_key = key });
}

static uint16_t replace(char who, uint64_t key, uint64_t new_key, bool iekey)
{
	return apply(who, NVME_IO_RESV_REGISTER,
		     (struct nvme_resv_cmd){ .action = NVME_RESV_REPLACE,
					     .key = key,
					     .new_key = new_key,
					     .iekey = iekey });
}

static uint16_t unreg(char who, uint64_t key, bool iekey)
{
	return apply(who, NVME_IO_RESV_REGISTER,
		     (struct nvme_resv_cmd){
			     .action = NVME_RESV_UNREGISTER, .key = key, .iekey = iekey });
}

static uint16_t acquire(char who, uint64_t key, uint8_t type)
{
	return apply(who, NVME_IO_RESV_ACQUIRE, (struct nvme_resv_cmd){ .key = key, .type = type });
}

static uint16_t preempt(char who, uint64_t key, uint64_t victim, uint8_t type)
{
	return apply(
		who, NVME_IO_RESV_ACQUIRE,
		(struct nvme_resv_cmd){
			.action = NVME_RESV_PREEMPT, .key = key, .new_key = victim, .type = type });
}

static uint16_t preempt_abort(char who, uint64_t key, uint64_t victim, uint8_t type)
{
	return apply(who, NVME_IO_RESV_ACQUIRE,
		     (struct nvme_resv_cmd){ .action = NVME_RESV_PREEMPT_ABORT,
					     .key = key,
					     .new_key = victim,
					     .type = type });
}

static uint16_t release(char who, uint64_t key, uint8_t type)
{
	return apply(who, NVME_IO_RESV_RELEASE, (struct nvme_resv_cmd){ .key = key, .type = type });
}

static uint16_t clear(char who, uint64_t key)
{
	return apply(who, NVME_IO_RESV_RELEASE,
		     (struct nvme_resv_cmd){ .action = NVME_RESV_CLEAR, .key = key });
}

static uint8_t rights(char who)
{
	struct uuid id = host(who);

	return tgt_resv_rights(&state, &id);
}

static bool is_registered(char who)
{
	struct uuid id = host(who);

	return tgt_resv_find(&state, &id) >= 0;
}

static bool holds(char who)
{
	struct uuid id = host(who);

	return state.holder >= 0 && tgt_resv_find(&state, &id) == state.holder;
}

/* ---- register ------------------------------------------------------------------------------- */

static void a_host_registers_once(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_true(effect.changed && is_registered('a'));
	assert_int_equal(state.generation, 1);
	assert_int_equal(reg('a', 1), 0); /* again, the same key */
	assert_int_equal(state.count, 1);
	assert_int_equal(reg('a', 2), CONFLICT); /* another */
	assert_int_equal(reg('b', 1), 0);	 /* two hosts may have the same key */
	assert_int_equal(state.count, 2);
	assert_int_equal(state.generation, 3);
}

static void a_key_is_replaced_by_who_knows_it(void **unused)
{
	assert_int_equal(replace('a', 0, 5, false), CONFLICT); /* no registrant */
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(replace('a', 9, 5, false), CONFLICT);
	assert_int_equal(replace('a', 1, 5, false), 0);
	assert_int_equal(state.registrant[0].key, 5);
	assert_int_equal(replace('a', 9, 6, true), 0); /* IEKEY */
	assert_int_equal(state.registrant[0].key, 6);
	assert_int_equal(replace('b', 0, 7, true), 0); /* IEKEY: a registrant or not */
	assert_true(is_registered('b'));
}

static void a_host_unregisters_by_its_key(void **unused)
{
	assert_int_equal(unreg('a', 1, false), CONFLICT);
	assert_int_equal(unreg('a', 1, true), CONFLICT); /* a registrant it must be */
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(unreg('a', 2, false), CONFLICT);
	assert_int_equal(unreg('a', 1, false), 0);
	assert_false(is_registered('a'));
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(unreg('a', 9, true), 0);
	assert_int_equal(state.count, 0);
}

static void the_holder_that_unregisters_releases(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(acquire('b', 2, WE), 0);
	assert_int_equal(unreg('a', 1, false), 0);
	assert_true(holds('b')); /* its place in the list moved */
	assert_int_equal(unreg('b', 2, false), 0);
	assert_int_equal(state.type, 0);
	assert_int_equal(effect.tell_released, 0); /* nobody is told of these types */
}

static void persistence_is_switched_by_cptpl(void **unused)
{
	struct nvme_resv_cmd cmd = { .new_key = 1, .cptpl = NVME_RESV_PTPL_ON };

	can_persist = false;
	assert_int_equal(apply('a', NVME_IO_RESV_REGISTER, cmd), BAD);
	can_persist = true;
	assert_int_equal(apply('a', NVME_IO_RESV_REGISTER, cmd), 0);
	assert_true(state.ptpl);
	assert_int_equal(reg('b', 2), 0); /* no change */
	assert_true(state.ptpl);
	cmd.cptpl = NVME_RESV_PTPL_OFF;
	assert_int_equal(apply('a', NVME_IO_RESV_REGISTER, cmd), 0);
	assert_false(state.ptpl);
	cmd = (struct nvme_resv_cmd){ .new_key = 9, .cptpl = NVME_RESV_PTPL_ON };
	assert_int_equal(apply('a', NVME_IO_RESV_REGISTER, cmd), CONFLICT);
	assert_false(state.ptpl); /* refused as a whole */
}

static void registrants_are_limited(void **unused)
{
	for (unsigned i = 0; i < RESV_REGISTRANTS_MAX; i++)
		assert_int_equal(reg((char)i, 7), 0);
	assert_int_equal(reg('~', 7), NVME_INTERNAL_ERROR | NVME_DNR);
	assert_int_equal(preempt(0, 7, 7, WE), 0); /* a whole set of them, me too */
	assert_int_equal(state.count, 0);
}

/* ---- acquire, release ----------------------------------------------------------------------- */

static void a_registrant_acquires(void **unused)
{
	assert_int_equal(acquire('a', 1, WE), CONFLICT);
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(acquire('a', 2, WE), CONFLICT); /* not its key */
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(state.generation, 2); /* not counted */
	assert_true(holds('a'));
	assert_int_equal(acquire('a', 1, WE), 0);	 /* again */
	assert_int_equal(acquire('a', 1, EA), CONFLICT); /* as another type */
	assert_int_equal(acquire('b', 2, WE), CONFLICT);
}

static void other_types_and_iekey_are_refused(void **unused)
{
	struct nvme_resv_cmd cmd = { .key = 1, .type = WE, .iekey = true };

	assert_int_equal(reg('a', 1), 0);
	for (uint8_t type = 3; type <= 6; type++)
		assert_int_equal(acquire('a', 1, type), BAD);
	assert_int_equal(apply('a', NVME_IO_RESV_ACQUIRE, cmd), BAD);
	assert_int_equal(apply('a', NVME_IO_RESV_RELEASE, cmd), BAD);
	assert_int_equal(apply('a', NVME_IO_READ, cmd), NVME_INVALID_OPCODE | NVME_DNR);
}

static void rights_follow_the_table_of_conflicts(void **unused)
{
	assert_int_equal(rights('a'), ALL);
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(rights('c'), ALL); /* registered is not reserved */
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(rights('a'), ALL);
	assert_int_equal(rights('b'), TGT_MAY_READ);
	assert_int_equal(rights('c'), TGT_MAY_READ);
	assert_int_equal(release('a', 1, WE), 0);
	assert_int_equal(acquire('a', 1, EA), 0);
	assert_int_equal(rights('a'), ALL);
	assert_int_equal(rights('b'), 0);
	assert_int_equal(rights('c'), 0);

	assert_int_equal(tgt_resv_needs(NVME_IO_READ), TGT_MAY_READ);
	assert_int_equal(tgt_resv_needs(NVME_IO_COMPARE), TGT_MAY_READ);
	assert_int_equal(tgt_resv_needs(NVME_IO_VERIFY), TGT_MAY_READ);
	assert_int_equal(tgt_resv_needs(NVME_IO_WRITE), TGT_MAY_WRITE);
	assert_int_equal(tgt_resv_needs(NVME_IO_FLUSH), TGT_MAY_WRITE);
	assert_int_equal(tgt_resv_needs(NVME_IO_DATASET_MANAGEMENT), TGT_MAY_WRITE);
	assert_int_equal(tgt_resv_needs(NVME_IO_WRITE_ZEROES), TGT_MAY_WRITE);
	assert_int_equal(tgt_resv_needs(NVME_IO_WRITE_UNCORRECTABLE), TGT_MAY_WRITE);
	assert_int_equal(tgt_resv_needs(NVME_IO_COPY), ALL);
	assert_int_equal(tgt_resv_needs(NVME_IO_RESV_REPORT), 0);
}

static void the_holder_releases(void **unused)
{
	assert_int_equal(release('a', 1, WE), CONFLICT); /* no registrant */
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(release('a', 1, WE), 0); /* nothing held: nothing done */
	assert_false(effect.changed);
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(release('b', 2, WE), 0); /* not the holder: nothing done */
	assert_true(holds('a'));
	assert_int_equal(release('a', 1, EA), BAD);
	assert_int_equal(release('a', 3, WE), CONFLICT);
	assert_int_equal(release('a', 1, WE), 0);
	assert_true(effect.changed && is_registered('a'));
	assert_int_equal(effect.tell_released, 0);
	assert_int_equal(state.type, 0);
}

static void clear_takes_all(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(reg('c', 3), 0);
	assert_int_equal(acquire('a', 1, EA), 0);
	assert_int_equal(clear('d', 1), CONFLICT);
	assert_int_equal(clear('b', 1), CONFLICT);
	assert_int_equal(clear('b', 2), 0); /* any registrant may */
	assert_int_equal(state.count, 0);
	assert_int_equal(state.type, 0);
	assert_int_equal(state.generation, 4);
	assert_int_equal(effect.tell_resv_preempted, 5); /* a and c */
}

/* ---- preempt -------------------------------------------------------------------------------- */

static void preempt_of_the_holder_takes_its_place(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(reg('c', 1), 0); /* the holder's key, too */
	assert_int_equal(reg('d', 4), 0);
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(preempt('b', 9, 1, EA), CONFLICT);
	assert_int_equal(preempt('e', 2, 1, EA), CONFLICT);
	assert_int_equal(preempt('b', 2, 1, EA), 0);
	assert_true(holds('b'));
	assert_int_equal(state.type, EA);
	assert_false(is_registered('a') || is_registered('c'));
	assert_true(is_registered('d'));
	assert_int_equal(state.generation, 5);
	assert_int_equal(effect.tell_preempted, 5); /* a and c, as they stood */
	assert_int_equal(effect.removed, 5);
	assert_int_equal(effect.tell_released, 8); /* d: another type now */
	assert_false(effect.drains);
}

static void preempt_of_others_leaves_the_reservation(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(reg('c', 3), 0);
	assert_int_equal(acquire('c', 3, WE), 0);
	assert_int_equal(preempt('b', 2, 1, EA), 0);
	assert_true(holds('c') && state.type == WE);
	assert_false(is_registered('a'));
	assert_int_equal(effect.tell_preempted, 1);
	assert_int_equal(preempt('b', 2, 77, WE), CONFLICT); /* nobody has it */
	assert_int_equal(preempt('b', 2, 0, WE), BAD);
}

static void preempt_where_nothing_is_held_only_unregisters(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(preempt('b', 2, 1, EA), 0);
	assert_int_equal(state.type, 0);
	assert_false(is_registered('a'));
}

static void a_holder_preempts_itself_to_change_the_type(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 1), 0);
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(preempt('a', 1, 1, EA), 0);
	assert_true(holds('a') && state.type == EA);
	assert_false(is_registered('b'));
	assert_int_equal(effect.tell_preempted, 2);
}

static void preempt_and_abort_drains(void **unused)
{
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(acquire('a', 1, EA), 0);
	assert_int_equal(preempt_abort('b', 2, 1, EA), 0);
	assert_true(holds('b') && effect.drains);
	assert_int_equal(effect.removed, 1);
	assert_false(effect.fences);
}

/* ---- fence ---------------------------------------------------------------------------------- */

static void tokens_only_grow(void **unused)
{
	fence = true;
	fence_token = 0x50000;
	assert_int_equal(reg('a', 0x4ffff), CONFLICT); /* V3: also when nothing is held */
	assert_int_equal(reg('a', 0), CONFLICT);
	assert_int_equal(reg('a', 0x50000), 0);
	assert_true(effect.binds);
	assert_int_equal(reg('b', 0x50000), CONFLICT); /* another host's */
	assert_int_equal(reg('b', 0x60000), 0);
	assert_int_equal(replace('b', 0, 0x40000, true), CONFLICT);
	assert_int_equal(acquire('a', 0x50000, EA), CONFLICT); /* V4: deposed before it began */
	assert_int_equal(acquire('b', 0x60000, EA), 0);
	assert_true(effect.fences);
	fence_token = 0x60000;
	assert_int_equal(preempt_abort('a', 0x50000, 0x60000, EA), CONFLICT);
	assert_int_equal(replace('a', 0, 0x60001, true), 0);
	assert_int_equal(preempt_abort('a', 0x60001, 0x60000, EA), 0);
	assert_true(holds('a') && effect.fences && effect.drains);
	assert_false(is_registered('b'));
}

/* V5 */
static void who_takes_it_deposes_all_others(void **unused)
{
	fence = true;
	assert_int_equal(reg('a', 1), 0);
	assert_int_equal(acquire('a', 1, WE), 0);
	assert_int_equal(reg('b', 2), 0);
	assert_int_equal(reg('c', 3), 0);
	assert_int_equal(reg('d', 4), 0);
	assert_int_equal(acquire('d', 4, EA), CONFLICT); /* a has it */
	assert_int_equal(preempt('d', 4, 2, EA), 0);	 /* b's key: and a and c go, too */
	assert_true(holds('d') && state.type == EA);
	assert_int_equal(state.count, 1);
	assert_int_equal(effect.removed, 7);
	assert_int_equal(effect.tell_preempted, 7);
	assert_true(effect.fences && effect.drains);
	assert_int_equal(reg('e', 5), 0);
	assert_int_equal(release('d', 4, EA), 0);
	assert_int_equal(acquire('e', 5, EA), 0); /* it is free: d goes all the same */
	assert_true(holds('e') && state.count == 1);
	assert_int_equal(effect.tell_preempted, 1);
}

static void sessions_that_died_do_not_fill_it_up(void **unused)
{
	fence = true;
	assert_int_equal(reg('~', 1), 0);
	assert_int_equal(acquire('~', 1, EA), 0);
	for (unsigned i = 0; i < 3 * RESV_REGISTRANTS_MAX; i++) {
		struct uuid id = host('x');
		struct tgt_resv_ask ask = { .opcode = NVME_IO_RESV_REGISTER,
					    .cmd = { .new_key = 2 + i },
					    .host_id = id,
					    .is_fence = true };

		ask.host_id.bytes[5] = (uint8_t)i;
		assert_int_equal(tgt_resv_apply(&state, &ask, &effect), 0);
		assert_true(holds('~'));
	}
	assert_int_equal(state.count, RESV_REGISTRANTS_MAX);
	assert_int_equal(state.registrant[RESV_REGISTRANTS_MAX - 1].key,
			 1 + 3 * RESV_REGISTRANTS_MAX);
}

static void a_fence_goes_up_again_when_acquired_again(void **unused)
{
	fence = true;
	assert_int_equal(reg('a', 7), 0);
	assert_int_equal(acquire('a', 7, EA), 0);
	assert_int_equal(acquire('a', 7, EA), 0);
	assert_true(effect.changed && effect.fences);
	assert_int_equal(unreg('a', 7, false), 0);
	assert_false(effect.binds || effect.fences);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, fresh)
	const struct CMUnitTest tests[] = {
		CASE(a_host_registers_once),
		CASE(a_key_is_replaced_by_who_knows_it),
		CASE(a_host_unregisters_by_its_key),
		CASE(the_holder_that_unregisters_releases),
		CASE(persistence_is_switched_by_cptpl),
		CASE(registrants_are_limited),
		CASE(a_registrant_acquires),
		CASE(other_types_and_iekey_are_refused),
		CASE(rights_follow_the_table_of_conflicts),
		CASE(the_holder_releases),
		CASE(clear_takes_all),
		CASE(preempt_of_the_holder_takes_its_place),
		CASE(preempt_of_others_leaves_the_reservation),
		CASE(preempt_where_nothing_is_held_only_unregisters),
		CASE(a_holder_preempts_itself_to_change_the_type),
		CASE(preempt_and_abort_drains),
		CASE(tokens_only_grow),
		CASE(who_takes_it_deposes_all_others),
		CASE(sessions_that_died_do_not_fill_it_up),
		CASE(a_fence_goes_up_again_when_acquired_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
