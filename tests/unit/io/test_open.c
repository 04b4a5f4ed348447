// SPDX-License-Identifier: Apache-2.0
/* Opening a ring: options, denial told in words, every allocation failed once; fault loops over all that allocates. */
#include "pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* In a child, deny one system call with an errno, then try to open a ring; the words come back through a pipe. */
static int open_denied(int syscall_nr, int error, struct err *err)
{
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct sock_filter filter[] = {
			BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)syscall_nr, 0, 1),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		};
		struct sock_fprog prog = { ARRAY_LEN(filter), filter };
		struct mem_heap heap;
		struct io *io;

		mem_heap_init(&heap);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
			_exit(77);
		*err = (struct err){ 0 };
		err->code = uring_open(&heap.mem, NULL, &io, err);
		if (write(fds[1], err, sizeof(*err)) != sizeof(*err) || heap.blocks)
			_exit(1);
		_exit(0);
	}
	ssize_t n = read(fds[0], err, sizeof(*err));
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77) {
		print_message("skip: no seccomp filters here\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_int_equal(n, sizeof(*err));
	return err->code;
}

static void a_denied_ring_says_what_to_allow(void **state)
{
	struct err err;

	assert_int_equal(open_denied(SYS_io_uring_setup, EPERM, &err), -EPERM);
	assert_non_null(strstr(err.words, "io_uring_setup"));
	assert_non_null(strstr(err.words, "io_uring_enter"));
	assert_non_null(strstr(err.words, "io_uring_register"));
	assert_non_null(strstr(err.words, "kernel.io_uring_disabled"));
	assert_int_equal(open_denied(SYS_io_uring_register, EPERM, &err), -EPERM);
	assert_non_null(strstr(err.words, "io_uring_register"));
	assert_int_equal(open_denied(SYS_io_uring_enter, EPERM, &err), -EPERM);
	assert_non_null(strstr(err.words, "io_uring_enter"));
	(void)state;
}

static void a_kernel_without_it_is_called_too_old(void **state)
{
	struct err err;

	assert_int_equal(open_denied(SYS_io_uring_setup, ENOSYS, &err), -ENOSYS);
	assert_non_null(strstr(err.words, "Linux 6.1"));
	assert_int_equal(open_denied(SYS_io_uring_setup, EINVAL, &err),
			 -EINVAL); /* flags it does not know */
	assert_non_null(strstr(err.words, "Linux 6.1"));
	assert_int_equal(open_denied(SYS_io_uring_setup, ENOMEM, &err), -ENOMEM);
	assert_int_equal(open_denied(SYS_io_uring_setup, EMFILE, &err), -EMFILE);
	assert_int_equal(open_denied(SYS_eventfd2, EMFILE, &err), -EMFILE);
	(void)state;
}

static void options_beyond_their_limits_are_refused(void **state)
{
	static const struct uring_opts bad[] = {
		{ .entries = 32769 },
		{ .buf_bytes = ((size_t)1 << 30) + 1 },
		{ .recv_buf_count = 3 },
		{ .recv_buf_count = 65536 },
		{ .recv_buf_bytes = (1u << 20) + 1 },
		{ .workers_max = 65 },
	};
	struct mem_heap heap;
	struct io *io;

	mem_heap_init(&heap);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = { 0 };

		assert_int_equal(uring_open(&heap.mem, &bad[i], &io, &err), -EINVAL);
		assert_true(strlen(err.words) > 10);
	}
	assert_int_equal(heap.allocs, 0);
	mem_heap_fini(&heap);
	(void)state;
}

static void many_rings_open_and_close(void **state)
{
	struct uring_opts opts = { .entries = 16, .no_spin = true };
	struct world w[8];

	for (int i = 0; i < 8; i++)
		world_init(&w[i], &opts);
	for (int i = 0; i < 8; i++) {
		struct io_stats stats;

		io_turn(w[i].io, io_now(w[i].io) + 100000);
		io_stats(w[i].io, &stats);
		assert_int_equal(stats.spins, 0);
		assert_int_equal(stats.spin_budget_ns, 0);
		world_fini(&w[i]);
	}
	(void)state;
}

