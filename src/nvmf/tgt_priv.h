/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt_priv - the control side: ports, subsystems, namespaces, controllers, hosts (N1: home).
 *
 * Who writes a field stands beside it: core (tgt.c, tgt_port.c, tgt_ctrl.c, tgt_fabrics.c,
 * tgt_view.c, ...) or admin (tgt_subsys.c, tgt_ns.c, tgt_host.c, tgt_admin.c, tgt_resv.c, ...).
 */
#ifndef NVMF_TGT_PRIV_H
#define NVMF_TGT_PRIV_H

#include "base/bucket.h"
#include "base/list.h"
#include "base/log.h"
#include "bdev/bdev.h"
#include "bdev/resv.h"
#include "nvmf/tgt.h"
#include "nvmf/tgt_admin_priv.h"
#include "nvmf/tgt_cmd_priv.h"
#include "reactor/fiber.h"
#include "reactor/reactor.h"
#include "reactor/timer.h"
#include "reactor/wait.h"
#include "wire/nvme_fabrics.h"

struct io_listener;
struct tgt_conn;
struct tgt_shard;
struct tgt_view;
struct tgt_view_table;

/* ---- commands at home ------------------------------------------------------------ */

enum tgt_lane_index { TGT_LANE_ADMIN, TGT_LANE_RESV, TGT_LANES };

/* Commands of a kind: a disk that hangs can hold up reservations, and nothing else. */
struct tgt_lane {
	struct list cmds; /* tgt_cmd.link: wait for a fiber */
	unsigned fibers;
	unsigned waits; /* of them, that wait for a drain */
};

/* ---- the target --------------------------------------------------------------- */

struct tgt {
	struct reactor *home;		       /* const */
	struct io *io;			       /* const: home's */
	struct log *log;		       /* const: home's; NULL: silent */
	struct tgt_opts opts;		       /* const */
	struct tgt_shard *shard[REACTORS_MAX]; /* core; owned; const after tgt_open() */
	unsigned shard_count;		       /* const */
	unsigned shard_next;		       /* core: where the next connection goes */

	struct list ports;	      /* core */
	struct list subsystems;	      /* admin; without discovery */
	unsigned subsystem_count;     /* admin */
	struct tgt_subsys *discovery; /* core: the discovery subsystem; owned */
	uint64_t discovery_genctr;    /* admin: of the discovery log; changes with every entry */

	/* connections: core */
	struct list strangers; /* tgt_conn.home_link: not yet admitted, oldest first */
	unsigned stranger_count;
	unsigned conn_count;
	struct event conns_gone;		  /* conn_count is 0 */
	struct bucket accepts;
	uint64_t accepted, refused;

	/* commands at home: core */
	struct tgt_lane lane[TGT_LANES];
	struct event cmds_idle; /* no lane has a fiber */

	bool is_closing;	     /* core: no new connections */
	struct log_rate refuse_rate; /* core */
};

struct tgt_port {
	struct tgt *tgt;
	struct list_link link; /* of tgt.ports */
	uint16_t id;	       /* 1..TGT_PORTS_MAX */
	struct io_addr addr;   /* as it listens */
	struct io_listener *listener;
	struct list conns;	 /* core: tgt_conn.port_link */
	struct event conns_gone; /* core: the list is empty */
};

/* Bit of tgt_subsys.ports. */
static inline uint64_t tgt_port_bit(const struct tgt_port *port)
{
	return 1ull << (port->id - 1);
}

/* ---- subsystems ----------------------------------------------------------------- */

#define TGT_VERSION	   nvme_version(1, 4, 0) /* VS, VER */
#define TGT_ANA_GROUPS_MAX 16u

/* One name on the allow-list. */
struct tgt_host {
	struct list_link link; /* of tgt_subsys.hosts */
	char nqn[NVME_NQN_MAX + 1];
};

struct tgt_subsys {
	struct tgt *tgt;
	struct list_link link; /* of tgt.subsystems */
	bool is_discovery;
	bool is_removing; /* admin: Connect is refused */
	char nqn[NVME_NQN_MAX + 1];
	char serial[TGT_SERIAL_MAX + 1];
	char model[TGT_MODEL_MAX + 1];
	uint16_t cntlid_min, cntlid_max;
	bool allow_any_host, multipath, fence, no_reservations, vendor;
	bool on_all_ports; /* admin */
	uint64_t ports;	   /* admin: tgt_port_bit() of those it is linked to */
	struct list hosts; /* admin: tgt_host.link */
	unsigned host_count;

