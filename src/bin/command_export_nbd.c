// SPDX-License-Identifier: Apache-2.0
/* command_export_nbd - the NBD door of `mayastor export`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "bin/export_door.h"
#include "export/nbd.h"
#include "io/addr.h"
#include "reactor/fiber.h"

struct opened {
	struct nbd_server *server;
	struct io_addr addrs[EXPORT_ADDRS_MAX];
};

static int nbd_option(struct export_command *cmd, const char *name, const char *value)
{
	const bool is_socket = strcmp(name, "--socket") == 0;

	if (!is_socket && strcmp(name, "--tcp") != 0)
		return 0;
	if (cmd->addr_count == EXPORT_ADDRS_MAX) {
		fprintf(stderr, "mayastor export: too many addresses: %s\n", value);
		return -1;
	}
	cmd->addrs[cmd->addr_count++] = value;
	return 1;
}

static bool nbd_check(struct export_command *cmd)
{
	if (cmd->addr_count)
		return true;
	fputs("mayastor export: where? --socket PATH or --tcp ADDRESS:PORT\n", stderr);
	return false;
}

/* A path, or ADDRESS:PORT. */
static int addr_take(struct fiber *f, const char *text, struct io_addr *ret)
{
	char path[IO_ADDR_TEXT_MAX];

	if (!strchr(text, '/') && strchr(text, ':'))
		return io_addr_parse(text, ret, fiber_fail_err(f));
	snprintf(path, sizeof(path), "unix:%s%s", text[0] == '/' ? "" : "./", text);
	return io_addr_parse(path, ret, fiber_fail_err(f));
}

static int nbd_fill(struct fiber *f, const struct export_command *cmd, struct opened *opened)
{
	for (unsigned i = 0; i < cmd->share_count; i++) {
		const struct export_share *share = &cmd->shares[i];
		const struct nbd_share_args args = {
			.name = share->name ? share->name : "",
			.uri = share->uri,
			.description = share->description,
			.read_only = share->read_only,
		};
		int r = nbd_server_add(f, opened->server, &args);

		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < cmd->addr_count; i++) {
		struct io_addr addr;
		int r = addr_take(f, cmd->addrs[i], &addr);

		if (r == 0)
			r = nbd_server_listen(f, opened->server, &addr, &opened->addrs[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int nbd_open(struct fiber *f, struct export_command *cmd, void **ret)
{
	struct opened *opened = mem_new(fiber_io(f), sizeof(*opened));
	int r;

	if (!opened)
		return fiber_fail(f, -ENOMEM, "no memory");
	r = nbd_server_new(f, &(struct nbd_opts){ 0 }, &opened->server);
	if (r == 0) {
		r = nbd_fill(f, cmd, opened);
		if (r < 0)
			nbd_server_free(f, opened->server);
	}
	if (r < 0)
		mem_free(opened);
	else
		*ret = opened;
	return r;
}

/* What to type. Names are put in quotes; those that need more are the user's own. */
static void nbd_print_share(const struct export_share *share, const struct io_addr *addr)
{
	const char *name = share->name ? share->name : "";
	char text[IO_ADDR_TEXT_MAX];

	io_addr_print(addr, text);
	if (addr->family == AF_UNIX) {
		printf("  nbdinfo 'nbd+unix:///%s?socket=%s'\n", name, addr->path);
		printf("  qemu-img info 'nbd+unix:///%s?socket=%s'\n", name, addr->path);
		printf("  nbd-client -unix %s -N '%s' /dev/nbd0 -C 2\n", addr->path, name);
		return;
	}
	*strrchr(text, ':') = '\0';
	printf("  nbdinfo 'nbd://%s:%u/%s'\n", text, addr->port, name);
	printf("  qemu-img info 'nbd://%s:%u/%s'\n", text, addr->port, name);
	printf("  nbd-client %s %u -N '%s' /dev/nbd0 -C 2\n", text, addr->port, name);
}

static void nbd_print(const struct export_command *cmd, void *arg)
{
	const struct opened *opened = arg;

	for (unsigned i = 0; i < cmd->share_count; i++) {
		printf("NBD: '%s' is %s\n", cmd->shares[i].name ? cmd->shares[i].name : "",
		       cmd->shares[i].uri);
		for (unsigned j = 0; j < cmd->addr_count; j++)
			nbd_print_share(&cmd->shares[i], &opened->addrs[j]);
	}
	puts("ready");
}

static void nbd_hangup(struct fiber *f, void *arg)
{
	const struct opened *opened = arg;

	nbd_server_rescan(f, opened->server);
}

static void nbd_close(struct fiber *f, void *arg)
{
	struct opened *opened = arg;

	nbd_server_free(f, opened->server);
	mem_free(opened);
}

const struct export_door export_nbd = {
	.name = "nbd",
	.help = "disks for clients of the NBD protocol: the kernel's, QEMU's, libnbd's, fio's",
	.options =
		"Where:\n"
		"  --socket PATH        a Unix socket\n"
		"  --tcp ADDRESS:PORT   numeric; not encrypted: for loopback and trusted networks\n",
	.option = nbd_option,
	.check = nbd_check,
	.open = nbd_open,
	.print = nbd_print,
	.hangup = nbd_hangup,
	.close = nbd_close,
};
