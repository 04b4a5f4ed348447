// SPDX-License-Identifier: Apache-2.0
/*
 * Subsystems, hosts and namespaces: what is refused, and what happens to those that are used.
 */
#include "unit/nvmf/admin_rig.h"

#include "bdev/bdev_driver.h"
#include "wire/nvme_identify.h"
#include "wire/nvme_list.h"

static void good_and_bad_names(void **state)
{
	static const char *const good[] = {
		"nqn.2014-08.org.nvmexpress:uuid:01020304-0506-0708-090a-0b0c0d0e0f10",
		"nqn.2019-05.io.openebs:vol", "nqn.2014-08.org.nvmexpress.discovery"
	};
	static const char *const bad[] = { "",
					   "nqn",
					   "iqn.2014-08.org.a:b",
					   "nqn.14-08.org.a:b",
					   "nqn.2014-8.org.a:b",
					   "nqn.2014-08.:b",
					   "nqn.2014-08.org a:b",
					   "nqn.2014-08.a:b\n" };
	char name[NVME_NQN_MAX + 2];

	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		assert_true(tgt_nqn_is_good(good[i]));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(tgt_nqn_is_good(bad[i]));
	memset(name, 'x', sizeof(name));
	memcpy(name, "nqn.2014-08.a:", 14);
	name[NVME_NQN_MAX + 1] = 0;
	assert_false(tgt_nqn_is_good(name));
	name[NVME_NQN_MAX] = 0;
	assert_true(tgt_nqn_is_good(name));
}

static void subsys_refused(struct admin_rig *ar, struct tgt_subsys_args args, int code)
{
	struct tgt_subsys *subsys = NULL;

	assert_int_equal(tgt_subsys_add(ar->f, &ar->tgt, &args, &subsys), code);
	assert_null(subsys);
	assert_true(strlen(fiber_words(ar->f)) > 0);
	fiber_clear(ar->f);
}

RIG_TEST(a_subsystem_is_refused_with_words)
{
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = ADMIN_SUBNQN }, -EEXIST);
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = NVME_DISCOVERY_NQN }, -EEXIST);
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = "disk" }, -EINVAL);
	subsys_refused(&ar, (struct tgt_subsys_args){ 0 }, -EINVAL);
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = ADMIN_SUBNQN "2", .serial = "" },
		       -EINVAL);
	subsys_refused(&ar,
		       (struct tgt_subsys_args){ .nqn = ADMIN_SUBNQN "2",
						 .serial = "123456789012345678901" },
		       -EINVAL);
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = ADMIN_SUBNQN "2", .model = "\x80" },
		       -EINVAL);
	subsys_refused(&ar,
		       (struct tgt_subsys_args){
			       .nqn = ADMIN_SUBNQN "2", .cntlid_min = 9, .cntlid_max = 8 },
		       -EINVAL);
	admin_rig_stop(&ar);
}

RIG_TEST(hosts_are_listed_and_limited)
{
	struct tgt_subsys_args args = { .nqn = ADMIN_SUBNQN };
	struct admin_rig ar;
	char nqn[64];

	admin_rig_start(f, rig, &ar, &args);
	assert_false(tgt_host_may_connect(ar.subsys, ADMIN_HOST_A));
	assert_true(tgt_host_may_connect(ar.tgt.discovery, ADMIN_HOST_A));
	assert_int_equal(tgt_host_allow(f, ar.subsys, ADMIN_HOST_A), 0);
	assert_true(tgt_host_may_connect(ar.subsys, ADMIN_HOST_A));
	assert_false(tgt_host_may_connect(ar.subsys, ADMIN_HOST_B));
	assert_int_equal(tgt_host_allow(f, ar.subsys, ADMIN_HOST_A), -EEXIST);
	fiber_clear(f);
	assert_int_equal(tgt_host_allow(f, ar.subsys, "me"), -EINVAL);
	fiber_clear(f);
	assert_int_equal(tgt_host_deny(f, ar.subsys, ADMIN_HOST_B), -ENOENT);
	fiber_clear(f);
	assert_int_equal(tgt_host_deny(f, ar.subsys, ADMIN_HOST_A), 0);
	assert_int_equal(ar.counts.ctrls_closed, 1); /* its controller */
	assert_false(tgt_host_may_connect(ar.subsys, ADMIN_HOST_A));
	for (unsigned i = 0; i < TGT_HOSTS_MAX; i++) {
		snprintf(nqn, sizeof(nqn), "nqn.2024-01.io.test:h%u", i);
		assert_int_equal(tgt_host_allow(f, ar.subsys, nqn), 0);
	}
	assert_int_equal(tgt_host_allow(f, ar.subsys, ADMIN_HOST_B), -EMFILE);
	fiber_clear(f);
	admin_rig_stop(&ar);
}

