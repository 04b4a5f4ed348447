// SPDX-License-Identifier: Apache-2.0
/*
 * uri_priv - a parsed URI, for uri.c (making it) and uri_param.c (asking it).
 */
#ifndef BASE_URI_PRIV_H
#define BASE_URI_PRIV_H

#include "base/list.h"
#include "base/uri.h"

struct uri_param {
	const char *name;
	char *value;	   /* decoded; of a child: its text */
	struct uri *child; /* NULL: a plain value */
};

struct uri {
	struct mem *mem;       /* borrowed */
	struct uri *outermost; /* itself, if it is */
	struct list family;    /* of the outermost: all URIs, parents before children */
	struct list_link link; /* in family */
	uint32_t depth;	       /* 1..URI_DEPTH_MAX */

	char *source; /* owned, as given, for error words */
	char *text;   /* owned, cut up and decoded in place; parts below point into it */
	char *scheme;
	const char *host; /* "": none */
	char *path;	  /* owned */
	char *canonical;  /* owned */
	uint16_t port;
	uint32_t segment_count;
	uint32_t param_count;
	char *segments[URI_SEGMENTS_MAX];
	struct uri_param params[URI_PARAMS_MAX];
};

/* The i-th parameter of a name, or NULL. */
const struct uri_param *uri_find_param(const struct uri *uri, const char *name, uint32_t i);

#endif
