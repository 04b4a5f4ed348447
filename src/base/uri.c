// SPDX-License-Identifier: Apache-2.0
/*
 * uri - parsing and printing.
 *
 * U1..U3 stand in uri.h. There is no recursion: the outermost URI keeps a list of
 * its whole family. Parsing one member cuts its own text to pieces and appends
 * its children, still unparsed, to the list; the list is walked until its end.
 * Walked backwards, it gives children before parents, the order to print in.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/uri_priv.h"

/* Fails with words that begin with the URI as it was given. */
#define uri_refuse(uri, err, code, fmt, ...) \
	err_fail(err, code, "URI '%.100s': " fmt, (uri)->source, ##__VA_ARGS__)

static bool uri_is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool uri_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool uri_is_control(char c)
{
	return (uint8_t)c < 0x20 || c == 0x7f;
}

static char uri_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* 0..15, or -1. */
static int uri_digit(char c)
{
	if (uri_is_digit(c))
		return c - '0';
	c = uri_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the scheme that text begins with, its colon not counted; 0: none. */
static size_t uri_scheme_len(const char *text)
{
	size_t len = 0;

	if (!uri_is_alpha(*text))
		return 0;
	while (uri_is_alpha(text[len]) || uri_is_digit(text[len]) ||
	       (text[len] && strchr("+-.", text[len])))
		len++;
	return len <= URI_SCHEME_LEN_MAX && text[len] == ':' ? len : 0;
}

/* Does a parameter's value look like a URI? */
static bool uri_is_child_text(const char *value)
{
	size_t len = uri_scheme_len(value);

	return len && (value[len + 1] == '\0' || strchr("/?", value[len + 1]));
}

/* Percent-decodes in place (U1). what: "path", "parameter 'x'", for the words. */
static int uri_decode(struct uri *uri, char *text, const char *what, const char *name,
		      struct err *err)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = uri_digit(from[1]);
		low = high < 0 ? -1 : uri_digit(from[2]);
		if (low < 0)
			return uri_refuse(uri, err, -EINVAL,
					  "%s%s: '%%' must be followed by two hexadecimal digits",
					  what, name);
		*to = (char)(high << 4 | low);
		if (uri_is_control(*to))
			return uri_refuse(uri, err, -EINVAL, "%s%s: %%%02X is a control character",
					  what, name, (uint8_t)*to);
		to++;
		from += 2;
	}
	*to = '\0';
	return 0;
}

/* One more member of the family, not yet parsed. */
static int uri_add(struct mem *mem, struct uri *parent, const char *text, struct uri **ret)
{
	struct uri *uri = mem_alloc(mem, sizeof(*uri));

	if (!uri)
		return -ENOMEM;
	uri->mem = mem;
	uri->outermost = parent ? parent->outermost : uri;
	uri->depth = parent ? parent->depth + 1 : 1;
	list_init(&uri->family);
	list_add_tail(&uri->outermost->family, &uri->link); /* from here on freed with it */
	*ret = uri;
	uri->host = "";
	uri->source = mem_strdup(mem, text);
	uri->text = mem_strdup(mem, text);
	return uri->source && uri->text ? 0 : -ENOMEM;
}

static int uri_parse_scheme(struct uri *uri, char **rest, struct err *err)
{
	size_t len = uri_scheme_len(uri->text);

	if (!len && uri->text[0] == '/')
		return uri_refuse(uri, err, -EINVAL, "no scheme; a file is written file://%.80s",
				  uri->source);
	if (!len)
		return uri_refuse(uri, err, -EINVAL,
				  "no scheme; expected scheme:///path or scheme://host:port/path");
	uri->scheme = uri->text;
	for (size_t i = 0; i < len; i++)
		uri->scheme[i] = uri_lower(uri->scheme[i]);
	uri->scheme[len] = '\0';
	*rest = uri->text + len + 1;
	return 0;
}