static void ns_refused(struct admin_rig *ar, struct tgt_ns_args args, int code)
{
	struct tgt_ns *ns = NULL;

	assert_int_equal(tgt_ns_add(ar->f, ar->subsys, &args, &ns), code);
	assert_true(strlen(fiber_words(ar->f)) > 0);
	fiber_clear(ar->f);
}

RIG_TEST(a_namespace_is_refused_with_words)
{
	struct tgt_subsys_args args = { .nqn = ADMIN_SUBNQN, .fence = true };
	struct admin_rig ar;

	admin_rig_start(f, rig, &ar, NULL);
	admin_ns(&ar, 4, "malloc:///a?size_mb=8");
	ns_refused(&ar, (struct tgt_ns_args){ .nsid = 4, .uri = "malloc:///b?size_mb=8" }, -EEXIST);
	ns_refused(&ar, (struct tgt_ns_args){ .nsid = 1025, .uri = "malloc:///b?size_mb=8" },
		   -EINVAL);
	ns_refused(&ar, (struct tgt_ns_args){ .ana_group = 17, .uri = "malloc:///b?size_mb=8" },
		   -EINVAL);
	ns_refused(&ar, (struct tgt_ns_args){ .uri = "nothing:///b" }, -EINVAL);
	ns_refused(&ar, (struct tgt_ns_args){ .uri = "malloc:///a?size_mb=8" },
		   -EBUSY); /* claimed */
	assert_int_equal(ar.subsys->ns_count, 1);
	admin_rig_stop(&ar);
	admin_rig_start(f, rig, &ar, &args); /* a token is per controller: one namespace */
	admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	ns_refused(&ar, (struct tgt_ns_args){ .uri = "malloc:///b?size_mb=8" }, -EMFILE);
	admin_rig_stop(&ar);
}

/* As many as there can be, and one more. */
RIG_TEST(namespaces_and_subsystems_are_limited)
{
	struct tgt_subsys_args args = { 0 };
	struct tgt_subsys *subsys;
	struct admin_rig ar;
	char text[64];

	admin_rig_start(f, rig, &ar, NULL);
	for (unsigned i = 1; i <= TGT_NAMESPACES_MAX; i++) {
		snprintf(text, sizeof(text), "null:///n%u?size_mb=1", i);
		assert_int_equal(admin_ns(&ar, 0, text)->nsid, i);
	}
	ns_refused(&ar, (struct tgt_ns_args){ .uri = "null:///more?size_mb=1" }, -EMFILE);
	args.nqn = text;
	for (unsigned i = 1; i < TGT_SUBSYSTEMS_MAX; i++) {
		snprintf(text, sizeof(text), "nqn.2024-01.io.test:s%u", i);
		assert_int_equal(tgt_subsys_add(f, &ar.tgt, &args, &subsys), 0);
	}
	subsys_refused(&ar, (struct tgt_subsys_args){ .nqn = "nqn.2024-01.io.test:more" }, -EMFILE);
	admin_rig_stop(&ar);
}

RIG_TEST(a_paused_namespace_waits_until_all_have_resumed)
{
	struct admin_rig ar;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	ns = admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	tgt_ns_pause(f, ns);
	assert_true(ar.counts.rules.is_paused && ar.counts.drained == 1);
	tgt_ns_pause(f, ns);
	tgt_ns_resume(f, ns);
	assert_true(ar.counts.rules.is_paused);
	tgt_ns_resume(f, ns);
	assert_false(ar.counts.rules.is_paused);
	admin_rig_stop(&ar);
}

RIG_TEST(a_read_only_namespace_says_so)
{
	struct tgt_ns_args args = { .uri = "malloc:///a?size_mb=8", .read_only = true };
	struct nvme_id_ns id;
	struct admin_rig ar;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	assert_int_equal(tgt_ns_add(f, ar.subsys, &args, &ns), 0);
	assert_true(ar.counts.rules.is_read_only);
	tgt_id_ns(ns, &id);
	assert_int_equal(id.nsattr, NVME_NSATTR_WRITE_PROTECT);
	admin_rig_stop(&ar);
}

/* The disk goes; hosts see the namespace go; its owner takes away the rest, and may come back. */
RIG_TEST(a_namespace_without_its_disk_is_gone_for_hosts)
{
	struct admin_rig ar;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	ns = admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	bdev_removed(ns->bdev);
	for (unsigned i = 0; i < 100 && ns->bdev; i++)
		fiber_yield(f);
	assert_null(ns->bdev);
	assert_null(tgt_ns_active(ar.subsys, 1));
	assert_int_equal(ar.a->admin.changed[0], 1);
	assert_int_equal(tgt_ns_rescan(f, ns), -ENODEV);
	fiber_clear(f);
	tgt_ns_pause(f, ns);
	tgt_ns_resume(f, ns);
	assert_ptr_equal(tgt_ns_find(ar.subsys, 1), ns);
	tgt_ns_remove(f, ns);
	admin_ns(&ar, 1, "malloc:///b?size_mb=8");
	assert_non_null(tgt_ns_active(ar.subsys, 1));
	admin_rig_stop(&ar);
}

