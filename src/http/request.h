/* SPDX-License-Identifier: Apache-2.0 */
/* request - a request out of bytes, by libhttp-parser. Pure: bytes in, struct out. */
#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/lang.h"
#include "http/http.h"

struct http_request {
	bool is_get, is_head;	      /* else another method */
	bool keeps_alive;	      /* the connection may go on after the answer */
	bool has_body;		      /* it is not read: the connection ends with the answer */
	bool is_long;		      /* the path is longer than HTTP_PATH_MAX */
	char path[HTTP_PATH_MAX + 1]; /* without query and host, as it was sent */
};

/*
 * So many bytes of it were the request (> 0); 0: it goes on; -EBADMSG: not HTTP; -EPROTO: not HTTP/1.
 */
MUST_USE int http_request_parse(const char *data, size_t len, struct http_request *ret);

#endif
