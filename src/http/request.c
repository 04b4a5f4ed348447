// SPDX-License-Identifier: Apache-2.0
/*
 * request - a request out of bytes, by libhttp-parser. See request.h.
 *
 * The parser begins anew each time bytes came: a request has at most HTTP_HEAD_MAX of them, and nearly
 * all come at once.
 */
#include "http/request.h"

#include <errno.h>
#include <http_parser.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct parse {
	struct http_request *request;
	const char *url;
	size_t url_len, hosts;
	bool is_complete;
};

static int on_url(http_parser *parser, const char *at, size_t len)
{
	struct parse *parse = parser->data;

	if (!parse->url)
		parse->url = at;
	parse->url_len = (size_t)(at - parse->url) + len;
	return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
	struct parse *parse = parser->data;

	parse->hosts += len == 4 && strncasecmp(at, "host", 4) == 0;
	return 0;
}

/* 1: it has no body that we would read. */
static int on_headers(http_parser *parser)
{
	struct parse *parse = parser->data;

	parse->request->has_body =
		parser->flags & F_CHUNKED ||
		(parser->content_length != UINT64_MAX && parser->content_length > 0);
	parse->request->keeps_alive = http_should_keep_alive(parser) && !parser->upgrade;
	return 1;
}

static int on_complete(http_parser *parser)
{
	struct parse *parse = parser->data;

	parse->is_complete = true;
	http_parser_pause(parser, 1);
	return 0;
}

/* "/a", "/a?b=c", "http://host/a"; what is no URL has no path. */
static void path_take(struct parse *parse, bool is_connect)
{
	struct http_request *request = parse->request;
	struct http_parser_url url;
	size_t len;

	http_parser_url_init(&url);
	if (parse->url_len > UINT16_MAX ||
	    http_parser_parse_url(parse->url, parse->url_len, is_connect, &url) != 0 ||
	    !(url.field_set & 1 << UF_PATH))
		return;
	len = url.field_data[UF_PATH].len;
	request->is_long = len > HTTP_PATH_MAX;
	if (!request->is_long)
		memcpy(request->path, parse->url + url.field_data[UF_PATH].off, len);
}

int http_request_parse(const char *data, size_t len, struct http_request *ret)
{
	static const http_parser_settings settings = {
		.on_url = on_url,
		.on_header_field = on_field,
		.on_headers_complete = on_headers,
		.on_message_complete = on_complete,
	};
	struct parse parse = { .request = ret };
	http_parser parser;
	size_t used;

	memset(ret, 0, sizeof(*ret));
	http_parser_init(&parser, HTTP_REQUEST);
	parser.data = &parse;
	used = http_parser_execute(&parser, &settings, data, len);
	if (!parse.is_complete)
		return HTTP_PARSER_ERRNO(&parser) == HPE_OK ? 0 : -EBADMSG;
	if (parser.http_major != 1)
		return -EPROTO;
	if (parse.hosts > 1 || (parser.http_minor >= 1 && parse.hosts == 0))
		return -EBADMSG; /* RFC 9112, 3.2 */
	ret->is_get = parser.method == HTTP_GET;
	ret->is_head = parser.method == HTTP_HEAD;
	path_take(&parse, parser.method == HTTP_CONNECT);
	return (int)used;
}
