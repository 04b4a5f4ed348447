/* SPDX-License-Identifier: Apache-2.0 */
/* version - what a node says it is. */
#ifndef ENGINE_VERSION_H
#define ENGINE_VERSION_H

#ifndef MAYASTOR_VERSION
#define MAYASTOR_VERSION "0.1.0"
#endif

#endif
