/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sim - a world in one thread: time, hosts, disks, wires, processes, and what goes wrong.
 *
 *	struct sim *sim = sim_new(&(struct sim_opts){ .seed = seed, .mem = mem });
 *	struct sim_host *host = sim_host_add(sim, "a");
 *	struct sim_disk *disk = sim_disk_add(host, "/dev/sda", &(struct sim_disk_opts){ ... });
 *	struct sim_proc *proc = sim_proc_add(host, &(struct sim_proc_opts){ .main = fn });
 *	sim_swarm(sim, SIM_GROUP_DISK);
 *	sim_run_for(sim, 10 * SIM_S);
 *	sim_host_power_cut(host); sim_host_power_on(host); sim_proc_start(proc);
 *	...
 *	int r = sim_failed(sim) ? -1 : 0;
 *	sim_free(sim);
 *
 * A process has an arena of memory and n reactors, each on a struct io of this world, so
 * that what runs in it is the product's own code. A run is a seed: everything that is left to
 * chance is drawn from streams of it.
 *
 * The files, from the bottom: arena.c, pages.c (sparse bytes), world.c (time, trace), atlas.c
 * (faults), media.c (bytes that a power cut may take back), host.c, disk.c, fs.c, net.c, conn.c,
 * sim_io.c (struct io), proc.c. Beside them: store.h (a record store), check.h (what a read may return), disk_crash.h
 * (every state a disk can be in after a crash).
 *
 * W1. Events fire in the order (time, number of scheduling); nothing is ordered by addresses.
 * W2. Two runs of a seed do the same: same trace, same sim_hash(), in every build.
 * W3. Time stands still within an event; it goes on by 1 ns at least between two turns of a loop.
 * W4. A crash stops everything of a process at once; its memory is dropped, not freed.
 * W5. What the kernel has taken over (device I/O in flight, sent bytes) outlives a process, not
 *     its host's power.
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdarg.h>

#include "base/lang.h"
#include "base/mem.h"
#include "base/prng.h"
#include "io/io.h"
#include "reactor/fiber.h"

struct bdev_driver;
struct nexus_table;
struct tgt;
struct reactor;
struct sim;
struct sim_disk;
struct sim_image;
struct sim_stacks;
struct sim_host;
struct sim_proc;

#define SIM_US UINT64_C(1000)
#define SIM_MS UINT64_C(1000000)
#define SIM_S  UINT64_C(1000000000)

#define SIM_HOSTS_MAX	 64
#define SIM_PROCS_MAX	 256
#define SIM_DISKS_MAX	 1024 /* of a host, with regular files and directories */
#define SIM_REACTORS_MAX 8    /* of a process */
#define SIM_NAME_MAX	 32
#define SIM_EVENTS_MAX	 500000000 /* fired in one world: more is a livelock */

/* ---- the world ------------------------------------------------------------ */

/* One line without its newline; borrowed for the call. */
typedef void (*sim_trace_fn)(void *ctx, const char *line);

struct sim_opts {
	uint64_t seed;
	struct mem *mem;    /* borrowed */
	sim_trace_fn trace; /* NULL: no lines are made */
	void *trace_ctx;
	struct sim_stacks *stacks; /* kept between worlds; NULL: the world's own */
	uint64_t without; /* 1 << kind: faults that do not happen by themselves in this world */
};

struct sim *sim_new(const struct sim_opts *opts);
void sim_free(struct sim *sim);

/* Fibers' stacks, reused from world to world: mapping them costs more than a small world does. */
struct sim_stacks *sim_stacks_new(struct mem *mem);
void sim_stacks_free(struct sim_stacks *stacks);

uint64_t sim_now(const struct sim *sim);
uint64_t sim_seed(const struct sim *sim);
uint64_t sim_hash(const struct sim *sim);	 /* of all that has happened (W2) */
uint64_t sim_event_count(const struct sim *sim); /* fired */
struct mem *sim_mem(struct sim *sim);		 /* the world's own; all gone with it */
struct prng *sim_prng(struct sim *sim);		 /* the scenario's stream */