/* Little locked memory: buffers are ordinary, and all works. */
static void buffers_work_without_locked_memory(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit low = { 1 << 20, 1 << 20 }; /* less than a chunk */
		struct mem_heap heap;
		struct io *io;

		mem_heap_init(&heap);
		setrlimit(RLIMIT_MEMLOCK, &low);
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		int r = uring_open(&heap.mem, NULL, &io, NULL);
		if (r < 0)
			_exit(r == -ENOMEM || r == -EPERM ? 77 : 3);
		uint8_t *buf = io_buf_new(io, 65536);
		if (!buf || (uintptr_t)buf % 4096)
			_exit(4);
		memset(buf, 1, 65536);
		io_buf_free(io, buf, 65536);
		io_close(io);
		_exit(heap.blocks ? 5 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skip: without locked memory there is no ring here\n");
		skip();
	}
	assert_int_equal(status, 0);
	(void)state;
}

/* ---- fault loops ------------------------------------------------------------------- */

/* All that allocates, once; every step may fail with -ENOMEM, and then leaves nothing. */
static int one_of_each(struct mem_heap *heap, const char *dir)
{
	struct world w = { 0 };
	struct io_file *file;
	struct io_listener *l;
	struct io_sock *sock = NULL, *out;
	struct io_child *child;
	struct io_addr addr;
	struct io_op op;
	char path[128];
	const char *argv[] = { "/bin/true", NULL };
	struct io_spawn spawn = { .argv = argv, .ret_stdout = &out, .ret_child = &child };
	struct pair p = { 0 };
	int r = uring_open(&heap->mem, NULL, &w.io, NULL);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/f", dir);
	r = world_try_file(&w, path, IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE, &file);
	if (r == 0) {
		void *buf = io_buf_new(w.io, 8192);

		if (!buf)
			r = -ENOMEM;
		else
			assert_int_equal(world_write(&w, file, buf, 8192, 0), 8192);
		io_buf_free(w.io, buf, 8192);
		world_file_close(&w, file);
	}
	if (r == 0) {
		io_prep_list(&op, dir, (io_list_fn)(void *)one_of_each, NULL, op_done);
		op.fs.path = "/proc/self/task/none";
		r = (int)op_wait(&w, &op);
		r = r == -ENOENT ? 0 : r;
	}
	if (r == 0) {
		assert_int_equal(io_addr_parse("127.0.0.1:0", &addr, NULL), 0);
		r = io_listen(w.io, &addr, NULL, NULL, &p, &l, NULL);
		if (r == 0)
			io_listener_close(l);
	}
	if (r == 0) {
		addr.port = 1;
		io_prep_connect(&op, &addr, NULL, &sock, op_done);
		r = (int)op_wait(&w, &op);
		r = r == -ECONNREFUSED ? 0 : r;
	}
	if (r == 0) {
		io_prep_spawn(&op, &spawn, op_done);
		r = (int)op_wait(&w, &op);
		if (r == 0) {
			io_sock_close(out);
			io_child_free(child);
			world_turn_for(&w, 20000000);
		}
	}
	io_close(w.io);
	return r;
}

static void every_allocation_may_fail(void **state)
{
	char dir[] = "/tmp/test_io_open.XXXXXX", path[64];
	uint64_t n = 0;
	int r;

	assert_non_null(mkdtemp(dir));
	do {
		struct mem_heap heap;

		mem_heap_init(&heap);
		heap.fail_at = ++n;
		r = one_of_each(&heap, dir);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(heap.blocks, 0);
		if (heap.failures == 0)
			n = 0;
		mem_heap_fini(&heap);
	} while (n);
	assert_int_equal(r, 0);
	snprintf(path, sizeof(path), "%s/f", dir);
	unlink(path);
	rmdir(dir);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_denied_ring_says_what_to_allow),
		cmocka_unit_test(a_kernel_without_it_is_called_too_old),
		cmocka_unit_test(options_beyond_their_limits_are_refused),
		cmocka_unit_test(many_rings_open_and_close),
		cmocka_unit_test(buffers_work_without_locked_memory),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
