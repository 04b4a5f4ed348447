// SPDX-License-Identifier: Apache-2.0
/*
 * err - a negative errno together with the words a person needs.
 *
 * The words are given where the error is born; whoever passes it on returns the
 * bare code:
 *
 *	return err_fail(err, -EEXIST, "pool '%s' exists", name);
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/lang.h"

#define ERR_WORDS_SIZE 256

struct err {
	int code; /* 0 or negative errno */
	char words[ERR_WORDS_SIZE];
};

/* Stores code (negative) and words, returns code. Longer words are cut. err may be NULL. */
int err_fail(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts a prefix before the words of a failure: "child 2: " + "no such file". Returns its code. */
int err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The words; the system's words for the code if none were given; "no error". */
const char *err_words(const struct err *err);

void err_clear(struct err *err);

/* "ENOSPC" for -ENOSPC (or ENOSPC), "OK" for 0, "E?" for what has no name. */
const char *err_name(int code);

#endif
