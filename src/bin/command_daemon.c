// SPDX-License-Identifier: Apache-2.0
/*
 * command_daemon - `mayastor daemon`: a storage node that a control plane, an operator or a
 * person drives over gRPC.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/log.h"
#include "bin/command_daemon.h"
#include "bin/commands.h"
#include "engine/node.h"
#include "io/process.h"
#include "reactor/fiber.h"

static void daemon_log(void *ctx, enum log_level level, const char *line, size_t len)
{
	(void)ctx;
	(void)level;
	fwrite(line, 1, len, stderr);
}

struct run {
	struct daemon_command *cmd;
	struct node node;
	struct log log;
};

static uint64_t log_clock(void *ctx)
{
	(void)ctx;
	return io_process_wall();
}

static void print_line(const char *line)
{
	puts(line);
	fflush(stdout);
}

static void give_up(void)
{
	_Exit(EXIT_FAILED);
}

static int run_main(struct fiber *f, void *arg)
{
	struct run *run = arg;

	for (unsigned i = 0; i < run->cmd->note_count; i++)
		log_info(&run->log, "option not needed here",
			 LOG_STR("option", run->cmd->notes[i]));
	return daemon_main(f, &run->cmd->daemon);
}

static int run_daemon(struct run *run)
{
	static const int signals[] = { SIGTERM, SIGINT, 0 };
	const struct node_opts opts = { .reactors = run->cmd->reactors, .log = &run->log };
	struct daemon_opts *daemon = &run->cmd->daemon;
	struct err err = { 0 };

	run->log.sink = daemon_log;
	run->log.clock = log_clock;
	run->log.level = LOG_LEVEL_INFO;
	run->log.format = run->cmd->json_log ? LOG_FORMAT_JSON : LOG_FORMAT_KEY_VALUE;
	daemon->engine.log = &run->log;
	daemon->engine.env = &run->node.env;
	daemon->notify = io_process_notify;
	daemon->give_up = give_up;
	daemon->print = print_line;
	io_block_signals(signals);
	if (node_run(&run->node, &opts, run_main, run, &err) < 0) {
		fprintf(stderr, "mayastor daemon: %s\n", err_words(&err));
		return EXIT_FAILED;
	}
	return 0;
}

int command_daemon(int argc, char **argv)
{
	struct mem_heap heap;
	struct run *run;
	int code = EXIT_FAILED;

	mem_heap_init(&heap);
	run = mem_alloc(&heap.mem, sizeof(*run));
	if (run)
		run->cmd = mem_alloc(&heap.mem, sizeof(*run->cmd));
	if (run && run->cmd) {
		code = EXIT_USAGE;
		if (daemon_args(run->cmd, argc - 1, argv + 1) == 0) {
			if (run->cmd->wants_help)
				daemon_usage();
			code = run->cmd->wants_help ? 0 : run_daemon(run);
		}
		mem_free(run->cmd);
	}
	mem_free(run);
	mem_heap_fini(&heap);
	return code;
}
