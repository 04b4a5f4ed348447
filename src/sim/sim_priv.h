/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim_priv - what the files of the world know of each other.
 */
#ifndef SIM_SIM_PRIV_H
#define SIM_SIM_PRIV_H

#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "bdev/bdev_driver.h"
#include "sim/arena.h"
#include "sim/media.h"
#include "sim/sim.h"

#define SIM_TURN_NS	   300	/* what a turn of a loop takes at least */
#define SIM_WAKE_NS_MAX	   3000 /* from an event to the turn that sees it */
#define SIM_LINE_MAX	   512
#define SIM_WORKS_MAX	   64 /* queued blocking works of a process; more: -EBUSY */
#define SIM_WALL_START	   UINT64_C(1790000000000000000)
#define SIM_TCP_GIVE_UP_NS (924 * SIM_S) /* the kernel's last retransmission */
#define SIM_SYN_GIVE_UP_NS (127 * SIM_S)

enum sim_stream {
	SIM_STREAM_SCENARIO,
	SIM_STREAM_SWARM,
	SIM_STREAM_FAULTS,
	SIM_STREAM_DISK,
	SIM_STREAM_NET,
	SIM_STREAM_LOOP,
	SIM_STREAM_CUT,
	SIM_STREAM_NEMESIS,
	SIM_STREAMS,
	SIM_STREAM_PROC = 1000, /* + number of start: what a process draws */
};

struct sim_io;

struct sim_heap_slot {
	uint64_t at_ns, seq;
	struct sim_event *event;
};

struct sim {
	struct arena arena; /* the world's */
	struct mem *parent;
	struct sim_opts opts;
	uint64_t now_ns, hash, seq, events;
	struct sim_heap_slot *heap;
	uint32_t heap_len, heap_room;
	struct prng prng[SIM_STREAMS];
	uint32_t ppm[SIM_FAULTS];
	uint64_t fired[SIM_FAULTS];
	struct sim_host *hosts[SIM_HOSTS_MAX];
	unsigned host_count;
	struct list procs; /* struct sim_proc, in the order they were added */
	struct list conns; /* struct conn */
	struct list hung;  /* struct disk_req, hung */
	uint64_t net_median_ns, net_jitter_ns;
	struct sim_event nemesis;
	uint64_t nemesis_ns;
	struct sim_store *store; /* NULL: none */
	uint64_t busy;	  /* things under way: see sim_run_quiet() */
	uint64_t next_id; /* of connections, processes' starts */
	struct sim_stacks *stacks;
	bool stacks_own;
	bool failed;
	char words[ERR_WORDS_SIZE];
};

static inline bool sim_traces(const struct sim *sim)
{
	return sim->opts.trace != NULL;
}

/* ---- atlas.c: does it happen now? Counts and traces it. ---------------------- */

bool sim_fault_slow(struct sim *sim, enum sim_fault fault, const char *where);

static inline bool sim_fault(struct sim *sim, enum sim_fault fault, const char *where)
{
	return unlikely(sim->ppm[fault]) && sim_fault_slow(sim, fault, where);
}

/* median * 1/2 .. 3/2, now and then (1 of 64) up to 16 times as much. */
uint64_t sim_delay(struct prng *prng, uint64_t median_ns);

/* ---- hosts and what is in their file systems (host.c, fs.c, disk.c) ------------ */

struct sim_host {
	struct sim *sim;
	char name[SIM_NAME_MAX];
	unsigned index;
	bool up;
	int32_t drift_ppm;
	uint64_t base_ns, base_mono; /* monotonic clock: base_mono at base_ns */
	int64_t wall_off_ns;
	uint64_t cut_to;   /* mask of hosts nothing goes to */
	struct list disks; /* every inode, in the order they were made */
	struct list dirs;  /* of them the directories; these stay */
	unsigned disk_count;
	uint64_t next_ino;
	struct sim_disk *root; /* the directory "/" */
	struct list listeners;
	uint16_t next_port;
};

void sim_host_fini(struct sim_host *host);
uint64_t sim_host_mono_to_world(const struct sim_host *host, uint64_t mono_ns);

/* One name of a directory. */
struct fs_entry {
	struct list_link link;
	char *name;
	struct sim_disk *disk; /* counted */
};

struct fs_dir {
	struct list_link link; /* of the host */
	struct list entries;   /* what is seen, by name */
	struct list stable;    /* what is on the disk, by name */
	struct list pending;   /* struct fs_change, oldest first */
};

/* An inode: block device, regular file or directory. */
struct sim_disk {
	struct list_link link;
	struct sim_host *host;
	enum io_kind kind;
	uint64_t ino;
	unsigned refs;	  /* names, opens, requests */
	unsigned writers; /* open for writing with IO_OPEN_LOCK, or IO_OPEN_EXCL */
	struct sim_disk_opts opts;
	struct media media;
	struct list reqs; /* struct disk_req in flight */
	unsigned inflight;
	unsigned pulls; /* who opened it before the last one finds it gone */
	bool plant_skip_flush, plant_lost_lock;
	sim_disk_plant_fn plant;
	void *plant_ctx;
	sim_disk_lie_fn may_lie; /* NULL: about everything */
	void *lie_ctx;
	uint64_t mtime_ns;
	char path[48]; /* where it was made, for the trace; cut if long */
	struct fs_dir dir;
};

struct sim_disk *sim_disk_make(struct sim_host *host, enum io_kind kind, const char *path,
			       const struct sim_disk_opts *opts);
struct pages *sim_image_pages(const struct sim_image *image); /* disk_crash.c */
void sim_disk_ref(struct sim_disk *disk);
void sim_disk_unref(struct sim_disk *disk);
void sim_disk_power_cut(struct sim_disk *disk);

