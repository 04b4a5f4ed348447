// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http_request - any bytes are refused, wait for more, or are a request: whole, within its bytes,
 * and the same however many bytes follow it.
 */
#include <errno.h>
#include <string.h>

#include "base/must.h"
#include "fuzz.h"
#include "http/request.h"

#define FUZZ_BYTES (2 * HTTP_HEAD_MAX)

int FUZZ_TARGET(const uint8_t *data, size_t size)
{
	static struct http_request request, again; /* no padding is compared */
	int used;

	if (size > FUZZ_BYTES)
		return 0;
	used = http_request_parse((const char *)data, size, &request);
	must(used == -EBADMSG || used == -EPROTO || (used >= 0 && (size_t)used <= size));
	if (used <= 0)
		return 0;
	must(strnlen(request.path, sizeof(request.path)) <= HTTP_PATH_MAX);
	must(!(request.is_get && request.is_head) && !(request.is_long && request.path[0]));
	must(http_request_parse((const char *)data, (size_t)used, &again) == used);
	must(strcmp(request.path, again.path) == 0 && request.keeps_alive == again.keeps_alive);
	return 0;
}