static int uri_parse_port(struct uri *uri, const char *text, struct err *err)
{
	uint32_t port = 0;

	for (const char *p = text; *p; p++)
		port = uri_is_digit(*p) ?
			       min_u32(port * 10 + (uint32_t)(*p - '0'), UINT16_MAX + 1) :
			       UINT16_MAX + 1;
	if (port == 0 || port > UINT16_MAX)
		return uri_refuse(uri, err, -EINVAL, "port '%.20s' is not a number 1..65535", text);
	uri->port = (uint16_t)port;
	return 0;
}

/* "[v6]" or "[v6]:port"; the brackets do not stay. */
static int uri_parse_host_v6(struct uri *uri, char *text, char **ret_port, struct err *err)
{
	char *close = strchr(text, ']');

	if (!close)
		return uri_refuse(uri, err, -EINVAL, "host: '[' without ']'");
	if (close[1] && close[1] != ':')
		return uri_refuse(uri, err, -EINVAL, "host: '%.20s' after ']'", close + 1);
	*ret_port = close[1] ? close + 2 : NULL;
	*close = '\0';
	uri->host = text + 1;
	if (!strchr(uri->host, ':') || uri->host[strspn(uri->host, "0123456789abcdef:.")])
		return uri_refuse(uri, err, -EINVAL, "host '%.60s' is not an IPv6 address",
				  uri->host);
	return 0;
}

/* "name", "name:port" or nothing. */
static int uri_parse_host_name(struct uri *uri, char *text, char **ret_port, struct err *err)
{
	char *colon = strchr(text, ':');
	size_t good_len;

	if (colon)
		*colon = '\0';
	*ret_port = colon ? colon + 1 : NULL;
	uri->host = text;
	good_len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-._");
	if (strchr(text, '@') || (colon && strchr(colon + 1, '@')))
		return uri_refuse(uri, err, -EINVAL, "host: credentials do not belong in a URI");
	if (text[good_len])
		return uri_refuse(uri, err, -EINVAL,
				  "host '%.60s' has a character that is not "
				  "a letter, a digit, '-', '.' or '_'",
				  text);
	if (good_len > URI_HOST_LEN_MAX)
		return uri_refuse(uri, err, -E2BIG, "host is longer than %d", URI_HOST_LEN_MAX);
	if (colon && !text[0])
		return uri_refuse(uri, err, -EINVAL, "port '%.20s' without a host", *ret_port);
	return 0;
}

static int uri_parse_authority(struct uri *uri, char *text, struct err *err)
{
	char *port;

	for (char *p = text; *p; p++)
		*p = uri_lower(*p);
	if (text[0] == '[')
		TRY(uri_parse_host_v6(uri, text, &port, err));
	else
		TRY(uri_parse_host_name(uri, text, &port, err));
	return port ? uri_parse_port(uri, port, err) : 0;
}

/* "/a//b/" becomes the segments a and b (U2) and the path "/a/b". */
static int uri_parse_path(struct uri *uri, char *path, struct err *err)
{
	char *end;

	if (*path && *path != '/')
		return uri_refuse(uri, err, -EINVAL, "path '%.60s' must begin with '/'", path);
	uri->path = mem_alloc(uri->mem, strlen(path) + 2);
	if (!uri->path)
		return -ENOMEM;
	end = uri->path;
	for (char *segment; (segment = strsep(&path, "/"));) {
		if (!*segment)
			continue;
		if (uri->segment_count == URI_SEGMENTS_MAX)
			return uri_refuse(uri, err, -E2BIG, "path has more than %d segments",
					  URI_SEGMENTS_MAX);
		TRY(uri_decode(uri, segment, "path", "", err));
		uri->segments[uri->segment_count++] = segment;
		*end++ = '/';
		end = stpcpy(end, segment);
	}
	if (end == uri->path)
		*end = '/';
	return 0;
}

static int uri_check_name(struct uri *uri, const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len == 0)
		return uri_refuse(uri, err, -EINVAL, "a parameter has no name");
	if (len > URI_NAME_LEN_MAX)
		return uri_refuse(uri, err, -E2BIG, "parameter name '%.20s...' is longer than %d",
				  name, URI_NAME_LEN_MAX);
	for (const char *p = name; *p; p++)
		if (!uri_is_alpha(*p) && !uri_is_digit(*p) && !strchr("_-.", *p))
			return uri_refuse(uri, err, -EINVAL, "bad parameter name '%.63s'", name);
	return 0;
}

