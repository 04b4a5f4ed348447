// SPDX-License-Identifier: Apache-2.0
/*
 * What the kernel refuses: each case denies one system call, by seccomp, on a thread of its own (and on the
 * workers it starts), with an open ring; then something that needs it must fail in the ordinary way and leave nothing.
 */
#include "pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define RW (IO_OPEN_READ | IO_OPEN_WRITE | IO_OPEN_CREATE)

struct denied {
	const char *name;
	int call, call2;
	int error;
	int64_t (*run)(struct world *w);
	int64_t expect;
	int64_t got;
};

static bool deny(int call, int call2, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_LEN(filter), filter };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static void *denied_main(void *arg)
{
	struct denied *d = arg;
	struct uring_opts opts = { .entries = 16 };
	struct mem_heap heap;
	struct world w = { 0 };

	mem_heap_init(&heap);
	if (uring_open(&heap.mem, &opts, &w.io, NULL) < 0) {
		d->got = -1000;
		return NULL;
	}
	strcpy(w.dir, "/tmp");
	d->got = deny(d->call, d->call2, d->error) ? d->run(&w) : -1001;
	io_close(w.io);
	if (heap.blocks)
		d->got = -1002;
	return NULL;
}

/* ---- what is tried ------------------------------------------------------------- */

static int64_t work_nothing(void *ctx)
{
	return 5;
}

static int64_t try_work(struct world *w)
{
	struct io_op op;

	io_prep_work(&op, work_nothing, NULL, op_done);
	return op_wait(w, &op);
}

static int64_t try_open(struct world *w)
{
	struct io_file *file;
	int r = world_try_file(w, "/tmp/test_io_denied", RW | IO_OPEN_LOCK | IO_OPEN_TRUNC, &file);

	if (r == 0)
		world_file_close(w, file);
	unlink("/tmp/test_io_denied");
	return r;
}

static int64_t try_dir(struct world *w)
{
	struct io_file *file;
	int r = world_try_file(w, "/", IO_OPEN_DIR, &file);

	if (r == 0)
		world_file_close(w, file);
	return r;
}

static int64_t try_list(struct world *w)
{
	struct io_op op;

	io_prep_list(&op, "/proc/self/fdinfo", NULL, NULL, op_done);
	return op_wait(w, &op);
}

static int64_t try_stat(struct world *w)
{
	struct io_stat st;
	struct io_op op;

	io_prep_stat(&op, "/", NULL, &st, op_done);
	return op_wait(w, &op);
}

static int64_t try_rename(struct world *w)
{
	struct io_op op;

	io_prep_path(&op, IO_RENAME, "/tmp/test_io_none", "/tmp/test_io_none2", 0, op_done);
	return op_wait(w, &op);
}

static int64_t try_connect(struct world *w)
{
	struct io_addr addr = { .family = AF_INET, .port = 1, .ip = { 127, 0, 0, 1 } };
	struct io_sock_opts opts = { .rcvbuf_bytes = 5000,
				     .sndbuf_bytes = 5000,
				     .user_timeout_ms = 5 };
	struct io_sock *sock;
	struct io_op op;

	io_prep_connect(&op, &addr, &opts, &sock, op_done);
	return op_wait(w, &op);
}

static void accept_nothing(void *ctx, int res, struct io_sock *sock)
{
}

static int64_t try_listen(struct world *w)
{
	struct io_addr addr = { .family = AF_INET6, .ip = { [15] = 1 } };
	struct io_listener *l;
	int r = io_listen(w->io, &addr, NULL, accept_nothing, NULL, &l, NULL);

	if (r == 0)
		io_listener_close(l);
	return r;
}

static int64_t try_spawn(struct world *w)
{
	const char *argv[] = { "/bin/true", NULL };
	struct io_sock *out;
	struct io_child *child;
	struct io_spawn spawn = { .argv = argv, .ret_stdout = &out, .ret_child = &child };
	struct io_op op;

	io_prep_spawn(&op, &spawn, op_done);
	int64_t r = op_wait(w, &op);
	if (r == 0) {
		io_sock_close(out);
		io_child_free(child);
	}
	return r;
}

static int64_t try_signal(struct world *w)
{
	struct io_signal *s;

	return io_signal_watch(w->io, SIGUSR2, (io_signal_fn)(void *)accept_nothing, NULL, &s);
}

/* A stream over a socket pair made before: adopted, so that nothing else is needed. */
static int64_t try_stream(struct world *w)
{
	struct io_sock_token token[2] = { { 0 } };
	struct io_sock *a, *b;
	struct sink sink = { 0 };
	int pair[2];
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1003;
	token[0].handle = (uintptr_t)pair[0];
	token[1].handle = (uintptr_t)pair[1];
	if (io_sock_adopt(w->io, &token[0], &a) < 0 || io_sock_adopt(w->io, &token[1], &b) < 0)
		return -1004;
	/* the direct way needs no registering */
	if (sock_send(w, a, "x", 1) != 1 || sock_recv(w, b, &byte, 1) != 1 || byte != 'x')
		return -1005;
	io_recv_start(b, sink_fn, &sink);
	world_turn_until(w, &sink.ended);
	io_sock_close(a);
	io_sock_close(b);
	return sink.end;
}

/* No table, no registered buffers: all works, a little slower. */
static int64_t try_file(struct world *w)
{
	struct io_file *file;
	int r = world_try_file(w, "/tmp/test_io_denied", RW, &file);
	uint8_t *buf = io_buf_new(w->io, 8192), *more = io_buf_new(w->io, 8192);

	unlink("/tmp/test_io_denied");
	if (r < 0 || !buf || !more)
		return r < 0 ? r : -ENOMEM;
	memset(buf, 5, 8192);
	int64_t n = world_write(w, file, buf, 8192, 0);
	if (n == 8192)
		n = world_read(w, file, more, 8192, 0);
	if (n == 8192)
		n = memcmp(buf, more, 8192) == 0 ? 0 : -EBADMSG;
	io_buf_free(w->io, buf, 8192);
	io_buf_free(w->io, more, 8192);
	world_file_close(w, file);
	return n;
}