	struct list ctrls; /* core: tgt_ctrl.link, also those that are closing */
	unsigned ctrl_count;
	uint16_t cntlid_next;	    /* core */
	struct event ctrls_changed; /* core: set whenever a controller is gone */
	unsigned connecting;	    /* core: Connects that look at it now */

	struct tgt_ns *ns[TGT_NAMESPACES_MAX]; /* admin: [nsid - 1]; NULL: none */
	unsigned ns_count;
	struct tgt_view_table *table[REACTORS_MAX]; /* core: what each reactor sees of ns[] */

	uint8_t ana_state[TGT_ANA_GROUPS_MAX]; /* admin: [group - 1] */
	uint64_t ana_count;		       /* admin: ANA change count */
};

/* ---- namespaces ------------------------------------------------------------------ */

/* What the data side goes by. Published as a whole by tgt_view_publish(). */
struct tgt_ns_rules {
	bool is_visible;	 /* else: Invalid Namespace */
	bool is_paused;		 /* commands wait */
	bool is_read_only;	 /* writes: Namespace is Write Protected */
	bool is_one_of_many;	 /* a path to a volume that other targets have, too */
	uint8_t ana;		 /* enum tgt_ana_state */
	uint8_t resv_type;	 /* enum nvme_resv_type; NONE, WRITE_EXCLUSIVE, EXCLUSIVE_ACCESS */
	struct uuid resv_holder; /* host identifier */
};

struct tgt_ns {
	struct tgt_subsys *subsys;
	uint32_t nsid;
	struct bdev *bdev;	 /* admin: opened and closed by it */
	struct bdev_claim claim; /* admin */
	struct bdev_watch watch; /* admin */
	struct bdev_chan *chan;	 /* admin: home's own channel, for resv ops and the like */
	struct uuid uuid;
	uint8_t nguid[16], eui64[8];
	uint32_t ana_group;
	bool is_removing;     /* admin */
	unsigned pause_count; /* admin */
	struct latch lock;    /* admin: one change of rules or reservation at a time */
	struct event changed; /* admin: the lock was released, or a user went */
	unsigned users;	      /* admin: fibers that hold it or wait to */
	bool is_added;	      /* admin: has been shown */
	uint8_t shift;	      /* admin: log2 of a block's bytes */

	struct tgt_ns_rules rules;	     /* admin writes, then calls tgt_view_publish() */
	struct tgt_view *view[REACTORS_MAX]; /* core */

	struct resv_state resv; /* admin: the truth; in the bdev too, where it keeps it */
	bool resv_is_loaded;
	uint64_t fence; /* admin: the greatest token that took it since we started */
};

/* ---- controllers ------------------------------------------------------------------ */

enum tgt_ctrl_state {
	TGT_CTRL_LIVE,
	TGT_CTRL_CLOSING, /* no new command or connection; its connections are being drained */
};

struct tgt_ctrl {
	struct list_link link;		/* of tgt_subsys.ctrls */
	struct tgt_subsys *subsys;	/* const */
	struct tgt_port *port;		/* const: the one it came through */
	uint16_t cntlid;		/* const */
	char hostnqn[NVME_NQN_MAX + 1]; /* const */
	struct uuid host_id;		/* const */

	/* core */
	enum tgt_ctrl_state state;
	struct tgt_conn *admin_conn; /* NULL: gone */
	struct list conns;	     /* tgt_conn.ctrl_link, with the admin queue's */
	unsigned io_conn_count;
	struct event conns_changed; /* set whenever one is gone */
	uint32_t cc, csts;
	bool is_changing; /* a Property Set of CC that drains is running */
	uint32_t kato_ms; /* 0: none */
	uint64_t kato_due_ns;
	struct timer kato_timer;
	uint64_t token; /* of its bios; tgt_ctrl_set_token() */
	uint64_t connected_ns;

	struct tgt_ctrl_admin admin; /* admin */
};

/* ---- from core to admin (implemented by the admin half) ----------------------------- */

