// SPDX-License-Identifier: Apache-2.0
/*
 * addr - text forms of struct io_addr.
 *
 *	127.0.0.1:8420    [::1]:8420    unix:/path    unix:@abstract
 */
#include "io/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"

#define UNIX_PREFIX "unix:"

static int addr_parse_unix(const char *path, struct io_addr *ret, struct err *err)
{
	size_t len = strlen(path);

	if (len == 0)
		return err_fail(err, -EINVAL, "address '" UNIX_PREFIX "': no path");
	if (len >= sizeof(ret->path))
		return err_fail(err, -EINVAL,
				"address '" UNIX_PREFIX
				"%.40s...': the path is longer than %zu bytes",
				path, sizeof(ret->path) - 1);
	*ret = (struct io_addr){ .family = AF_UNIX };
	memcpy(ret->path, path, len);
	return 0;
}

/* Digits only, 0..65535. */
static bool addr_parse_port(const char *text, uint16_t *ret)
{
	unsigned value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*ret = (uint16_t)value;
	return true;
}

int io_addr_parse(const char *text, struct io_addr *ret, struct err *err)
{
	struct io_addr addr = { 0 };
	char host[INET6_ADDRSTRLEN];

	if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
		return addr_parse_unix(text + strlen(UNIX_PREFIX), ret, err);

	bool is_v6 = text[0] == '[';
	const char *from = text + is_v6;
	const char *to = strchr(from, is_v6 ? ']' : ':');
	const char *port = to ? to + is_v6 : NULL;
	if (!to || *port != ':')
		return err_fail(err, -EINVAL,
				"address '%.80s': no port (IPV4:PORT, [IPV6]:PORT or unix:PATH)",
				text);
	if (!addr_parse_port(port + 1, &addr.port))
		return err_fail(err, -EINVAL, "address '%.80s': the port is not 0..65535", text);
	size_t len = (size_t)(to - from);
	if (len < sizeof(host)) {
		memcpy(host, from, len);
		host[len] = '\0';
		addr.family = is_v6 ? AF_INET6 : AF_INET;
	}
	if (len >= sizeof(host) || inet_pton(addr.family, host, addr.ip) != 1)
		return err_fail(err, -EINVAL,
				"address '%.80s': '%.*s' is not a numeric IPv%c address", text,
				(int)min_size(len, 60), from, is_v6 ? '6' : '4');
	*ret = addr;
	return 0;
}

const char *io_addr_print(const struct io_addr *addr, char text[IO_ADDR_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";

	switch (addr->family) {
	case AF_INET:
		inet_ntop(AF_INET, addr->ip, host, sizeof(host));
		snprintf(text, IO_ADDR_TEXT_MAX, "%s:%u", host, addr->port);
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, addr->ip, host, sizeof(host));
		snprintf(text, IO_ADDR_TEXT_MAX, "[%s]:%u", host, addr->port);
		break;
	case AF_UNIX:
		snprintf(text, IO_ADDR_TEXT_MAX, UNIX_PREFIX "%.*s", (int)sizeof(addr->path),
			 addr->path);
		break;
	default:
		snprintf(text, IO_ADDR_TEXT_MAX, "none");
		break;
	}
	return text;
}

bool io_addr_equal(const struct io_addr *a, const struct io_addr *b)
{
	if (a->family != b->family)
		return false;
	switch (a->family) {
	case AF_INET:
		return a->port == b->port && memcmp(a->ip, b->ip, 4) == 0;
	case AF_INET6:
		return a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
	case AF_UNIX:
		return strncmp(a->path, b->path, sizeof(a->path)) == 0;
	default:
		return true;
	}
}
