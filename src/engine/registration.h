/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registration - the node tells a control plane that it is there: now, every few seconds, and once
 * more when it leaves. Who does not answer is asked again with a back-off.
 */
#ifndef ENGINE_REGISTRATION_H
#define ENGINE_REGISTRATION_H

#include "base/lang.h"

struct engine;
struct fiber;
struct registration;
struct rpc_tls;

/* target: HOST:PORT of the registrar; tls NULL: plain; endpoint: where our own services are. All are borrowed. */
MUST_USE int registration_start(struct fiber *f, struct engine *e, const char *target,
				struct rpc_tls *tls, const char *endpoint,
				struct registration **ret);
/* Says goodbye, if there is anybody. */
void registration_stop(struct fiber *f, struct registration *reg);

#endif