/* tgt_subsys.c. The discovery subsystem too. NULL: there is none. */
struct tgt_subsys *tgt_subsys_find(struct tgt *tgt, const char *nqn);
/* May be connected to through this port? */
bool tgt_subsys_is_on(const struct tgt_subsys *subsys, const struct tgt_port *port);
/* A subsystem with its core fields set up, not yet in tgt.subsystems; NULL: no memory. Core's (tgt.c). */
struct tgt_subsys *tgt_subsys_new(struct tgt *tgt, const char *nqn);
/* Core's: no controllers, no namespaces are left. */
void tgt_subsys_free(struct tgt_subsys *subsys);
/* Ends every subsystem; for tgt_close(). */
void tgt_subsys_remove_all(struct fiber *f, struct tgt *tgt);

/* tgt_host.c */
bool tgt_host_may_connect(const struct tgt_subsys *subsys, const char *hostnqn);

/* tgt_admin.c: any admin command but fabrics; of discovery controllers, too. Ends in tgt_cmd_done(), maybe later. */
void tgt_admin_execute(struct fiber *f, struct tgt_cmd *cmd);
/* A controller has been made; it was enabled or reset (CC.EN either way: features, events as after a reset). */
void tgt_ctrl_admin_init(struct tgt_ctrl *ctrl);
void tgt_ctrl_admin_reset(struct tgt_ctrl *ctrl);
/* No more events: what is parked is completed with `status`. More than once allowed. */
void tgt_ctrl_admin_abort(struct tgt_ctrl *ctrl, uint16_t status);
/* The event request of this identifier, if it is parked. */
bool tgt_aer_abort(struct tgt_ctrl *ctrl, uint16_t cid);
/* Last call: free what the admin half has of it; nothing is parked. */
void tgt_ctrl_admin_fini(struct tgt_ctrl *ctrl);

/* tgt_resv.c: reservation commands of an I/O queue (opcodes 0Dh, 0Eh, 11h, 15h). */
void tgt_resv_execute(struct fiber *f, struct tgt_cmd *cmd);

/* A port came or went: discovery log, discovery events. */
void tgt_discovery_changed(struct tgt *tgt);

/* ---- from admin to core ------------------------------------------------------------- */

/* tgt_view.c: a channel on every reactor; nothing is visible yet. Worded. */
MUST_USE int tgt_view_open(struct fiber *f, struct tgt_ns *ns);
/* ns->rules hold on every reactor when this returns, for every command not yet given to the bdev. */
void tgt_view_publish(struct fiber *f, struct tgt_ns *ns);
/* Every bio of the namespace that was in flight when this was called has ended. */
void tgt_view_drain(struct fiber *f, struct tgt_ns *ns);
/* Publishes "not visible", drains, closes the channels. */
void tgt_view_close(struct fiber *f, struct tgt_ns *ns);

/*
 * The tables of a subsystem that has just been made, before any host can find it; and their end,
 * without a namespace or a connection.
 */
MUST_USE int tgt_view_tables(struct fiber *f, struct tgt_subsys *subsys);
void tgt_view_tables_free(struct tgt_subsys *subsys);

struct tgt_view_stats { /* since it was opened; for the SMART log */
	uint64_t reads, writes, read_blocks, written_blocks, errors;
};

void tgt_view_stats(struct fiber *f, struct tgt_ns *ns, struct tgt_view_stats *ret);

/* tgt_ctrl.c: starts to end an association (N3); returns at once. `why`: for the log. */
void tgt_ctrl_close(struct tgt_ctrl *ctrl, const char *why);
/* All controllers of the subsystem that match are closed and gone. match NULL: all. */
void tgt_ctrl_close_all(struct fiber *f, struct tgt_subsys *subsys,
			bool (*match)(const struct tgt_ctrl *ctrl, const void *arg),
			const void *arg, const char *why);
/* From now on (on every reactor when this returns) its bios bear this token. */
void tgt_ctrl_set_token(struct fiber *f, struct tgt_ctrl *ctrl, uint64_t token);
/* Keep Alive was received; Set Features 0Fh. */
void tgt_ctrl_keep_alive(struct tgt_ctrl *ctrl);
void tgt_ctrl_set_kato(struct tgt_ctrl *ctrl, uint32_t kato_ms);
/* CAP as a controller of this subsystem has it. */
uint64_t tgt_ctrl_cap(const struct tgt_ctrl *ctrl);

/* tgt_ctrl.c: the Abort command (08h): finds the command on its queue; completes `cmd`. */
void tgt_abort_execute(struct fiber *f, struct tgt_cmd *cmd);

#endif