/* "[time] line", if anybody listens. */
void sim_trace(struct sim *sim, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A number that belongs to the history (W2). */
void sim_mix(struct sim *sim, uint64_t value);

/* The run has failed; the first words stay. The running call returns after this event. */
void sim_fail(struct sim *sim, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool sim_failed(const struct sim *sim);
const char *sim_words(const struct sim *sim);

/* Something that happens at a time; the struct is the caller's and stays until it has fired. */
struct sim_event {
	void (*fire)(struct sim *sim, struct sim_event *event);
	uint64_t at_ns;
	uint64_t seq;
	uint32_t pos; /* place in the heap + 1; 0: not scheduled */
};

void sim_at(struct sim *sim, struct sim_event *event, uint64_t at_ns,
	    void (*fire)(struct sim *sim, struct sim_event *event));
void sim_after(struct sim *sim, struct sim_event *event, uint64_t ns,
	       void (*fire)(struct sim *sim, struct sim_event *event));
void sim_unschedule(struct sim *sim, struct sim_event *event);

typedef bool (*sim_cond_fn)(void *ctx);

/* Each stops early when the run has failed. */
void sim_run_for(struct sim *sim, uint64_t ns);
/* Until cond, asked after each event, is true. False: time is up, or the run has failed. */
bool sim_run_until(struct sim *sim, sim_cond_fn cond, void *ctx, uint64_t within_ns);
/* Until nothing is under way but timers: no I/O in flight, no bytes, no turn due. False: not within. */
bool sim_run_quiet(struct sim *sim, uint64_t within_ns);
/* One event; false: there is none. */
bool sim_step(struct sim *sim);

/* ---- faults (atlas.c) ------------------------------------------------------- */

enum sim_fault {
	/* disks and files */
	SIM_DISK_EIO_READ,
	SIM_DISK_EIO_WRITE,
	SIM_DISK_EIO_FLUSH,
	SIM_DISK_SHORT_WRITE,
	SIM_DISK_ENOSPC,
	SIM_DISK_SLOW,
	SIM_DISK_HANG,
	SIM_DISK_LOST_WRITE,
	SIM_DISK_MISDIRECT,
	SIM_DISK_CORRUPT_READ,
	SIM_DISK_ROT,
	SIM_DISK_LYING_FLUSH,
	SIM_DISK_LOST_CACHE, /* counts: a power cut took an unflushed sector */
	SIM_DISK_TORN,	     /* counts: it took a part of a write */
	/* the net */
	SIM_NET_RESET,
	SIM_NET_REFUSE,
	SIM_NET_CONNECT_TIMEOUT,
	SIM_NET_SLOW,
	SIM_NET_STALL,
	SIM_NET_CHUNKS,
	SIM_NET_SLOW_READER,
	SIM_NET_CUT,
	SIM_NET_HALF_OPEN,
	/* processes, hosts, clocks */
	SIM_PROC_PAUSE,
	SIM_PROC_CRASH,
	SIM_HOST_POWER_CUT,
	SIM_CLOCK_DRIFT,
	SIM_CLOCK_JUMP,
	SIM_MEM_FAIL,
	SIM_WORK_BUSY,
	/* the record store (store.h) */
	SIM_STORE_LOST_REQUEST,
	SIM_STORE_LOST_ANSWER,
	SIM_STORE_LATE,
	SIM_STORE_SLOW,
	SIM_STORE_EIO,
	SIM_STORE_DOWN,
	SIM_STORE_CUT,
	/* counts: what a story does by itself, told by sim_fault_count() */
	SIM_STORY_ONE_WAY,
	SIM_STORY_TAKEOVER,
	SIM_STORY_REBUILD,
	SIM_STORY_RESIZE,
	SIM_STORY_SWITCH,
	SIM_DISK_PULL,
	SIM_FAULTS
};

enum sim_group {
	SIM_GROUP_DISK = 1 << 0,   /* loud: errors, slowness, power */
	SIM_GROUP_SILENT = 1 << 1, /* disks that lie: lost, misdirected, corrupted, lying flush */
	SIM_GROUP_NET = 1 << 2,
	SIM_GROUP_PROC = 1 << 3,
	SIM_GROUP_CLOCK = 1 << 4,
	SIM_GROUP_MEM = 1 << 5,
	SIM_GROUP_STORE = 1 << 6,
	SIM_GROUP_ALL = (1 << 7) - 1,
};

const char *sim_fault_name(enum sim_fault fault);
const char *sim_fault_help(enum sim_fault fault);
enum sim_group sim_fault_group(enum sim_fault fault);
enum sim_fault sim_fault_find(const char *name); /* SIM_FAULTS: there is none */
/* How often: chances in a million of each occasion. 0: off. */
void sim_fault_set(struct sim *sim, enum sim_fault fault, uint32_t ppm);
uint32_t sim_fault_get(const struct sim *sim, enum sim_fault fault);
uint64_t sim_fault_fired(const struct sim *sim, enum sim_fault fault);
/* A story made it happen by itself. */
void sim_fault_count(struct sim *sim, enum sim_fault fault);
/* Which kinds of these groups are on in this run, and at what rates: drawn from the seed. */
void sim_swarm(struct sim *sim, unsigned groups);
/* No new faults of these groups. What is cut, hung or paused is not healed: see sim_heal(). */
void sim_faults_off(struct sim *sim, unsigned groups);
/* All faults off, cuts healed, hung I/O let go, pauses ended. Hosts stay as they are. */
void sim_heal(struct sim *sim);

/*
 * Every period or so: crashes of processes, power cuts of hosts, jumps and drift of clocks, at
 * their rates in the atlas. What it puts down it starts again within seconds.
 */
void sim_nemesis_start(struct sim *sim, uint64_t period_ns);
/* And brings everything up that is down. */
void sim_nemesis_stop(struct sim *sim);

/* ---- hosts -------------------------------------------------------------------- */

/* Up from the start; its address is 10.0.0.(n + 1) and fd00::(n + 1), its name resolves. */
struct sim_host *sim_host_add(struct sim *sim, const char *name);
const char *sim_host_name(const struct sim_host *host);
bool sim_host_is_up(const struct sim_host *host);
void sim_host_addr(const struct sim_host *host, uint16_t port, struct io_addr *ret);

/* Its processes end, peers hear nothing, and of its disks any part of what was not flushed is lost. */
void sim_host_power_cut(struct sim_host *host);
/* Processes are not started: sim_proc_start(). The monotonic clock begins anew. */
void sim_host_power_on(struct sim_host *host);

/* Its clocks run faster or slower from now on; the wall clock jumps. */
void sim_host_drift(struct sim_host *host, int32_t ppm);
void sim_host_wall_jump(struct sim_host *host, int64_t ns);
uint64_t sim_host_mono(const struct sim_host *host);
uint64_t sim_host_wall(const struct sim_host *host);

/* ---- disks ---------------------------------------------------------------------- */

struct sim_disk_opts {
	uint64_t size_bytes;
	uint32_t logical_block;	 /* 0: 512 */
	uint32_t physical_block; /* 0: 4096 */
	uint32_t atomic_bytes;	 /* an aligned write of this size is never torn; 0: 512 */
	uint32_t discard_bytes;	 /* 0: no discard */
	uint32_t max_io_bytes;	 /* told by IO_STAT only; 0: unknown */
	bool volatile_cache;
	uint64_t cache_bytes; /* more than this unflushed is written out; 0: 8 MiB */
	uint64_t read_ns, write_ns, flush_ns; /* medians; 0: 80, 20, 400 us */
	bool read_only;
	const struct sim_image *image; /* what is on it (disk_crash.h), borrowed; NULL: zeros */
};

struct sim_disk *sim_disk_add(struct sim_host *host, const char *path,
			      const struct sim_disk_opts *opts);
/* Of a path of this host: also a regular file. NULL: there is none. */
struct sim_disk *sim_disk_find(struct sim_host *host, const char *path);
/* A bigger device, at once. */
void sim_disk_grow(struct sim_disk *disk, uint64_t size_bytes);
uint64_t sim_disk_size(const struct sim_disk *disk);
/* What a read would return now, without device, time or faults. Zeros beyond the end. */
void sim_disk_peek(struct sim_disk *disk, uint64_t off, void *buf, size_t len);
/* Puts bytes there, durably, behind everybody's back. */
void sim_disk_poke(struct sim_disk *disk, uint64_t off, const void *buf, size_t len);
/* Which silent faults have touched this range, ever: bits 1 << SIM_DISK_... */
uint32_t sim_disk_taints(struct sim_disk *disk, uint64_t off, uint64_t len);
/*
 * The device loses power and is there again at once, its host lives on: what was not flushed may be
 * lost, requests fail with EIO, and so do all that come by who opened it before.
 */
void sim_disk_pull(struct sim_disk *disk);
/* Requests the device now has. */
unsigned sim_disk_inflight(const struct sim_disk *disk);
/* Asked of each read that might be corrupted: does it read something that says what it is? */
typedef bool (*sim_disk_lie_fn)(void *ctx, uint64_t off, uint64_t len);
/* Only those are corrupted, from now on. */
void sim_disk_lie_about(struct sim_disk *disk, sim_disk_lie_fn fn, void *ctx);
/* Flushes fail, or are told done and skipped, from now on: a planted bug for tests of checkers. */
void sim_disk_plant_skipped_flush(struct sim_disk *disk, bool on);
/* Locks keep nobody out from now on: another. */
void sim_disk_plant_lost_lock(struct sim_disk *disk, bool on);
/*
 * The same, chosen: asked of each write and flush as it is submitted. True: this flush is told done
 * and skipped, this write is not durable though it asked for it.
 */
typedef bool (*sim_disk_plant_fn)(void *ctx, const struct io_op *op);
void sim_disk_plant(struct sim_disk *disk, sim_disk_plant_fn fn, void *ctx);
/* Everybody who records writes (disk_crash.h). */
struct disk_log;
void sim_disk_record(struct sim_disk *disk, struct disk_log *log);

/* ---- the net ---------------------------------------------------------------------- */

/* Nothing goes from one host to the other: bytes are held, and delivered late after the heal. */
void sim_net_cut(struct sim_host *from, struct sim_host *to);
void sim_net_heal(struct sim_host *from, struct sim_host *to);
bool sim_net_is_cut(const struct sim_host *from, const struct sim_host *to);
/* One-way delay between hosts: median and what is added to it at most, usually. */
void sim_net_delay(struct sim *sim, uint64_t median_ns, uint64_t jitter_ns);

/* ---- processes -------------------------------------------------------------------- */

struct sim_proc_opts {
	const char *name;
	unsigned reactors; /* 0: 1 */
	bool bare;	   /* no reactors: struct io only, and no main */
	fiber_fn main;	   /* first fiber of reactor 0; its end is a clean stop */
	void *arg;
	const struct bdev_driver *const *drivers; /* NULL: no block devices */
	unsigned fibers_max;			  /* 0: default */
	uint64_t mem_max_bytes;			  /* 0: no limit */
};

enum sim_proc_state { SIM_PROC_DOWN, SIM_PROC_RUNNING, SIM_PROC_STOPPED };

/* Defined and started. */
struct sim_proc *sim_proc_add(struct sim_host *host, const struct sim_proc_opts *opts);
/* Again, after a crash or an end. Its host must be up. */
void sim_proc_start(struct sim_proc *proc);
/* kill -9. Nothing happens to one that does not run. */
void sim_proc_crash(struct sim_proc *proc);
/* Its loops do not turn for so long; its kernel lives on. */
void sim_proc_pause(struct sim_proc *proc, uint64_t ns);
/* What it watches for with io_signal_watch(). */
void sim_proc_signal(struct sim_proc *proc, int signo);
/* Allocation number n from now fails, once; 0: none. */
void sim_proc_fail_alloc(struct sim_proc *proc, uint64_t n);

enum sim_proc_state sim_proc_state(const struct sim_proc *proc);
int sim_proc_result(const struct sim_proc *proc); /* of main, when STOPPED */
uint64_t sim_proc_allocs(const struct sim_proc *proc);
unsigned sim_proc_starts(const struct sim_proc *proc); /* which incarnation this is, from 1 */
struct io *sim_proc_io(struct sim_proc *proc, unsigned index);
struct reactor *sim_proc_reactor(struct sim_proc *proc, unsigned index);
struct sim_host *sim_proc_host(struct sim_proc *proc);
struct sim *sim_proc_sim(struct sim_proc *proc);

/* What nexus:/// finds in this process, until it ends; NULL: none. */
void sim_proc_set_nexuses(struct sim_proc *proc, struct nexus_table *table);
/* Its NVMe target, for who looks whether a URI leads back to it; NULL: none. */
void sim_proc_set_target(struct sim_proc *proc, struct tgt *tgt);

/* Of the fiber's, or the io's, world and process. */
struct sim_proc *sim_proc_of(struct io *io);

#endif
