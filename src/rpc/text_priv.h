/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text - the small texts of gRPC's headers, and UTF-8. Pure.
 *
 * TX1. What is written is printable ASCII, whatever was given.
 * TX2. What is read is bounded by its length; nothing needs to end with NUL.
 */
#ifndef RPC_TEXT_PRIV_H
#define RPC_TEXT_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/lang.h"

#define RPC_TIMEOUT_TEXT 16u

/* How many of these bytes are whole UTF-8 characters (RFC 3629), from the first on. */
size_t rpc_utf8_len(const void *text, size_t len);

/*
 * grpc-message: as much as fits of text (NUL-terminated), with its NUL, in `size` >= 1 bytes; what is
 * no UTF-8 becomes '?'. Returns the length.
 */
size_t rpc_percent_encode(const char *text, char *ret, size_t size);

/* The other way: as much as fits, with its NUL. A '%' that is none stays. What is no UTF-8: '?'. */
size_t rpc_percent_decode(const char *text, size_t len, char *ret, size_t size);

/* grpc-timeout: 1 to 8 digits and one of H M S m u n. -EINVAL. */
MUST_USE int rpc_timeout_parse(const char *text, size_t len, uint64_t *ret_ns);
/* Never less than ns, as exact as the form allows, at most some 11,000 years. */
void rpc_timeout_print(uint64_t ns, char ret[RPC_TIMEOUT_TEXT]);

/* All digits, at most `max`. -EINVAL. */
MUST_USE int rpc_number_parse(const char *text, size_t len, unsigned max, unsigned *ret);

#endif
