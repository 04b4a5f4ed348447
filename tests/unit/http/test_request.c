// SPDX-License-Identifier: Apache-2.0
/* Requests out of bytes: request.h. */
#include "unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http/request.h"

#define HOST "Host: a\r\n"

static int parse(const char *text, struct http_request *ret)
{
	return http_request_parse(text, strlen(text), ret);
}

static void a_request_has_a_path_without_query_and_host(void **state)
{
	static const struct {
		const char *line, *path;
	} good[] = {
		{ "GET /metrics HTTP/1.1", "/metrics" },
		{ "GET /metrics?name=x HTTP/1.1", "/metrics" },
		{ "GET http://other:1/metrics HTTP/1.1", "/metrics" },
		{ "GET / HTTP/1.0", "/" },
		{ "GET //a%20b HTTP/1.1", "//a%20b" },
		{ "OPTIONS * HTTP/1.1", "" },
		{ "CONNECT a:1 HTTP/1.1", "" },
	};
	struct http_request request;
	char text[200];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
		snprintf(text, sizeof(text), "%s\r\n" HOST "\r\n", good[i].line);
		if (strncmp(good[i].line, "OPTIONS", 7) != 0)
			assert_int_equal(parse(text, &request), strlen(text));
		else
			assert_true(parse(text, &request) > 0);
		if (strcmp(request.path, good[i].path) != 0 && good[i].path[0])
			fail_msg("'%s': '%s'", good[i].line, request.path);
		assert_int_equal(request.is_get, strncmp(good[i].line, "GET", 3) == 0);
		assert_false(request.is_long);
	}
}

static void what_is_no_request_is_refused(void **state)
{
	static const char *const bad[] = {
		"GET /metrics HTTP/1.1\r\n\r\n",	     /* no host */
		"GET / HTTP/1.1\r\n" HOST "Host: b\r\n\r\n", /* two */
		"get / HTTP/1.1\r\n" HOST "\r\n",	     /* methods are capital */
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",	     /* HTTP/2 */
		"GET / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n",
		"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
		"\x16\x03\x01\x02\x01", /* TLS */
		"GET / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
	};
	struct http_request request;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		if (parse(bad[i], &request) != -EBADMSG)
			fail_msg("'%s': %d", bad[i], parse(bad[i], &request));
	assert_int_equal(parse("GET /\r\n\r\n", &request), -EPROTO); /* HTTP/0.9 */
	assert_int_equal(parse("GET / HTTP/2.0\r\n" HOST "\r\n", &request), -EPROTO);
}

static void a_part_of_a_request_waits_for_the_rest(void **state)
{
	static const char text[] = "GET /metrics HTTP/1.1\r\n" HOST "Accept: */*\r\n\r\nGET /";
	struct http_request request;
	const size_t whole = strlen(text) - 5;

	(void)state;
	for (size_t len = 1; len < whole; len++)
		assert_int_equal(http_request_parse(text, len, &request), 0);
	assert_int_equal(http_request_parse(text, whole, &request), whole);
	assert_int_equal(http_request_parse(text, whole + 5, &request), whole);
	assert_true(request.keeps_alive && !request.has_body);
}

static void connections_go_on_as_the_client_says(void **state)
{
	struct http_request request;

	(void)state;
	assert_true(parse("GET / HTTP/1.0\r\n\r\n", &request) > 0);
	assert_false(request.keeps_alive);
	assert_true(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &request) > 0);
	assert_true(request.keeps_alive);
	assert_true(parse("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", &request) > 0);
	assert_false(request.keeps_alive);
	assert_true(parse("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
			  &request) > 0);
	assert_false(request.keeps_alive);
	assert_true(parse("POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", &request) > 0);
	assert_true(request.has_body);
	assert_true(parse("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			  &request) > 0);
	assert_true(request.has_body);
}

static void a_path_has_a_greatest_length(void **state)
{
	struct http_request request;
	char text[HTTP_PATH_MAX + 100], path[HTTP_PATH_MAX + 2];

	(void)state;
	for (unsigned len = HTTP_PATH_MAX; len <= HTTP_PATH_MAX + 1; len++) {
		memset(path, 'a', len);
		path[0] = '/';
		path[len] = 0;
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
		assert_true(parse(text, &request) > 0);
		assert_int_equal(request.is_long, len > HTTP_PATH_MAX);
		assert_string_equal(request.path, len > HTTP_PATH_MAX ? "" : path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_has_a_path_without_query_and_host),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(a_part_of_a_request_waits_for_the_rest),
		cmocka_unit_test(connections_go_on_as_the_client_says),
		cmocka_unit_test(a_path_has_a_greatest_length),
	};

	return cmocka_run_group_tests_name("http_request", tests, NULL, NULL);
}