static int pauser(struct fiber *f, void *arg)
{
	struct tgt_ns *ns = arg;

	for (unsigned i = 0; i < 20; i++) {
		if (!tgt_ns_hold(f, ns))
			return 0;
		fiber_yield(f);
		tgt_ns_drop(f, ns);
	}
	return 0;
}

RIG_TEST(removal_waits_for_those_who_use_it)
{
	struct fiber *fibers[4];
	struct admin_rig ar;
	struct tgt_ns *ns;

	admin_rig_start(f, rig, &ar, NULL);
	ns = admin_ns(&ar, 1, "malloc:///a?size_mb=8");
	for (unsigned i = 0; i < ARRAY_LEN(fibers); i++)
		assert_int_equal(fiber_start(fiber_reactor(f), "user", pauser, ns, &fibers[i]), 0);
	for (unsigned i = 0; i < 5; i++)
		fiber_yield(f);
	tgt_ns_remove(f, ns);
	assert_null(ar.subsys->ns[0]);
	for (unsigned i = 0; i < ARRAY_LEN(fibers); i++)
		assert_int_equal(fiber_join(f, fibers[i]), 0);
	admin_rig_stop(&ar);
}

struct adder {
	struct tgt_subsys *subsys;
	const char *uri;
	int result;
};

static int adder_run(struct fiber *f, void *arg)
{
	struct adder *adder = arg;
	struct tgt_ns_args args = { .uri = adder->uri };
	struct tgt_ns *ns;

	adder->result = tgt_ns_add(f, adder->subsys, &args, &ns);
	fiber_clear(f);
	return 0;
}

/* Whether it will come to be or not, it is gone when the subsystem is. */
RIG_TEST(a_subsystem_goes_while_namespaces_come)
{
	for (unsigned fails = 0; fails < 2; fails++) {
		struct adder adders[2] = { { .uri = "malloc:///a?size_mb=8" },
					   { .uri = "malloc:///b?size_mb=8" } };
		struct fiber *fibers[2];
		struct tgt_subsys *other;
		struct admin_rig ar;

		admin_rig_start(f, rig, &ar, NULL);
		ar.counts.views_fail = fails;
		assert_int_equal(
			tgt_subsys_add(f, &ar.tgt,
				       &(struct tgt_subsys_args){ .nqn = ADMIN_SUBNQN "2" },
				       &other),
			0);
		for (unsigned i = 0; i < 2; i++) {
			adders[i].subsys = other;
			assert_int_equal(fiber_start(fiber_reactor(f), "adder", adder_run,
						     &adders[i], &fibers[i]),
					 0);
		}
		while (other->ns_count < 2)
			fiber_yield(f);
		tgt_subsys_remove(f, other);
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(fiber_join(f, fibers[i]), 0);
			assert_int_equal(adders[i].result, fails ? -ENOMEM : 0);
		}
		admin_rig_stop(&ar);
	}
}

RIG_TEST(a_resize_is_told)
{
	char path[256], uri[300];
	struct admin_rig ar;
	struct tgt_ns *ns;
	FILE *file;

	admin_rig_start(f, rig, &ar, NULL);
	rig_file(rig, "grows", 8 << 20);
	rig_path(rig, "grows", path, sizeof(path));
	snprintf(uri, sizeof(uri), "file://%s?blk_size=512", path);
	ns = admin_ns(&ar, 1, uri);
	ar.a->admin.changed[0] = 0;
	assert_int_equal(tgt_ns_rescan(f, ns), 0);
	assert_int_equal(ar.a->admin.changed[0], 0);
	file = fopen(path, "r+");
	assert_non_null(file);
	fseek(file, (16 << 20) - 1, SEEK_SET);
	fputc(0, file);
	fclose(file);
	assert_int_equal(tgt_ns_rescan(f, ns), 0);
	assert_int_equal(ar.a->admin.changed[0], 1);
	assert_true(ns->bdev->blocks == 32768);
	admin_rig_stop(&ar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_and_bad_names),
		cmocka_unit_test(a_subsystem_is_refused_with_words),
		cmocka_unit_test(hosts_are_listed_and_limited),
		cmocka_unit_test(a_namespace_is_refused_with_words),
		cmocka_unit_test(namespaces_and_subsystems_are_limited),
		cmocka_unit_test(a_paused_namespace_waits_until_all_have_resumed),
		cmocka_unit_test(a_read_only_namespace_says_so),
		cmocka_unit_test(a_namespace_without_its_disk_is_gone_for_hosts),
		cmocka_unit_test(removal_waits_for_those_who_use_it),
		cmocka_unit_test(a_subsystem_goes_while_namespaces_come),
		cmocka_unit_test(a_resize_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
