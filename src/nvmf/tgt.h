/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tgt - an NVMe/TCP target: any bdev as a namespace that hosts connect to.
 *
 *	tgt -- port (address) ------ listener
 *	  \--- subsystem (NQN) ----- namespace (bdev)
 *	            \--------------- controller (one association of a host) -- connections
 *
 * The folder, target part, from the bottom:
 *	data side, on the reactor of a connection: tgt_buf (memory), tgt_view (a namespace as one
 *	reactor sees it), tgt_send, tgt_io (commands to bios), tgt_req (one command), tgt_recv,
 *	tgt_conn (life of a connection)
 *	control side, on the home reactor: tgt_cmd (between the two), tgt_ctrl, tgt_fabrics,
 *	tgt_port, tgt_aer, tgt_ana, tgt_log, tgt_identify, tgt_feature, tgt_resv, tgt_discovery,
 *	tgt_admin (dispatch), tgt_host, tgt_ns, tgt_subsys, tgt_here, tgt
 *
 * N1.  All of control belongs to the home reactor, where tgt_open() ran; a connection and its
 *      requests belong to one reactor. What crosses is mail, and a command that the other side
 *      has is not touched.
 * N2.  A command is completed exactly once, and no capsule is executed whose association is closed.
 * N3.  A connection is gone when its socket is closed, what it received and did not dispatch is
 *      dropped, and every bio and command it had dispatched has ended (B.5).
 * N4.  A new association of the same host, subsystem and port is answered only when the older one
 *      is gone in the sense of N3; through another port it is refused while the older one lives,
 *      unless the subsystem allows multipath. Discovery is exempt.
 * N5.  Bytes from a peer are decoded and refused, never asserted; what a peer can make us hold
 *      is bounded by the limits below.
 * N6.  Without memory for a command's data we wait, and stop reading if we must: no command is
 *      refused for it, and what waits never waits for itself (tgt_buf.c).
 *
 * All functions are for fibers of the home reactor; errors are worded.
 */
#ifndef NVMF_TGT_H
#define NVMF_TGT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lang.h"
#include "base/uuid.h"
#include "io/io.h"

struct bdev;
struct fiber;
struct tgt;
struct tgt_ns;
struct tgt_port;
struct tgt_subsys;

/* ---- limits: of what we make ------------------------------------------------ */

#define TGT_PORTS_MAX	    64u
#define TGT_SUBSYSTEMS_MAX  4096u
#define TGT_NAMESPACES_MAX  1024u /* of a subsystem; NSIDs are 1..1024 */
#define TGT_HOSTS_MAX	    1024u /* on a subsystem's allow-list */
#define TGT_CONTROLLERS_MAX 1024u /* of a subsystem */
#define TGT_SERIAL_MAX	    20u
#define TGT_MODEL_MAX	    40u

/* ---- limits: of what we offer ----------------------------------------------- */

#define TGT_QUEUES_MAX	      128u  /* I/O queues of a controller */
#define TGT_QUEUE_ENTRIES_MAX 1024u /* CAP.MQES + 1 */
#define TGT_MDTS	      8u    /* 4096 << 8: the data of a command */
#define TGT_DATA_MAX	      (4096u << TGT_MDTS)
#define TGT_CAPSULE_DATA      16384u	 /* in-capsule, of I/O commands; IOCCSZ */
#define TGT_H2C_DATA_MAX      (1u << 20) /* MAXH2CDATA */
#define TGT_AERS_MAX	      4u	 /* AERL + 1 */
#define TGT_ABORTS_MAX	      4u	 /* ACL + 1 */
#define TGT_KAS_MS	      100u	 /* granularity of the keep-alive timer */
#define TGT_KATO_MIN_MS	      1000u	 /* a shorter one is taken for this */
#define TGT_KATO_MAX_MS	      (3600u * 1000)

/* ---- limits: of what a peer can take (safety rules B.13) --------------------- */

