/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - what a process may ask of, and tell, its surroundings: usage, environment, and the
 * service manager that started it. For mains and their reports; not part of struct io.
 */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

#include <stdint.h>

struct io_usage {
	int64_t soft_faults, hard_faults, swaps, in_blocks, out_blocks, ipc_sent, ipc_received,
		signals, voluntary_switches, involuntary_switches;
};

/* Of all threads, since the start. */
void io_process_usage(struct io_usage *ret);

/* Nanoseconds since 1970 UTC, from any thread: for the clock of a log. */
uint64_t io_process_wall(void);

/* The environment's value, or NULL. */
const char *io_process_env(const char *name);

/* This machine's name; "localhost" if it has none. Returns `text`. */
const char *io_process_host(char *text, unsigned size);

/*
 * Tell the service manager ("READY=1"): one datagram to $NOTIFY_SOCKET, which may be abstract (@).
 * 0 also where there is none; nothing is waited for.
 */
int io_process_notify(const char *text);

#endif
