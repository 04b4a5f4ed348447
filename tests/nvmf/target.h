/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target - the target under test: a child process `mayastor export nvmf` on a loopback port
 * of the kernel's choice, or one that runs already.
 *
 *	MAYASTOR=path               the program
 *	NVMF_REACTORS=n             how many reactors it shall have; else 1
 *	NVMF_TARGET=port,nqn        instead of it: a target at 127.0.0.1 whose namespaces 1 and 2
 *	                            have blocks of 512 and 4096 bytes and 16 MiB or more
 */
#ifndef TESTS_NVMF_TARGET_H
#define TESTS_NVMF_TARGET_H

#include <sys/types.h>

#include "base/lang.h"

#define TARGET_NQN	 "nqn.2026-01.io.mayastor:test"
#define TARGET_ARGS_MAX	 2048
#define TARGET_NS1_BLOCK 512u
#define TARGET_NS2_BLOCK 4096u
#define TARGET_NS_BYTES	 (UINT64_C(16) << 20)

struct target {
	pid_t pid; /* 0: not ours */
	uint16_t port;
	uint16_t second_port; /* 0: there is none, or it is not ours */
	char nqn[224];
	int out; /* pipe from its standard output */
	int in;	 /* and to its standard input */
};

/*
 * Two malloc namespaces, of 512 and 4096 bytes a block, and `args` (ended by NULL, may be
 * NULL) behind. -ENOTSUP: this program has no such command. Its standard error is ours.
 */
MUST_USE int target_start(struct target *target, const char *const *args);
/* With these arguments only, after `export nvmf --listen 127.0.0.1:0`. */
MUST_USE int target_start_bare(struct target *target, const char *const *args);
/* A command on its standard input; true if it answers `ok`. */
bool target_tell(struct target *target, const char *command);
/* Exit status after SIGTERM; 128 + n if signal n killed it; 0 if not ours. */
int target_stop(struct target *target);
bool target_runs(const struct target *target);
/* Resident bytes; 0 if not ours. */
uint64_t target_rss(const struct target *target);
/* CPU time used so far, ms. */
uint64_t target_cpu_ms(const struct target *target);

#endif