#define TGT_STRANGERS_MAX	 1024u /* connections not yet admitted by a Connect */
#define TGT_STRANGERS_PER_IP_MAX 64u
#define TGT_STRANGER_BYTES_MAX	 16384u /* memory of one of them */
#define TGT_ACCEPTS_PER_S	 2000u
#define TGT_ACCEPTS_BURST	 4000u
#define TGT_ICREQ_NS		 (5ull * 1000 * 1000 * 1000)  /* from accept to ICReq */
#define TGT_CONNECT_NS		 (10ull * 1000 * 1000 * 1000) /* from accept to Connect */
#define TGT_PDU_NS		 (10ull * 1000 * 1000 * 1000) /* from first to last byte */
#define TGT_H2C_NS		 (30ull * 1000 * 1000 * 1000) /* an R2T without a data PDU */
#define TGT_TERM_NS		 (1ull * 1000 * 1000 * 1000)  /* after a terminate request */
#define TGT_USER_TIMEOUT_MS	 30000u			      /* TCP: sent and not acknowledged */
#define TGT_TCP_KEEPALIVE_S	 30u
#define TGT_CONNECTIONS_MAX	 65536u
#define TGT_CONN_DATA_MAX	 (4u << 20)  /* memory that commands of a connection hold */
#define TGT_REACTOR_DATA_MAX	 (64u << 20) /* of all on a reactor: reads and R2T */
#define TGT_REACTOR_CAPSULE_MAX	 (16u << 20) /* and in-capsule data */
#define TGT_HOST_DATA_PART	 2u /* of a reactor's memory for reads and R2T, one host: 1 / so much */
#define TGT_CMD_FIBERS_MAX	 64u /* commands that run at home at the same time */

/* ---- the target ------------------------------------------------------------- */

enum tgt_digest {
	TGT_DIGEST_ALLOW,   /* as the host asks */
	TGT_DIGEST_OFF,	    /* denied: hosts go on without */
	TGT_DIGEST_REQUIRE, /* a host that does not ask is turned away */
};

/* Rules of the safety protocol that it has a part in; without them data are lost. For tests. */
enum tgt_rule {
	TGT_RULE_SESSION = 1 << 0, /* a token comes once; what came before it is drained */
};

struct tgt_opts {
	unsigned reactors; /* that serve connections: 0..n-1; 0: only home */
	enum tgt_digest hdgst, ddgst;
	uint64_t instance;	  /* feeds serial numbers and the like that nobody gave; 0: none */
	uint64_t data_max;	  /* 0: TGT_REACTOR_DATA_MAX */
	unsigned connections_max; /* 0: TGT_CONNECTIONS_MAX */
	unsigned rules_off;	  /* enum tgt_rule; 0 but in tests of the tests */
};

/* -ENOMEM. */
MUST_USE int tgt_open(struct fiber *f, const struct tgt_opts *opts, struct tgt **ret);

/* Drains everything: connections, then namespaces. Not cancellable. */
void tgt_close(struct fiber *f, struct tgt *tgt);

struct tgt_stats {
	uint64_t connections, controllers;    /* now */
	uint64_t accepted, refused;	      /* connections ever; refused by a limit */
	uint64_t faults;		      /* connections ended by us with a terminate request */
	uint64_t timeouts;		      /* connections ended by one of the deadlines */
	uint64_t commands;		      /* I/O commands */
	uint64_t data_waits;		      /* of them, that waited for memory */
	uint64_t data_bytes, data_bytes_high; /* memory for data: held now, and most ever */
};

MUST_USE int tgt_stats(struct fiber *f, struct tgt *tgt, struct tgt_stats *ret);

/* ---- ports ------------------------------------------------------------------ */

struct tgt_port_args {
	uint16_t id;	     /* 0: the next free */
	struct io_addr addr; /* port 0: any; see tgt_port_addr() */
};

/* Listens. -EEXIST (id), -EMFILE (TGT_PORTS_MAX), or what listening said. */
MUST_USE int tgt_port_add(struct fiber *f, struct tgt *tgt, const struct tgt_port_args *args,
			  struct tgt_port **ret);
/* Connections through it are closed and drained. */
void tgt_port_remove(struct fiber *f, struct tgt_port *port);
void tgt_port_addr(const struct tgt_port *port, struct io_addr *ret);

/* ---- subsystems ------------------------------------------------------------- */

