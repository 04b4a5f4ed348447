// SPDX-License-Identifier: Apache-2.0
/*
 * command_daemon_args - the options of `mayastor daemon`, which are those of the published engine
 * where they mean something here. What is harmless is taken and noted in the log; what would
 * mean another behaviour than is had is refused with a line.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "bin/command_daemon.h"
#include "engine/metrics.h"
#include "io/addr.h"
#include "io/process.h"
#include "reactor/reactor.h"

#define STATE_DIR "/var/lib/mayastor"

static int wrong(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "mayastor daemon: %s '%s': expected %s\n", option, value, expected);
	return -EINVAL;
}

static int take_number(const char *option, const char *value, unsigned min, unsigned max,
		       unsigned *ret)
{
	char *end;
	unsigned long n = strtoul(value, &end, 10);

	if (*end || end == value || n < min || n > max) {
		fprintf(stderr, "mayastor daemon: %s '%s': expected a number of %u to %u\n", option,
			value, min, max);
		return -EINVAL;
	}
	*ret = (unsigned)n;
	return 0;
}

/* ---- each option ------------------------------------------------------------------------------------- */

/* ADDR, ADDR:PORT, tcp://..., or unix:/path. */
static int take_grpc(struct daemon_command *cmd, const char *option, const char *value)
{
	(void)option;
	cmd->grpc = strncmp(value, "tcp://", 6) == 0 ? value + 6 : value;
	return 0;
}

static int take_node(struct daemon_command *cmd, const char *option, const char *value)
{
	if (!value[0] || strlen(value) > ENGINE_NODE_NAME_MAX)
		return wrong(option, value, "a name of 1 to 63 bytes");
	snprintf(cmd->node, sizeof(cmd->node), "%s", value);
	return 0;
}

static int take_registrar(struct daemon_command *cmd, const char *option, const char *value)
{
	const char *scheme = strstr(value, "://");
	const char *target = scheme ? scheme + 3 : value;

	cmd->daemon.registrar_tls = strncmp(value, "https://", 8) == 0;
	if ((scheme && !cmd->daemon.registrar_tls && strncmp(value, "http://", 7) != 0 &&
	     strncmp(value, "tcp://", 6) != 0) ||
	    !target[0])
		return wrong(option, value, "HOST:PORT of a registrar, or https://HOST:PORT");
	cmd->daemon.registrar = target;
	return 0;
}

/* ADDR or ADDR:PORT. */
static int take_metrics(struct daemon_command *cmd, const char *option, const char *value)
{
	char text[DAEMON_TEXT_SIZE];

	if (io_addr_parse(value, &cmd->daemon.metrics, NULL) == 0 && !cmd->daemon.metrics.path[0])
		return 0;
	snprintf(text, sizeof(text), strchr(value, ':') ? "[%s]:%u" : "%s:%u", value, METRICS_PORT);
	if (io_addr_parse(text, &cmd->daemon.metrics, NULL) == 0)
		return 0;
	return wrong(option, value, "ADDR or ADDR:PORT of this machine");
}

static int take_mask(struct daemon_command *cmd, const char *option, const char *value)
{
	char *end;
	unsigned long long mask = strtoull(value, &end, 16);

	if (*end || end == value || mask == 0)
		return wrong(option, value, "a mask of cores, as 0x3");
	cmd->reactors = (unsigned)__builtin_popcountll(mask);
	return 0;
}

/* "1,3-5": four reactors. */
static int take_cores(struct daemon_command *cmd, const char *option, const char *value)
{
	unsigned count = 0;

	for (const char *at = value; *at;) {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end == at)
			return wrong(option, value, "a list of cores, as 1,3-5");
		if (*end == '-') {
			at = end + 1;
			last = strtoul(at, &end, 10);
		}
		if (end == at || last < first || last - first >= REACTORS_MAX ||
		    (*end && *end != ','))
			return wrong(option, value, "a list of cores, as 1,3-5");
		count += (unsigned)(last - first + 1);
		at = *end ? end + 1 : end;
	}
	if (count == 0 || count > REACTORS_MAX)
		return wrong(option, value, "a list of 1 to 64 cores");
	cmd->reactors = count;
	return 0;
}

static int take_reactors(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_number(option, value, 1, REACTORS_MAX, &cmd->reactors);
}

