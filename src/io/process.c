// SPDX-License-Identifier: Apache-2.0
/* process - usage, environment, service manager. See process.h. */
#include "io/process.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

uint64_t io_process_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void io_process_usage(struct io_usage *ret)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	*ret = (struct io_usage){
		.soft_faults = usage.ru_minflt,
		.hard_faults = usage.ru_majflt,
		.swaps = usage.ru_nswap,
		.in_blocks = usage.ru_inblock,
		.out_blocks = usage.ru_oublock,
		.ipc_sent = usage.ru_msgsnd,
		.ipc_received = usage.ru_msgrcv,
		.signals = usage.ru_nsignals,
		.voluntary_switches = usage.ru_nvcsw,
		.involuntary_switches = usage.ru_nivcsw,
	};
}

const char *io_process_env(const char *name)
{
	return getenv(name);
}

const char *io_process_host(char *text, unsigned size)
{
	if (size == 0 || gethostname(text, size) < 0 || !text[0])
		snprintf(text, size, "localhost");
	else
		text[size - 1] = '\0';
	return text;
}

int io_process_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	ssize_t sent;
	int fd;

	if (len == 0)
		return 0;
	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(addr.sun_path))
		return -EINVAL;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&addr,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	len = sent < 0 ? (size_t)errno : 0;
	(void)close(fd);
	return -(int)len;
}