static int64_t try_zero(struct world *w)
{
	struct io_file *file;
	struct io_op op;
	int r = world_try_file(w, "/dev/shm/test_io_denied", RW, &file);

	unlink("/dev/shm/test_io_denied");
	if (r < 0)
		return -EIO; /* no /dev/shm: as if */
	int64_t res = world_write(w, file, "abcdefgh", 8, 0);
	io_prep_file(&op, IO_ZERO, file, 0, 8, IO_KEEP_ALLOC, op_done);
	res = op_wait(w, &op);
	world_file_close(w, file);
	return res;
}

static int64_t try_truncate(struct world *w)
{
	struct io_file *file;
	struct io_op op;
	int r = world_try_file(w, "/tmp/test_io_denied", RW, &file);

	unlink("/tmp/test_io_denied");
	if (r < 0)
		return r;
	io_prep_file(&op, IO_TRUNCATE, file, 0, 8, 0, op_done);
	int64_t res = op_wait(w, &op);
	world_file_close(w, file);
	return res;
}

static void what_is_refused_fails_in_the_ordinary_way(void **state)
{
	struct denied cases[] = {
		{ "threads", SYS_clone3, SYS_clone, EAGAIN, try_work, -EAGAIN, 0 },
		{ "threads, open", SYS_clone3, SYS_clone, EAGAIN, try_open, -EAGAIN, 0 },
		{ "threads, list", SYS_clone3, SYS_clone, EAGAIN, try_list, -EAGAIN, 0 },
		{ "threads, spawn", SYS_clone3, SYS_clone, EAGAIN, try_spawn, -EAGAIN, 0 },
		{ "openat", SYS_openat, -1, ENFILE, try_open, -ENFILE, 0 },
		{ "openat, list", SYS_openat, -1, ENFILE, try_list, -ENFILE, 0 },
		{ "getdents", SYS_getdents64, -1, EIO, try_list, -EIO, 0 },
		{ "flock", SYS_flock, -1, ENOLCK, try_open, -ENOLCK, 0 },
		{ "ftruncate", SYS_ftruncate, -1, EIO, try_open, -EIO, 0 },
		{ "ftruncate, truncate", SYS_ftruncate, -1, EIO, try_truncate, -EIO, 0 },
		{ "fcntl", SYS_fcntl, -1, EIO, try_dir, -EIO, 0 },
		{ "nothing of it", SYS_userfaultfd, -1, EIO, try_open, 0, 0 },
		{ "statx", SYS_statx, -1, EIO, try_stat, -EIO, 0 },
		{ "rename", SYS_rename, SYS_renameat2, EIO, try_rename, -EIO, 0 },
		{ "pwrite", SYS_pwrite64, SYS_fallocate, EIO, try_zero, -EIO, 0 },
		{ "socket", SYS_socket, -1, EMFILE, try_connect, -EMFILE, 0 },
		{ "setsockopt", SYS_setsockopt, -1, ENOMEM, try_connect, -ENOMEM, 0 },
		{ "setsockopt, listen", SYS_setsockopt, -1, ENOMEM, try_listen, -ENOMEM, 0 },
		{ "socket, listen", SYS_socket, -1, EMFILE, try_listen, -EMFILE, 0 },
		{ "bind", SYS_bind, -1, EACCES, try_listen, -EACCES, 0 },
		{ "listen", SYS_listen, -1, EADDRINUSE, try_listen, -EADDRINUSE, 0 },
		{ "socketpair", SYS_socketpair, -1, EMFILE, try_spawn, -EMFILE, 0 },
		{ "fcntl, spawn", SYS_fcntl, -1, EMFILE, try_spawn, -EMFILE, 0 },
		{ "pidfd", SYS_pidfd_open, -1, EMFILE, try_spawn, -EMFILE, 0 },
		{ "signalfd", SYS_signalfd4, -1, EMFILE, try_signal, -EMFILE, 0 },
		{ "register, stream", SYS_io_uring_register, -1, EPERM, try_stream, -EPERM, 0 },
		{ "register, file", SYS_io_uring_register, -1, EPERM, try_file, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct denied *d = &cases[i];
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, denied_main, d), 0);
		pthread_join(thread, NULL);
		if (d->got == -1001) {
			print_message("skip: no seccomp filters here\n");
			skip();
		}
		if (d->got != d->expect)
			fail_msg("%s: %ld, not %ld", d->name, d->got, d->expect);
	}
	(void)state;
}

/* The table of registered files is as large as RLIMIT_NOFILE was; those beyond it are plain numbers. */
static void more_files_than_slots(void **state)
{
	enum { SLOTS = 24, FILES = 60 };
	struct io_file *files[FILES];
	struct rlimit limit, low;
	struct world w;
	char name[16], buf[16];

	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = SLOTS;
	setrlimit(RLIMIT_NOFILE, &low);
	world_init(&w, NULL);
	setrlimit(RLIMIT_NOFILE, &limit);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		files[i] = world_file(&w, name, RW);
		assert_int_equal(world_write(&w, files[i], name, sizeof(name), 0), sizeof(name));
	}
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(world_read(&w, files[i], buf, sizeof(buf), 0), sizeof(buf));
		assert_string_equal(buf, name);
		world_file_close(&w, files[i]);
	}
	world_fini(&w);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_refused_fails_in_the_ordinary_way),
		cmocka_unit_test(more_files_than_slots),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