static int take_state(struct daemon_command *cmd, const char *option, const char *value)
{
	if (value[0] != '/')
		return wrong(option, value, "a path from the root on");
	cmd->daemon.engine.state_dir = value;
	return 0;
}

static int take_store(struct daemon_command *cmd, const char *option, const char *value)
{
	if (strncmp(value, "sqlite://", 9) != 0)
		return wrong(
			option, value,
			"sqlite:///path (etcd is not had yet; without -p the records of volumes "
			"are in the state directory)");
	cmd->daemon.engine.store_uri = value;
	return 0;
}

static int take_interface(struct daemon_command *cmd, const char *option, const char *value)
{
	const char *addr = strncmp(value, "ip:", 3) == 0 ? value + 3 : value;
	char text[DAEMON_TEXT_SIZE];
	struct io_addr parsed;

	snprintf(text, sizeof(text), strchr(addr, ':') ? "[%s]:1" : "%s:1", addr);
	if (io_addr_parse(text, &parsed, NULL) < 0)
		return wrong(option, value, "ip:ADDRESS of this machine");
	cmd->interface = addr;
	return 0;
}

static int take_replica_port(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_number(option, value, 0, UINT16_MAX, &cmd->replica_port);
}

static int take_nexus_port(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_number(option, value, 0, UINT16_MAX, &cmd->nexus_port);
}

static int take_versions(struct daemon_command *cmd, const char *option, const char *value)
{
	(void)cmd;
	return strcasestr(value, "V1") ? 0 : wrong(option, value, "V1, the one that is served");
}

static int take_log_format(struct daemon_command *cmd, const char *option, const char *value)
{
	(void)option;
	cmd->json_log = strstr(value, "json") != NULL;
	return 0;
}

static int take_file(const char *option, const char *value, const char **ret)
{
	if (!value[0])
		return wrong(option, value, "a file");
	*ret = value;
	return 0;
}

static int take_tls_cert(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_file(option, value, &cmd->daemon.tls_cert);
}

static int take_tls_key(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_file(option, value, &cmd->daemon.tls_key);
}

static int take_tls_ca(struct daemon_command *cmd, const char *option, const char *value)
{
	return take_file(option, value, &cmd->daemon.tls_ca);
}

static int take_refused(struct daemon_command *cmd, const char *option, const char *value)
{
	(void)cmd;
	(void)value;
	fprintf(stderr, "mayastor daemon: %s is not had\n", option);
	return -EINVAL;
}

/* NULL `take`: it changes nothing here, and is noted. */
static const struct daemon_option {
	const char *letter, *name;
	bool has_value;
	int (*take)(struct daemon_command *cmd, const char *option, const char *value);
} options[] = {
	{ "-g", "--grpc-endpoint", true, take_grpc },
	{ "-N", "--node-name", true, take_node },
	{ "-R", "--registration-endpoint", true, take_registrar },
	{ "", "--metrics-endpoint", true, take_metrics },
	{ "-m", "--reactor-mask", true, take_mask },
	{ "-l", "--core-list", true, take_cores },
	{ "", "--reactors", true, take_reactors },
	{ "", "--state-dir", true, take_state },
	{ "-p", "--ps-endpoint", true, take_store },
	{ "-T", "--nvmf-tgt-interface", true, take_interface },
	{ "", "--tgt-interface", true, take_interface },
	{ "", "--tgt-iface", true, take_interface },
	{ "", "--replica-port", true, take_replica_port },
	{ "", "--nexus-port", true, take_nexus_port },
	{ "", "--api-versions", true, take_versions },
	{ "-F", "--log-format", true, take_log_format },
	{ "", "--tls-cert", true, take_tls_cert },
	{ "", "--tls-key", true, take_tls_key },
	{ "", "--tls-ca", true, take_tls_ca },
	{ "", "--enable-rdma", false, take_refused },
	{ "", "--enable-lvm", false, take_refused },
	{ "-s", "--mem-size", true, NULL },
	{ "-u", "--no-pci", false, NULL },
	{ "-L", "--log-components", true, NULL },
	{ "-r", "--rpc-address", true, NULL },
	{ "-y", "--mayastor-config", true, NULL },
	{ "-P", "--pool-config", true, NULL },
	{ "-d", "--diagnose-stack", true, NULL },
	{ "", "--ptpl-dir", true, NULL },
	{ "", "--huge-dir", true, NULL },
	{ "", "--env-context", true, NULL },
	{ "", "--ps-timeout", true, NULL },
	{ "", "--ps-retries", true, NULL },
	{ "", "--bdev-pool-size", true, NULL },
	{ "", "--nvme-ctl-pool-size", true, NULL },
	{ "", "--tgt-crdt", true, NULL },
	{ "", "--reactor-freeze-detection", false, NULL },
	{ "-t", "--reactor-freeze-timeout", true, NULL },
	{ "", "--skip-sig-handler", false, NULL },
	{ "", "--events-url", true, NULL },
	{ "", "--events-replicas", true, NULL },
	{ "", "--nvmf-tgt-crdt", true, NULL },
	{ "", "--enable-io-all-thrd-nexus-channels", false, NULL },
	{ "", "--enable-snapshot-rebuild", false, NULL },
	{ "", "--developer-delayed", false, NULL },
};