/*
 * Cuts "name=value&..." at the front of *text and moves it behind. A value that
 * looks like a URI before it is decoded takes all the rest.
 */
static int uri_cut_param(struct uri *uri, char **text, struct uri_param *param, struct err *err)
{
	char *end = *text + strcspn(*text, "=&");
	bool has_value = *end == '=';
	bool at_end = *end == '\0';

	param->name = *text;
	param->value = has_value ? end + 1 : end;
	*end = '\0';
	*text = at_end ? end : end + 1;
	TRY(uri_check_name(uri, param->name, err));
	if (!has_value)
		return 0;
	if (uri_is_child_text(param->value)) {
		*text = param->value + strlen(param->value);
		return 0;
	}
	end = param->value + strcspn(param->value, "&");
	*text = *end ? end + 1 : end;
	*end = '\0';
	return uri_decode(uri, param->value, "parameter ", param->name, err);
}

static int uri_parse_param(struct uri *uri, char **text, struct err *err)
{
	struct uri_param *param = &uri->params[uri->param_count];

	if (uri->param_count == URI_PARAMS_MAX)
		return uri_refuse(uri, err, -E2BIG, "more than %d parameters", URI_PARAMS_MAX);
	TRY(uri_cut_param(uri, text, param, err));
	uri->param_count++;
	if (!uri_is_child_text(param->value))
		return 0;
	if (uri->depth == URI_DEPTH_MAX)
		return uri_refuse(uri, err, -E2BIG, "parameter %s: URIs nested deeper than %d",
				  param->name, URI_DEPTH_MAX);
	return uri_add(uri->mem, uri, param->value, &param->child);
}

static int uri_check_text(struct uri *uri, struct err *err)
{
	for (const char *p = uri->source; *p; p++) {
		if (uri_is_control(*p))
			return uri_refuse(uri, err, -EINVAL, "control character 0x%02x",
					  (uint8_t)*p);
		if (*p == '#')
			return uri_refuse(uri, err, -EINVAL, "'#' must be written %%23");
	}
	return 0;
}

/* One member; its children are left for the walk. */
static int uri_parse_one(struct uri *uri, struct err *err)
{
	char *path, *query;
	size_t len;

	TRY(uri_check_text(uri, err));
	TRY(uri_parse_scheme(uri, &path, err));
	query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	if (path[0] == '/' && path[1] == '/') {
		len = strcspn(path + 2, "/");
		memmove(path + 1, path + 2, len); /* makes room for a NUL before the path */
		path[1 + len] = '\0';
		TRY(uri_parse_authority(uri, path + 1, err));
		path += 2 + len;
	}
	TRY(uri_parse_path(uri, path, err));
	while (query && *query) {
		if (*query == '&')
			query++;
		else
			TRY(uri_parse_param(uri, &query, err));
	}
	return 0;
}

/* Text that is measured first (no bytes), then written. */
struct uri_text {
	char *bytes;
	size_t len;
};

static void uri_put(struct uri_text *out, const char *text)
{
	size_t len = strlen(text);

	if (out->bytes)
		memcpy(out->bytes + out->len, text, len);
	out->len += len;
}

/* Escapes what is not printable ASCII, '%', '#' and the bytes in special. */
static void uri_put_escaped(struct uri_text *out, const char *text, const char *special)
{
	static const char digits[] = "0123456789ABCDEF";

	for (const char *p = text; *p; p++) {
		char image[] = { *p, '\0', '\0', '\0' };

		if (*p <= ' ' || *p > '~' || strchr("%#", *p) || strchr(special, *p)) {
			image[0] = '%';
			image[1] = digits[(uint8_t)*p >> 4];
			image[2] = digits[(uint8_t)*p & 15];
		}
		uri_put(out, image);
	}
}

static void uri_put_port(struct uri_text *out, uint16_t port)
{
	char image[8] = "";
	char *p = image + sizeof(image) - 1;

	for (; port; port /= 10)
		*--p = (char)('0' + port % 10);
	*--p = ':';
	uri_put(out, p);
}