struct tgt_subsys_args {
	const char *nqn;
	const char *serial;		 /* NULL: made from the NQN */
	const char *model;		 /* NULL: "Mayastor" */
	uint16_t cntlid_min, cntlid_max; /* 0: 1..NVME_CNTLID_MAX */
	bool allow_any_host;		 /* else those of tgt_host_allow() */
	bool multipath;			 /* one host may have associations through several ports */
	bool fence;			 /* a replica: monotonic keys, tokens; one namespace only */
	bool no_reservations;		 /* RESCAP 0; a deposed disk is an inaccessible path */
	uint64_t ana_count;		 /* the ANA change count begins here */
	bool vendor;			 /* replica control commands are offered */
};

/* On all ports, until tgt_port_link(). -EEXIST, -EINVAL, -EMFILE. */
MUST_USE int tgt_subsys_add(struct fiber *f, struct tgt *tgt, const struct tgt_subsys_args *args,
			    struct tgt_subsys **ret);
/* Associations are closed and drained, namespaces removed. */
void tgt_subsys_remove(struct fiber *f, struct tgt_subsys *subsys);
/* Only on the ports linked: the first call ends "on all ports". */
MUST_USE int tgt_port_link(struct fiber *f, struct tgt_port *port, struct tgt_subsys *subsys);
/* Associations through this port are closed and drained. */
void tgt_port_unlink(struct fiber *f, struct tgt_port *port, struct tgt_subsys *subsys);

MUST_USE int tgt_host_allow(struct fiber *f, struct tgt_subsys *subsys, const char *hostnqn);
/* Its associations are closed and drained. -ENOENT. */
MUST_USE int tgt_host_deny(struct fiber *f, struct tgt_subsys *subsys, const char *hostnqn);

/* ---- namespaces ------------------------------------------------------------- */

struct tgt_ns_args {
	uint32_t nsid; /* 0: the lowest free */
	/* opened; claimed for writing, or for reading: if it is read-only, or a replica behind `fence` */
	const char *uri;
	struct uuid uuid; /* nil: the bdev's; else made from NQN and URI, stable */
	bool read_only;
	bool is_door;	    /* other doors may write to the disk as well (BDEV_CLAIM_DOOR) */
	uint32_t ana_group; /* 0: 1 */
};

MUST_USE int tgt_ns_add(struct fiber *f, struct tgt_subsys *subsys, const struct tgt_ns_args *args,
			struct tgt_ns **ret);
/* No new commands; those in flight end; then the bdev is closed. Hosts are told. */
void tgt_ns_remove(struct fiber *f, struct tgt_ns *ns);
/* Commands wait (none is refused) from when this returns until resumed; counted. */
void tgt_ns_pause(struct fiber *f, struct tgt_ns *ns);
void tgt_ns_resume(struct fiber *f, struct tgt_ns *ns);
/* Look at the size of the bdev again; hosts are told. */
MUST_USE int tgt_ns_rescan(struct fiber *f, struct tgt_ns *ns);
uint32_t tgt_ns_nsid(const struct tgt_ns *ns);
struct tgt_ns *tgt_ns_find(struct tgt_subsys *subsys, uint32_t nsid); /* NULL */

/*
 * Do these lead here: an address that a port of this target has, and a replica on a subsystem marked
 * `fence`? Then it is as well used directly: its fence is the same. nsid 0: the first. The
 * name is that of the bdev.
 */
bool tgt_leads_here(const struct tgt *tgt, const struct io_addr *addr, const char *nqn,
		    uint32_t nsid, const char **ret_name);

enum tgt_ana_state { /* as NVMe has them */
		     TGT_ANA_OPTIMIZED = 1,
		     TGT_ANA_NON_OPTIMIZED = 2,
		     TGT_ANA_INACCESSIBLE = 3,
		     TGT_ANA_PERSISTENT_LOSS = 4,
		     TGT_ANA_CHANGE = 15,
};

/* Of all namespaces of the group. It holds on every reactor when this returns; hosts are told. */
MUST_USE int tgt_ana_set(struct fiber *f, struct tgt_subsys *subsys, uint32_t group,
			 enum tgt_ana_state state);

#endif
