// SPDX-License-Identifier: Apache-2.0
/*
 * uri - how block devices, stores and peers are named.
 *
 *	scheme://host:port/segment/segment?name=value&name=value
 *	scheme:///segment?name=value		no host
 *	scheme:?name=value			neither host nor path
 *
 * A parameter's value may be a URI itself (a child): it begins with "scheme:"
 * followed by '/', '?' or nothing. Written with percent escapes it may stand
 * anywhere; written plainly it takes all the rest of the text, so that
 *
 *	delay:///?ns=1000&on=malloc:///a?size_mb=64&blk_size=512
 *
 * needs no escapes: size_mb and blk_size belong to malloc.
 *
 * U1. Text given out is percent-decoded and has no NUL or control character.
 * U2. uri_print() is canonical: parsing it gives an equal URI that prints the
 *     same. Scheme and host are in lower case, there are no empty segments.
 * U3. Children are parsed with their parent: a URI that was accepted is good
 *     down to its last leaf, and belongs to (is freed with) the outermost one.
 *
 * Refused with words: credentials, fragments, a bare path, relative paths.
 */
#ifndef BASE_URI_H
#define BASE_URI_H

#include "base/lang.h"

#define URI_TEXT_LEN_MAX   4096
#define URI_DEPTH_MAX	   8  /* the outermost is at depth 1 */
#define URI_PARAMS_MAX	   80 /* per level */
#define URI_SEGMENTS_MAX   64
#define URI_SCHEME_LEN_MAX 32
#define URI_NAME_LEN_MAX   63 /* of a parameter */
#define URI_HOST_LEN_MAX   253

struct err;
struct mem;
struct uri;
struct uuid;

/* 0; -EINVAL, -ENAMETOOLONG (text), -E2BIG (other limits), -ENOMEM, all but the last with words. */
MUST_USE int uri_parse(struct mem *mem, const char *text, struct uri **ret, struct err *err);

/* The outermost URI with all its children; NULL ok. */
void uri_free(struct uri *uri);
void cleanup_uri(struct uri **uri);

/* Everything handed out is borrowed from the URI. */
const char *uri_print(const struct uri *uri); /* canonical text */
const char *uri_scheme(const struct uri *uri);
const char *uri_host(const struct uri *uri); /* "" if none; IPv6 without brackets */
uint16_t uri_port(const struct uri *uri);    /* 0 if none */
const char *uri_path(const struct uri *uri); /* decoded, "/a/b"; "/" if there are no segments */
uint32_t uri_segment_count(const struct uri *uri);
const char *uri_segment(const struct uri *uri, uint32_t i); /* NULL if i >= count */

/* Parameters in their order. */
uint32_t uri_param_count(const struct uri *uri);
const char *uri_param_name(const struct uri *uri, uint32_t i);
const char *uri_param_value(const struct uri *uri, uint32_t i);

/*
 * Typed parameters: 0, -ENOENT if absent, -EINVAL if malformed, -ERANGE if it does
 * not fit. Of repeated ones the first counts. ret is untouched on failure.
 */
MUST_USE int uri_str(const struct uri *uri, const char *name, const char **ret);
MUST_USE int uri_u64(const struct uri *uri, const char *name, uint64_t *ret); /* decimal or 0x */
/* u64 with an optional suffix k, m, g, t of either case, also "ki", "kib"; powers of 1024. */
MUST_USE int uri_size(const struct uri *uri, const char *name, uint64_t *ret_bytes);
/* true/yes/on/1/(nothing), false/no/off/0 */
MUST_USE int uri_bool(const struct uri *uri, const char *name, bool *ret);
MUST_USE int uri_f64(const struct uri *uri, const char *name, double *ret); /* finite */
MUST_USE int uri_uuid(const struct uri *uri, const char *name, struct uuid *ret);

/* The same of any text, as that of a command line. */
MUST_USE int uri_text_u64(const char *text, uint64_t *ret);
MUST_USE int uri_text_size(const char *text, uint64_t *ret_bytes);

/*
 * The same with a default for an absent one, a permitted range, and words that
 * name scheme, parameter, value given and what was expected.
 */
MUST_USE int uri_get_str(const struct uri *uri, const char *name, const char *dflt,
			 const char **ret, struct err *err);
MUST_USE int uri_get_u64(const struct uri *uri, const char *name, uint64_t min, uint64_t max,
			 uint64_t dflt, uint64_t *ret, struct err *err);
MUST_USE int uri_get_size(const struct uri *uri, const char *name, uint64_t min, uint64_t max,
			  uint64_t dflt, uint64_t *ret_bytes, struct err *err);
MUST_USE int uri_get_bool(const struct uri *uri, const char *name, bool dflt, bool *ret,
			  struct err *err);
MUST_USE int uri_get_f64(const struct uri *uri, const char *name, double min, double max,
			 double dflt, double *ret, struct err *err);
/* There is no default: -ENOENT with words if absent. */
MUST_USE int uri_get_child(const struct uri *uri, const char *name, const struct uri **ret,
			   struct err *err);

/* The (i-th) parameter of that name as a URI; NULL if absent or not a URI. */
const struct uri *uri_child(const struct uri *uri, const char *name);
const struct uri *uri_child_at(const struct uri *uri, const char *name, uint32_t i);
/* How many parameters of that name there are. */
uint32_t uri_name_count(const struct uri *uri, const char *name);

/*
 * Each parameter is one of allowed (NULL-terminated) and given once; a name that
 * ends in '*' in allowed ("on*") may be repeated under its plain name. -EINVAL
 * with words that name the offender and list the known ones.
 */
MUST_USE int uri_check_params(const struct uri *uri, const char *const *allowed, struct err *err);

#endif
