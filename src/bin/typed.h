/* SPDX-License-Identifier: Apache-2.0 */
/*
 * typed - what a person or a test types while a command serves.
 *
 * Commands come on standard input, one a line; each is answered by a line on standard output:
 * `ok`, or `error: ` and why. The end of input is not the end of service.
 */
#ifndef BIN_TYPED_H
#define BIN_TYPED_H

#include "base/lang.h"

#define TYPED_WORDS_MAX 4u /* of a line; the rest is not looked at */
#define TYPED_LINE_MAX	1024u

struct fiber;
struct typed;

/* words: NULL behind the last one; words[0] is NULL for an empty line. 0, or worded. */
typedef int (*typed_fn)(struct fiber *f, void *ctx, char *words[TYPED_WORDS_MAX + 1]);

struct typed_opts {
	typed_fn run;
	void *ctx;
	bool json; /* answers are {"ok":true} or {"ok":false,"error":"..."} */
};

/* NULL in *ret: standard input is nothing that could be read. */
MUST_USE int typed_start(struct fiber *f, const struct typed_opts *opts, struct typed **ret);
void typed_stop(struct fiber *f, struct typed *typed); /* may be NULL */

/* A number of 1 and more, all of the word. */
MUST_USE int typed_number(struct fiber *f, const char *word, uint32_t *ret);
/* A string as JSON has it, quotes and all, to standard output. */
void typed_json_string(const char *text);

#endif
