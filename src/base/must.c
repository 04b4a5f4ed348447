// SPDX-License-Identifier: Apache-2.0
/*
 * must - the last words of a process.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"

void must_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "%s:%d: must(%s) does not hold\n", file, line, expr);
	fflush(stderr);
	abort();
}
