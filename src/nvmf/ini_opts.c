// SPDX-License-Identifier: Apache-2.0
/*
 * ini_opts - what the URI says, and who we are.
 *
 *	nvmf://host:port/nqn[/nsid]?name=value...
 *
 * Who we are: a controller tells its hosts apart by name (HOSTNQN) and identifier (HOSTID), and
 * may end the association of a host that connects again. So every disk is opened as a host of its
 * own, by an identifier made up at open, unless the URI says otherwise: with `hostid`, or with
 * `instance` and `token`, which name a session of a nexus.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "base/uri.h"
#include "nvmf/ini_priv.h"

#define INI_PORT_DEFAULT  4420u /* what is registered for NVMe over TCP */
#define INI_DEPTH_DEFAULT 128u
#define INI_QUEUES	  64u
#define INI_QUEUES_MAX	  65534u
#define INI_MAX_IO	  (1u << 20)
#define INI_MAX_IO_MIN	  (64u << 10) /* a block, at least */
#define INI_MAX_IO_MAX	  (16u << 20)
#define INI_KATO_MS	  5000u
#define INI_TIMEOUT_MS	  8000u
#define INI_CONNECT_MS	  3000u
#define INI_WAIT_MS	  5000u
#define INI_LOSS_MS	  600000u
#define INI_MS_MAX	  86400000u
#define NS_PER_MS	  1000000u

const struct bdev_param ini_params[] = {
	{ "nsid", "namespace; default: the first one, or the second part of the path" },
	{ "hostnqn", "our name; default: made of hostid" },
	{ "hostid", "UUID; our identity; default: made up, anew at each open" },
	{ "instance", "UUID of a nexus: with token, hostid follows from the two" },
	{ "token", "of the nexus's session with this disk: epoch << 16 | session" },
	{ "hdgst", "digests of headers, if the other side can; default true" },
	{ "ddgst", "digests of data, if the other side can; default true" },
	{ "depth", "requests in flight of a channel: 1..998; default 128" },
	{ "queues", "channels at a time, one I/O queue each: 1..65534; default 64" },
	{ "max_io", "bytes of one request: 64k..16m; default 1m, or what the controller takes" },
	{ "kato_ms", "keep alive timeout, 0: none; default 5000" },
	{ "timeout_ms", "until a request without answer ends the connection; default 8000" },
	{ "connect_ms", "for one attempt to connect; default 3000" },
	{ "wait_ms", "requests wait so long for a lost connection, 0: not; default 5000" },
	{ "loss_ms", "then the disk is given up as removed; default 600000" },
	{ 0 },
};

struct uuid ini_host_id(const struct uuid *instance, uint64_t token)
{
	uint8_t name[8];

	le64_put(name, token);
	return uuid_from_name(instance, name, sizeof(name));
}

static int ini_opts_ms(struct fiber *f, const struct uri *uri, const char *name, uint64_t min,
		       uint64_t dflt, uint64_t *ret_ms)
{
	return uri_get_u64(uri, name, min, INI_MS_MAX, dflt, ret_ms, fiber_err(f));
}

static int ini_opts_times(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	uint64_t ms;

	TRY(ini_opts_ms(f, uri, "kato_ms", 0, INI_KATO_MS, &ms));
	ret->kato_ms = (uint32_t)ms;
	TRY(ini_opts_ms(f, uri, "timeout_ms", 1, INI_TIMEOUT_MS, &ms));
	ret->timeout_ns = ms * NS_PER_MS;
	TRY(ini_opts_ms(f, uri, "connect_ms", 1, INI_CONNECT_MS, &ms));
	ret->connect_ns = ms * NS_PER_MS;
	TRY(ini_opts_ms(f, uri, "wait_ms", 0, INI_WAIT_MS, &ms));
	ret->wait_ns = ms * NS_PER_MS;
	TRY(ini_opts_ms(f, uri, "loss_ms", 0, INI_LOSS_MS, &ms));
	ret->loss_ns = ms * NS_PER_MS;
	return 0;
}

static int ini_opts_sizes(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	uint64_t n;

	TRY(uri_get_bool(uri, "hdgst", true, &ret->hdgst, fiber_err(f)));
	TRY(uri_get_bool(uri, "ddgst", true, &ret->ddgst, fiber_err(f)));
	TRY(uri_get_u64(uri, "depth", 1, INI_SLOTS_MAX - 2, INI_DEPTH_DEFAULT, &n, fiber_err(f)));
	ret->depth = (uint32_t)n;
	TRY(uri_get_u64(uri, "queues", 1, INI_QUEUES_MAX, INI_QUEUES, &n, fiber_err(f)));
	ret->queues = (uint32_t)n;
	return uri_get_size(uri, "max_io", INI_MAX_IO_MIN, INI_MAX_IO_MAX, INI_MAX_IO,
			    &ret->max_io_bytes, fiber_err(f));
}

