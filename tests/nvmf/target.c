// SPDX-License-Identifier: Apache-2.0
/*
 * target - the target under test.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nvmf/target.h"

#define TARGET_START_MS 30000
#define TARGET_STOP_MS	30000
#define EXIT_USAGE	64

static const char *const target_plain_args[] = {
	"--nqn", TARGET_NQN,
	"--ns",	 "malloc:///raw1?size_mb=16",
	"--ns",	 "malloc:///raw2?size_mb=16&blk_size=4096",
	NULL,
};

static int target_exec(const char *const *first, const char *const *second, int in, int out)
{
	const char *program = getenv("MAYASTOR");
	const char *reactors = getenv("NVMF_REACTORS");
	const char *argv[TARGET_ARGS_MAX] = {
		program,
		"export",
		"nvmf",
		"--listen",
		"127.0.0.1:0",
		"--reactors",
		reactors ? reactors : "1",
	};
	size_t count = 7;

	for (; first && *first && count < TARGET_ARGS_MAX - 1; first++)
		argv[count++] = *first;
	for (; second && *second && count < TARGET_ARGS_MAX - 1; second++)
		argv[count++] = *second;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execv(program, (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* The port of a line "nvme connect -t tcp -a ADDRESS -s PORT -n NQN"; 0: it is none. */
static uint16_t target_read_port(const char *line)
{
	const char *port = line ? strstr(line, " -s ") : NULL;

	return port ? (uint16_t)strtoul(port + 4, NULL, 10) : 0;
}

/* The lines to type, one a port, and then "ready". */
static bool target_read_lines(struct target *target, const char *text)
{
	const char *line = strstr(text, "nvme connect");
	const char *nqn = line ? strstr(line, " -n ") : NULL;

	if (!nqn || !strstr(line, "\nready\n"))
		return false;
	target->port = target_read_port(line);
	target->second_port = target_read_port(strstr(line + 1, "nvme connect"));
	snprintf(target->nqn, sizeof(target->nqn), "%.*s", (int)strcspn(nqn + 4, " \t\r\n'"),
		 nqn + 4);
	return target->port != 0;
}

static int target_exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int target_wait_ready(struct target *target)
{
	char text[65536];
	size_t have = 0;

	for (int waited = 0; waited < TARGET_START_MS;) {
		struct pollfd ready = { .fd = target->out, .events = POLLIN };
		ssize_t n;

		if (poll(&ready, 1, 100) == 0) {
			waited += 100;
			continue;
		}
		n = read(target->out, text + have, sizeof(text) - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
		text[have] = '\0';
		if (target_read_lines(target, text))
			return 0;
	}
	return -ETIMEDOUT;
}

static int target_spawn(struct target *target, const char *const *first, const char *const *second)
{
	int in[2], out[2], r;

	*target = (struct target){ .out = -1, .in = -1 };
	if (!getenv("MAYASTOR"))
		return -ENOTSUP;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	target->pid = fork();
	if (target->pid == 0)
		target_exec(first, second, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	target->in = in[1];
	target->out = out[0];
	r = target_wait_ready(target);
	if (r < 0) {
		int status = target_stop(target);

		fprintf(stderr, "the target did not start; status %d\n", status);
		return status == EXIT_USAGE ? -ENOTSUP : r;
	}
	return 0;
}

/* One line of its standard output, without the end. */
static bool target_get_line(struct target *target, char *text, size_t size)
{
	for (size_t have = 0; have < size - 1; have++) {
		struct pollfd ready = { .fd = target->out, .events = POLLIN };

		if (poll(&ready, 1, TARGET_START_MS) <= 0 || read(target->out, text + have, 1) != 1)
			return false;
		text[have + 1] = '\0';
		if (text[have] == '\n') {
			text[have] = '\0';
			return true;
		}
	}
	return false;
}

bool target_tell(struct target *target, const char *command)
{
	char text[512];

	if (target->in < 0 || dprintf(target->in, "%s\n", command) < 0)
		return false;
	while (target_get_line(target, text, sizeof(text))) {
		if (strcmp(text, "ok") == 0)
			return true;
		if (strncmp(text, "error", 5) != 0)
			continue; /* of before */
		fprintf(stderr, "%s: %s\n", command, text);
		break;
	}
	return false;
}

int target_start_bare(struct target *target, const char *const *args)
{
	return target_spawn(target, args, NULL);
}

int target_start(struct target *target, const char *const *args)
{
	const char *running = getenv("NVMF_TARGET");

	if (!running)
		return target_spawn(target, target_plain_args, args);
	*target = (struct target){ .out = -1, .in = -1, .port = (uint16_t)atoi(running) };
	snprintf(target->nqn, sizeof(target->nqn), "%s", strchr(running, ',') + 1);
	return 0;
}

int target_stop(struct target *target)
{
	int status = 0;

	if (target->out >= 0)
		close(target->out);
	if (target->in >= 0)
		close(target->in);
	target->out = target->in = -1;
	if (!target->pid)
		return 0;
	kill(target->pid, SIGTERM);
	for (int waited = 0; waited < TARGET_STOP_MS; waited += 10) {
		if (waitpid(target->pid, &status, WNOHANG) == target->pid) {
			target->pid = 0;
			return target_exit_status(status);
		}
		usleep(10000);
	}
	kill(target->pid, SIGKILL);
	waitpid(target->pid, &status, 0);
	target->pid = 0;
	return target_exit_status(status);
}

bool target_runs(const struct target *target)
{
	siginfo_t info = { 0 };

	if (!target->pid)
		return true;
	return waitid(P_PID, (id_t)target->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

uint64_t target_rss(const struct target *target)
{
	char path[64], line[256];
	uint64_t kib = 0;
	FILE *file;

	if (!target->pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", target->pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmRSS: %" SCNu64, &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib << 10;
}

uint64_t target_cpu_ms(const struct target *target)
{
	char path[64];
	unsigned long user = 0, system = 0;
	FILE *file;

	if (!target->pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", target->pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		   &system) != 2)
		user = system = 0;
	fclose(file);
	return (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}