/* -lVALUE, -l=VALUE, -l VALUE, --name VALUE, --name=VALUE. */
static const struct daemon_option *option_find(const char *arg, const char **ret_value)
{
	for (unsigned i = 0; i < ARRAY_LEN(options); i++) {
		const struct daemon_option *option = &options[i];
		size_t len = strlen(option->name);

		*ret_value = NULL;
		if (strcmp(arg, option->name) == 0 ||
		    (option->letter[0] && strcmp(arg, option->letter) == 0))
			return option;
		if (!option->has_value)
			continue;
		if (strncmp(arg, option->name, len) == 0 && arg[len] == '=') {
			*ret_value = arg + len + 1;
			return option;
		}
		if (option->letter[0] && strncmp(arg, option->letter, 2) == 0 && arg[2]) {
			*ret_value = arg[2] == '=' ? arg + 3 : arg + 2;
			return option;
		}
	}
	return NULL;
}

static int take_all(struct daemon_command *cmd, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		const struct daemon_option *option;
		const char *value;
		int r = 0;

		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			cmd->wants_help = true;
			return 0;
		}
		option = option_find(argv[i], &value);
		if (!option) {
			fprintf(stderr,
				"mayastor daemon: there is no option '%s'; --help lists them\n",
				argv[i]);
			return -EINVAL;
		}
		if (option->has_value && !value) {
			if (i + 1 == argc)
				return wrong(argv[i], "", "a value after it");
			value = argv[++i];
		}
		if (option->take)
			r = option->take(cmd, option->name, value);
		else if (cmd->note_count < DAEMON_NOTES_MAX)
			cmd->notes[cmd->note_count++] = option->name;
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what follows of them --------------------------------------------------------------------------------- */

static int addr_of(const char *what, const char *host, unsigned port, struct io_addr *ret)
{
	char text[DAEMON_TEXT_SIZE + 16];
	struct err err = { 0 };

	snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
	if (io_addr_parse(text, ret, &err) == 0)
		return 0;
	fprintf(stderr, "mayastor daemon: %s: %s\n", what, err_words(&err));
	return -EINVAL;
}

/* The numeric host of an address, without brackets and port. */
static void host_of(const struct io_addr *addr, char host[DAEMON_TEXT_SIZE])
{
	char text[IO_ADDR_TEXT_MAX], *end;
	const char *start;

	io_addr_print(addr, text);
	start = text[0] == '[' ? text + 1 : text;
	end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
	if (end)
		*end = '\0';
	snprintf(host, DAEMON_TEXT_SIZE, "%s", start);
}

static int settle_grpc(struct daemon_command *cmd)
{
	const char *value = cmd->grpc ? cmd->grpc : "127.0.0.1";
	struct err err = { 0 };

	if (io_addr_parse(value, &cmd->daemon.grpc, &err) == 0)
		return 0;
	return addr_of("--grpc-endpoint", value, cmd->grpc_port, &cmd->daemon.grpc);
}

