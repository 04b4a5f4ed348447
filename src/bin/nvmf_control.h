/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nvmf_control - what a person or a test types while `mayastor export nvmf` serves.
 *
 * Commands come on standard input, one a line; each is answered by a line on standard output:
 * `ok`, or `error: ` and why. The end of input is not an end of service.
 *
 *	ns add URI [NSID]	a namespace of the first subsystem
 *	ns remove NSID
 *	ns rescan NSID		its disk has grown
 *	ns pause NSID, ns resume NSID
 *	ana GROUP STATE		optimized, non-optimized, inaccessible, persistent-loss, change
 *	stats			figures, one line
 */
#ifndef BIN_NVMF_CONTROL_H
#define BIN_NVMF_CONTROL_H

#include "base/lang.h"

struct fiber;
struct nvmf_control;
struct tgt;
struct tgt_subsys;

MUST_USE int nvmf_control_start(struct fiber *f, struct tgt *tgt, struct tgt_subsys *subsys,
				struct nvmf_control **ret);
void nvmf_control_stop(struct fiber *f, struct nvmf_control *control);

#endif