/* The namespace may stand in the path, so that several of a subsystem have names of their own. */
static int ini_opts_nsid(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	const char *text = uri_segment(uri, 1);
	uint64_t nsid = 0;

	if (uri_name_count(uri, "nsid") > 0)
		TRY(uri_get_u64(uri, "nsid", 1, NVME_NSID_MAX, 0, &nsid, fiber_err(f)));
	if (text && nsid)
		return fiber_fail(f, -EINVAL, "nvmf: the namespace is in the path and in 'nsid'");
	for (const char *at = text; at && *at; at++) {
		if (*at < '0' || *at > '9' || nsid > NVME_NSID_MAX / 10)
			return fiber_fail(f, -EINVAL, "nvmf: '%.40s' is not a namespace", text);
		nsid = nsid * 10 + (uint64_t)(*at - '0');
	}
	if (text && (nsid == 0 || nsid > NVME_NSID_MAX))
		return fiber_fail(f, -EINVAL, "nvmf: '%.40s' is not a namespace", text);
	ret->nsid = (uint32_t)nsid;
	return 0;
}

static int ini_opts_name(struct fiber *f, const char *what, const char *name,
			 char ret[NVME_NQN_MAX + 1])
{
	if (strncmp(name, "nqn.", 4) != 0 || strlen(name) > NVME_NQN_MAX)
		return fiber_fail(f, -EINVAL,
				  "nvmf: %s '%.60s' is not an NQN: nqn.YYYY-MM.DOMAIN:NAME", what,
				  name);
	snprintf(ret, NVME_NQN_MAX + 1, "%s", name);
	return 0;
}

int ini_opts_where(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	uint32_t segments = uri_segment_count(uri);

	if (*uri_host(uri) == '\0' || segments < 1 || segments > 2)
		return fiber_fail(f, -EINVAL, "nvmf: expected nvmf://host:port/nqn, is '%.100s'",
				  uri_print(uri));
	snprintf(ret->host, sizeof(ret->host), "%s", uri_host(uri));
	ret->port = uri_port(uri) ? uri_port(uri) : INI_PORT_DEFAULT;
	TRY(ini_opts_name(f, "subsystem", uri_segment(uri, 0), ret->subnqn));
	return ini_opts_nsid(f, uri, ret);
}

/* A uuid parameter; *ret_given: it is there. */
static int ini_opts_uuid(struct fiber *f, const struct uri *uri, const char *name, struct uuid *ret,
			 bool *ret_given)
{
	int r = uri_uuid(uri, name, ret);

	*ret_given = r == 0;
	if (r == 0 && uuid_is_nil(ret))
		r = -EINVAL;
	if (r < 0 && r != -ENOENT)
		return fiber_fail(f, -EINVAL, "nvmf: parameter '%s' is not a UUID", name);
	return 0;
}

static int ini_opts_identity(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	struct uuid instance, host;
	bool has_instance, has_host;
	bool has_token = uri_name_count(uri, "token") > 0;
	uint8_t random[16];
	uint64_t token;

	TRY(ini_opts_uuid(f, uri, "instance", &instance, &has_instance));
	TRY(ini_opts_uuid(f, uri, "hostid", &host, &has_host));
	if (has_instance != has_token || (has_instance && has_host))
		return fiber_fail(f, -EINVAL,
				  "nvmf: 'instance' and 'token' go together, and without 'hostid'");
	io_random(fiber_io(f), random, sizeof(random));
	ret->host_id = has_host ? host : uuid_v4(random);
	if (!has_token)
		return 0;
	TRY(uri_get_u64(uri, "token", 1, UINT64_MAX, 0, &token, fiber_err(f)));
	ret->host_id = ini_host_id(&instance, token);
	return 0;
}

int ini_opts_get(struct fiber *f, const struct uri *uri, struct ini_opts *ret)
{
	char uuid[UUID_TEXT_SIZE], made[80];
	const char *name = made;

	*ret = (struct ini_opts){ 0 };
	TRY(ini_opts_where(f, uri, ret));
	TRY(ini_opts_identity(f, uri, ret));
	snprintf(made, sizeof(made), "nqn.2014-08.org.nvmexpress:uuid:%s",
		 uuid_print(&ret->host_id, uuid));
	TRY(uri_get_str(uri, "hostnqn", made, &name, fiber_err(f)));
	TRY(ini_opts_name(f, "parameter 'hostnqn'", name, ret->hostnqn));
	TRY(ini_opts_sizes(f, uri, ret));
	return ini_opts_times(f, uri, ret);
}