/* What others find us by: -T, else the pod's address, else where the services listen. */
static void settle_host(struct daemon_command *cmd)
{
	const char *pod = io_process_env("MY_POD_IP");

	if (cmd->interface)
		snprintf(cmd->host, sizeof(cmd->host), "%s", cmd->interface);
	else if (pod && pod[0])
		snprintf(cmd->host, sizeof(cmd->host), "%s", pod);
	else if (cmd->daemon.grpc.path[0])
		snprintf(cmd->host, sizeof(cmd->host), "127.0.0.1");
	else
		host_of(&cmd->daemon.grpc, cmd->host);
	if (strcmp(cmd->host, "0.0.0.0") == 0 || strcmp(cmd->host, "::") == 0)
		snprintf(cmd->host, sizeof(cmd->host), "127.0.0.1");
}

/* Half of what TLS needs is a mistake, not a choice. */
static int settle_tls(const struct daemon_opts *daemon)
{
	const char *wrong = NULL;

	if (!daemon->tls_cert != !daemon->tls_key)
		wrong = "--tls-cert and --tls-key belong together";
	else if (daemon->tls_ca && !daemon->tls_cert && !daemon->registrar_tls)
		wrong = "--tls-ca has no use without --tls-cert and --tls-key";
	else if (daemon->registrar_tls && !daemon->tls_ca)
		wrong = "a registrar at https:// wants --tls-ca, who signs its certificate";
	if (wrong)
		fprintf(stderr, "mayastor daemon: %s\n", wrong);
	return wrong ? -EINVAL : 0;
}

int daemon_args(struct daemon_command *cmd, int argc, char **argv)
{
	const char *dir = io_process_env("STATE_DIRECTORY");
	struct engine_opts *engine = &cmd->daemon.engine;
	int r;

	cmd->reactors = 1;
	cmd->grpc_port = DAEMON_GRPC_PORT;
	cmd->replica_port = DAEMON_REPLICA_PORT;
	cmd->nexus_port = DAEMON_NEXUS_PORT;
	engine->state_dir = dir && dir[0] == '/' ? dir : STATE_DIR;
	io_process_host(cmd->node, ENGINE_NODE_NAME_MAX + 1);
	r = take_all(cmd, argc, argv);
	if (r < 0 || cmd->wants_help)
		return r;
	r = settle_tls(&cmd->daemon);
	if (r == 0)
		r = settle_grpc(cmd);
	if (r < 0)
		return r;
	settle_host(cmd);
	engine->node_name = cmd->node;
	engine->host = cmd->host;
	engine->reactors = cmd->reactors;
	r = addr_of("--nvmf-tgt-interface", cmd->host, cmd->replica_port, &engine->replicas);
	return r < 0 ? r :
		       addr_of("--nvmf-tgt-interface", cmd->host, cmd->nexus_port,
			       &engine->nexuses);
}

void daemon_usage(void)
{
	puts("Usage: mayastor daemon [OPTION]...\n\n"
	     "A storage node, driven over gRPC, until SIGTERM or SIGINT.\n\n"
	     "Options:\n"
	     "  -g, --grpc-endpoint ADDR[:PORT]   where its services listen; 127.0.0.1:10124\n"
	     "  -N, --node-name NAME              this machine's name\n"
	     "      --tls-cert FILE               its certificate with its chain, as PEM: only TLS then\n"
	     "      --tls-key FILE                and its key\n"
	     "      --tls-ca FILE                 who signs clients: those without a certificate are refused\n"
	     "  -R, --registration-endpoint HOST:PORT  the control plane to register with\n"
	     "      --metrics-endpoint ADDR[:PORT] metrics for Prometheus, at /metrics; off, port 9502\n"
	     "      --state-dir DIR               what it keeps; /var/lib/mayastor\n"
	     "  -p, --ps-endpoint sqlite:///PATH  records of volumes; volumes.db in the state directory\n"
	     "  -T, --nvmf-tgt-interface ip:ADDR  address of the NVMe/TCP target; that of -g\n"
	     "      --replica-port N              of the target, for replicas; 8420, 0: any\n"
	     "      --nexus-port N                for nexuses; 4421, 0: any\n"
	     "  -l, --core-list LIST              a reactor for each core of the list\n"
	     "  -m, --reactor-mask MASK           or of the mask\n"
	     "      --reactors N                  or so many; 1\n"
	     "  -F, --log-format FORMAT           json, or else keys and values\n"
	     "  -h, --help                        this text\n\n"
	     "Other options of the published engine are taken and noted, where they are harmless.\n"
	     "Exit codes: 0 stopped, 2 could not be done, 64 wrong usage.");
}
