/* SPDX-License-Identifier: Apache-2.0 */
/* register_priv - what a node says of itself: to a registrar, and to who asks HostRpc. */
#ifndef ENGINE_REGISTER_PRIV_H
#define ENGINE_REGISTER_PRIV_H

struct Mayastor__V1__RegisterRequest;
struct engine;
struct mem;

/* One block of memory: mem_free(). NULL: none left. It points to texts of the engine. */
struct Mayastor__V1__RegisterRequest *register_new(struct mem *mem, const struct engine *e);

#endif