/* What was opened; lives as long as a handle of it. */
struct sim_opened {
	unsigned handles;
	unsigned pulls; /* of the disk, then */
	bool locks;
};

/* A handle of an open file. Outlives its process while requests are in flight. */
struct io_file {
	struct io *io;
	struct sim_disk *disk; /* counted */
	struct sim_opened *opened;
	struct sim_proc *proc;
	struct list_link link; /* of the process */
	uint32_t flags;
	unsigned inflight;
	bool closed;
};

struct io_file *file_open(struct sim_io *io, struct sim_disk *disk, uint32_t flags);
struct io_file *file_share(struct sim_io *io, struct io_file *from);
void file_close(struct io_file *file);
void file_unhold(struct io_file *file);

/* READ, WRITE, FSYNC, DISCARD, ZERO, TRUNCATE. */
void disk_submit(struct sim_io *io, struct io_op *op);
void disk_forget_proc(struct sim_disk *disk, struct sim_proc *proc);
void disk_let_go(struct sim *sim); /* hung requests end soon */

/* OPEN, SHARE, STAT, LIST, RENAME, UNLINK, MKDIR: at once. */
int64_t fs_do(struct sim_io *io, struct io_op *op);
void fs_init_host(struct sim_host *host);
int fs_link_new(struct sim_host *host, const char *path, struct sim_disk *disk);
struct sim_disk *fs_lookup(struct sim_host *host, const char *path);
void fs_dir_init(struct sim_disk *disk);
void fs_dir_sync(struct sim_disk *disk);
void fs_power_cut(struct sim_host *host);

/* ---- processes and their loops (proc.c, sim_io.c) --------------------------------- */

/* Something a loop does in its next turn. */
struct sim_ready {
	struct list_link link;
	void (*run)(struct sim_io *io, struct sim_ready *ready);
};

struct sim_io {
	struct io io; /* first: an io_handle's io */
	struct sim *sim;
	struct sim_proc *proc;
	unsigned index;
	struct reactor *reactor; /* NULL: bare */
	struct list ready;	 /* struct sim_ready */
	struct list done;	 /* struct io_op, by link: completed, callback to come */
	struct sim_event run;	 /* the next turn */
	struct list waits;	 /* struct sim_wait: work, resolve, connect under way */
	struct prng prng;	 /* what io_random() draws */
	struct io_stats stats;
	bool in_turn, woken;
};

struct sim_proc {
	struct list_link link;
	struct sim_host *host;
	struct sim_proc_opts opts;
	char name[SIM_NAME_MAX];
	enum sim_proc_state state;
	unsigned starts;
	int result;
	bool ended; /* main has returned */
	bool crashing;
	unsigned stop_turns;
	uint64_t paused_until_ns;
	struct arena arena;
	struct sim_io *ios[SIM_REACTORS_MAX];
	struct bdev_env env;
	struct list files, socks, listeners, signals, dials;
	unsigned works;
};

/* A turn of the loop by `at` at the latest. */
void sim_io_kick(struct sim_io *io, uint64_t at_ns);
/* Soon: an event has happened that it waits for. */
void sim_io_rouse(struct sim_io *io);
void sim_io_ready(struct sim_io *io, struct sim_ready *ready);
void sim_io_unready(struct sim_io *io, struct sim_ready *ready);
/* The op's callback runs in the next turn. */
void sim_io_complete(struct sim_io *io, struct io_op *op, int64_t res);
void sim_io_init(struct sim_io *io, struct sim_proc *proc, unsigned index);
void sim_io_stop(struct sim_io *io); /* no more turns */
const char *sim_code_name(enum io_code code);
void sim_proc_end_crash(struct sim_proc *proc, bool silent); /* silent: peers hear nothing */
void sim_proc_turned(struct sim_proc *proc); /* after each turn: has it come to its end? */

int sim_stack_map(struct sim_stacks *stacks, size_t bytes, void **ret_low, size_t *ret_bytes);
void sim_stack_unmap(struct sim_stacks *stacks, void *low, size_t bytes);

/* ---- sockets (net.c, conn.c) -------------------------------------------------------- */

void net_connect(struct sim_io *io, struct io_op *op);
void net_cancel(struct sim_io *io, struct io_op *op);
void net_send(struct sim_io *io, struct io_op *op);
void net_recv(struct sim_io *io, struct io_op *op);
int net_listen(struct io *io, const struct io_addr *addr, const struct io_sock_opts *opts,
	       io_accept_fn fn, void *ctx, struct io_listener **ret, struct err *err);
void net_listener_addr(struct io_listener *l, struct io_addr *ret);
void net_listener_close(struct io_listener *l);
void net_recv_start(struct io_sock *sock, io_recv_fn fn, void *ctx);
void net_recv_stop(struct io_sock *sock);
void net_peer(struct io_sock *sock, struct io_addr *ret);
void net_local(struct io_sock *sock, struct io_addr *ret);
void net_shutdown(struct io_sock *sock);
void net_close(struct io_sock *sock);
int net_detach(struct io_sock *sock, struct io_sock_token *ret);
int net_adopt(struct io *io, const struct io_sock_token *token, struct io_sock **ret);
/* silent: the host lost power, nobody is told. */
void net_proc_gone(struct sim_proc *proc, bool silent);
void net_healed(struct sim *sim, struct sim_host *from, struct sim_host *to);
void net_probe(struct sim *sim); /* paths changed: keepalives will notice */
void sim_signals_drop(struct sim_proc *proc);

#endif