static void uri_put_authority(struct uri_text *out, const struct uri *uri)
{
	bool v6 = strchr(uri->host, ':');

	uri_put(out, v6 ? "[" : "");
	uri_put(out, uri->host);
	uri_put(out, v6 ? "]" : "");
	if (uri->port)
		uri_put_port(out, uri->port);
}

/* A child that comes last needs no escapes. */
static void uri_put_param(struct uri_text *out, const struct uri_param *param, bool last)
{
	uri_put(out, param->name);
	if (!*param->value)
		return;
	uri_put(out, "=");
	if (param->child && last)
		uri_put(out, param->child->canonical);
	else if (param->child)
		uri_put_escaped(out, param->child->canonical, ":&");
	else
		uri_put_escaped(out, param->value, "&");
}

static void uri_put_uri(struct uri_text *out, const struct uri *uri)
{
	uri_put(out, uri->scheme);
	uri_put(out, "://");
	uri_put_authority(out, uri);
	if (uri->segment_count == 0)
		uri_put(out, "/");
	for (uint32_t i = 0; i < uri->segment_count; i++) {
		uri_put(out, "/");
		uri_put_escaped(out, uri->segments[i], "/?");
	}
	for (uint32_t i = 0; i < uri->param_count; i++) {
		uri_put(out, i == 0 ? "?" : "&");
		uri_put_param(out, &uri->params[i], i == uri->param_count - 1);
	}
}

/* After the children's (U2). */
static int uri_make_canonical(struct uri *uri)
{
	struct uri_text out = { 0 };

	uri_put_uri(&out, uri);
	out.bytes = uri->canonical = mem_alloc(uri->mem, out.len + 1);
	if (!out.bytes)
		return -ENOMEM;
	out.len = 0;
	uri_put_uri(&out, uri);
	return 0;
}

static int uri_parse_family(struct uri *outermost, struct err *err)
{
	struct uri *uri;

	list_for_each(uri, &outermost->family, link) /* grows while it is walked (U3) */
		TRY(uri_parse_one(uri, err));
	list_for_each_reverse(uri, &outermost->family, link) TRY(uri_make_canonical(uri));
	return 0;
}

int uri_parse(struct mem *mem, const char *text, struct uri **ret, struct err *err)
{
	CLEANUP(cleanup_uri) struct uri *uri = NULL;

	if (strnlen(text, URI_TEXT_LEN_MAX + 1) > URI_TEXT_LEN_MAX)
		return err_fail(err, -ENAMETOOLONG, "URI '%.40s...' is longer than %d", text,
				URI_TEXT_LEN_MAX);
	TRY(uri_add(mem, NULL, text, &uri));
	TRY(uri_parse_family(uri, err));
	*ret = steal(uri);
	return 0;
}

static void uri_free_one(struct uri *uri)
{
	mem_free(uri->source);
	mem_free(uri->text);
	mem_free(uri->path);
	mem_free(uri->canonical);
	mem_free(uri);
}

void uri_free(struct uri *uri)
{
	struct uri *member, *next;

	if (!uri)
		return;
	must(uri->outermost == uri); /* U3 */
	list_for_each_safe(member, next, &uri->family, link)
		if (member != uri)
			uri_free_one(member);
	uri_free_one(uri);
}

void cleanup_uri(struct uri **uri)
{
	uri_free(*uri);
}

const char *uri_print(const struct uri *uri)
{
	return uri->canonical;
}

const char *uri_scheme(const struct uri *uri)
{
	return uri->scheme;
}

const char *uri_host(const struct uri *uri)
{
	return uri->host;
}

uint16_t uri_port(const struct uri *uri)
{
	return uri->port;
}

const char *uri_path(const struct uri *uri)
{
	return uri->path;
}

uint32_t uri_segment_count(const struct uri *uri)
{
	return uri->segment_count;
}

const char *uri_segment(const struct uri *uri, uint32_t i)
{
	return i < uri->segment_count ? uri->segments[i] : NULL;
}
