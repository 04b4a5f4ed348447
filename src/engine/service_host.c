// SPDX-License-Identifier: Apache-2.0
/* service_host - mayastor.v1.HostRpc: the node and its machine. */
#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <google/protobuf/wrappers.pb-c.h>
#include <mayastor/v1/host.pb-c.h>
#include <mayastor/v1/registration.pb-c.h>
#include <stdio.h>
#include <string.h>

#include "engine/host.h"
#include "engine/register_priv.h"
#include "engine/service_priv.h"
#include "engine/version.h"
#include "io/process.h"
#include "reactor/fiber.h"

/* ---- who we are ------------------------------------------------------------------------------------ */

#define HOSTNQN_SIZE 128

/* The request and all that it points to. */
struct register_message {
	Mayastor__V1__RegisterRequest request; /* first */
	Google__Protobuf__StringValue instance, hostnqn;
	Mayastor__V1__MayastorFeatures features;
	Mayastor__V1__MayastorBugFixes bugfixes;
	Mayastor__V1__APIVersion version;
	char instance_text[UUID_TEXT_SIZE], hostnqn_text[HOSTNQN_SIZE];
};

static void register_fill(const struct engine *e, struct register_message *message)
{
	const struct engine_opts *opts = engine_opts_of(e);
	Mayastor__V1__RegisterRequest *request = &message->request;

	message->version = MAYASTOR__V1__APIVERSION__V1;
	snprintf(message->hostnqn_text, HOSTNQN_SIZE, ENGINE_NQN_PREFIX "node-name:%s",
		 opts->node_name);
	message->instance.value = uuid_print(engine_instance(e), message->instance_text);
	message->hostnqn.value = message->hostnqn_text;
	message->features.asymmetricnamespaceaccess = true;
	message->bugfixes.nexusrebuildreplicaancestry = true;
	request->id = (char *)opts->node_name;
	request->grpc_endpoint = (char *)opts->endpoint;
	request->instance_uuid = &message->instance;
	request->api_version = &message->version;
	request->n_api_version = 1;
	request->hostnqn = &message->hostnqn;
	request->features = &message->features;
	request->opt_features_case = MAYASTOR__V1__REGISTER_REQUEST__OPT_FEATURES_FEATURES;
	request->bugfixes = &message->bugfixes;
	request->opt_bugfixes_case = MAYASTOR__V1__REGISTER_REQUEST__OPT_BUGFIXES_BUGFIXES;
	request->version = (char *)MAYASTOR_VERSION;
	request->opt_version_case = MAYASTOR__V1__REGISTER_REQUEST__OPT_VERSION_VERSION;
}

struct Mayastor__V1__RegisterRequest *register_new(struct mem *mem, const struct engine *e)
{
	struct register_message *message = mem_alloc(mem, sizeof(*message));

	if (!message)
		return NULL;
	mayastor__v1__register_request__init(&message->request);
	google__protobuf__string_value__init(&message->instance);
	google__protobuf__string_value__init(&message->hostnqn);
	mayastor__v1__mayastor_features__init(&message->features);
	mayastor__v1__mayastor_bug_fixes__init(&message->bugfixes);
	register_fill(e, message);
	return &message->request;
}

static int info(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		struct ProtobufCMessage *out)
{
	Mayastor__V1__MayastorInfoResponse *answer = (void *)out;
	struct engine *e = rpc_call_ctx(call);
	struct reply reply = { .mem = rpc_call_mem(call) };
	Mayastor__V1__BackCompatMayastorFeatures *features = reply_new(&reply, sizeof(*features));

	(void)f;
	(void)in;
	answer->registration_info = register_new(reply.mem, e);
	if (!answer->registration_info || !features)
		return -ENOMEM;
	mayastor__v1__back_compat_mayastor_features__init(features);
	features->asymmetricnamespaceaccess = true;
	answer->version = (char *)MAYASTOR_VERSION;
	answer->previous_features = features;
	return 0;
}

/* ---- block devices ------------------------------------------------------------------------------------ */

static Mayastor__V1__BlockDevice__Partition *partition_of(struct reply *reply,
							  const struct host_device *device)
{
	Mayastor__V1__BlockDevice__Partition *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__v1__block_device__partition__init(out);
	out->parent = reply_text(reply, device->parent);
	out->number = device->part_number;
	out->name = reply_text(reply, device->part_name);
	out->scheme = reply_text(reply, device->part_scheme);
	out->typeid_ = reply_text(reply, device->part_type);
	out->uuid = reply_text(reply, device->part_uuid);
	return out;
}

static Mayastor__V1__BlockDevice__Filesystem *filesystem_of(struct reply *reply,
							    const struct host_device *device)
{
	Mayastor__V1__BlockDevice__Filesystem *out = reply_new(reply, sizeof(*out));

	if (!out)
		return NULL;
	mayastor__v1__block_device__filesystem__init(out);
	out->fstype = reply_text(reply, device->fs_type);
	out->label = reply_text(reply, device->fs_label);
	out->uuid = reply_text(reply, device->fs_uuid);
	out->mountpoints =
		reply_texts(reply, (const char *const *)device->mounts, device->mount_count);
	out->n_mountpoints = device->mount_count;
	return out;
}

static void fill(struct reply *reply, Mayastor__V1__BlockDevice *out,
		 const struct host_device *device)
{
	out->devname = reply_text(reply, device->devname);
	out->devtype = reply_text(reply, device->type);
	out->devmajor = device->major;
	out->devminor = device->minor;
	out->model = reply_text(reply, device->model);
	out->devpath = reply_text(reply, device->name);
	out->devlinks = reply_texts(reply, (const char *const *)device->links, device->link_count);
	out->n_devlinks = device->link_count;
	out->size = device->sectors; /* as upstream has it: sectors of 512 bytes */
	out->available = host_is_available(device);
	out->connection_type = reply_text(reply, device->bus);
	out->is_rotational = device->is_rotational;
	out->opt_is_rotational_case = MAYASTOR__V1__BLOCK_DEVICE__OPT_IS_ROTATIONAL_IS_ROTATIONAL;
	if (device->part_number)
		out->partition = partition_of(reply, device);
	if (device->fs_type[0] || device->mount_count)
		out->filesystem = filesystem_of(reply, device);
}

struct listing {
	struct reply reply;
	bool all;
};

static int list_one(void *ctx, const struct host_device *device)
{
	struct listing *list = ctx;
	Mayastor__V1__BlockDevice *out;

	if (!list->all && !host_is_available(device))
		return 0;
	out = reply_new(&list->reply, sizeof(*out));
	if (!out)
		return -ENOMEM;
	mayastor__v1__block_device__init(out);
	fill(&list->reply, out, device);
	return reply_add(&list->reply, out);
}

static int devices(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		   struct ProtobufCMessage *out)
{
	const Mayastor__V1__ListBlockDevicesRequest *ask = (const void *)in;
	Mayastor__V1__ListBlockDevicesResponse *answer = (void *)out;
	const char *root = engine_opts_of(rpc_call_ctx(call))->sys_dir;
	struct listing list = { .reply.mem = rpc_call_mem(call), .all = ask->all };
	int r = host_devices_each(f, root ? root : "", list_one, &list);

	answer->devices = (Mayastor__V1__BlockDevice **)list.reply.list;
	answer->n_devices = list.reply.count;
	return r;
}

/* ---- resources ------------------------------------------------------------------------------------------- */

static int usage(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		 struct ProtobufCMessage *out)
{
	struct reply reply = { .mem = rpc_call_mem(call) };
	Mayastor__V1__ResourceUsage *answer = reply_new(&reply, sizeof(*answer));
	struct io_usage now;

	(void)f;
	(void)in;
	if (!answer)
		return -ENOMEM;
	io_process_usage(&now);
	mayastor__v1__resource_usage__init(answer);
	answer->soft_faults = now.soft_faults;
	answer->hard_faults = now.hard_faults;
	answer->swaps = now.swaps;
	answer->in_block_ops = now.in_blocks;
	answer->out_block_ops = now.out_blocks;
	answer->ipc_msg_send = now.ipc_sent;
	answer->ipc_msg_rcv = now.ipc_received;
	answer->signals = now.signals;
	answer->vol_csw = now.voluntary_switches;
	answer->invol_csw = now.involuntary_switches;
	((Mayastor__V1__GetMayastorResourceUsageResponse *)(void *)out)->usage = answer;
	return 0;
}

/* ---- NVMe controllers -------------------------------------------------------------------------------------- */

static int list_controller(void *ctx, const struct engine_controller_info *info)
{
	static const int states[] = {
		[ENGINE_CONTROLLER_CONNECTING] = MAYASTOR__V1__NVME_CONTROLLER_STATE__INITIALIZING,
		[ENGINE_CONTROLLER_RUNNING] = MAYASTOR__V1__NVME_CONTROLLER_STATE__RUNNING,
		[ENGINE_CONTROLLER_FAULTED] = MAYASTOR__V1__NVME_CONTROLLER_STATE__FAULTED,
	};
	struct reply *reply = ctx;
	Mayastor__V1__NvmeController *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__v1__nvme_controller__init(out);
	out->name = reply_text(reply, info->name);
	out->state = states[info->state];
	out->size = info->size_bytes;
	out->blk_size = info->block_size;
	return reply_add(reply, out);
}

static int controllers(struct fiber *f, struct rpc_call *call, const struct ProtobufCMessage *in,
		       struct ProtobufCMessage *out)
{
	Mayastor__V1__ListNvmeControllersResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r = engine_controller_each(f, rpc_call_ctx(call), NULL, list_controller, &reply);

	(void)in;
	answer->controllers = (Mayastor__V1__NvmeController **)reply.list;
	answer->n_controllers = reply.count;
	return r;
}

static int stat_controller(void *ctx, const struct engine_controller_info *info)
{
	const struct bdev_op_stats *op = info->stats->op;
	struct reply *reply = ctx;
	Mayastor__V1__NvmeControllerIoStats *out = reply_new(reply, sizeof(*out));

	if (!out)
		return reply->r;
	mayastor__v1__nvme_controller_io_stats__init(out);
	out->num_read_ops = op[BIO_READ].ops;
	out->bytes_read = op[BIO_READ].blocks * info->block_size;
	out->num_write_ops = op[BIO_WRITE].ops;
	out->bytes_written = op[BIO_WRITE].blocks * info->block_size;
	out->num_unmap_ops = op[BIO_UNMAP].ops;
	out->bytes_unmapped = op[BIO_UNMAP].blocks * info->block_size;
	return reply_add(reply, out);
}

static int controller_stats(struct fiber *f, struct rpc_call *call,
			    const struct ProtobufCMessage *in, struct ProtobufCMessage *out)
{
	const Mayastor__V1__StatNvmeControllerRequest *ask = (const void *)in;
	Mayastor__V1__StatNvmeControllerResponse *answer = (void *)out;
	struct reply reply = { .mem = rpc_call_mem(call) };
	int r;

	if (!ask->name[0])
		return fiber_fail(f, -EINVAL, "the controller's name is missing");
	r = engine_controller_each(f, rpc_call_ctx(call), ask->name, stat_controller, &reply);
	if (r == 0 && reply.count == 0)
		r = fiber_fail(f, -ENOENT, "controller '%.200s' has just gone", ask->name);
	if (r == 0)
		answer->stats = reply.list[0];
	return r;
}

static const struct rpc_method methods[] = {
	METHOD_LOOK("GetMayastorInfo", google__protobuf__empty,
		    mayastor__v1__mayastor_info_response, info),
	METHOD_LOOK("ListBlockDevices", mayastor__v1__list_block_devices_request,
		    mayastor__v1__list_block_devices_response, devices),
	METHOD_LOOK("GetMayastorResourceUsage", google__protobuf__empty,
		    mayastor__v1__get_mayastor_resource_usage_response, usage),
	METHOD_LOOK("ListNvmeControllers", google__protobuf__empty,
		    mayastor__v1__list_nvme_controllers_response, controllers),
	METHOD_LOOK("StatNvmeController", mayastor__v1__stat_nvme_controller_request,
		    mayastor__v1__stat_nvme_controller_response, controller_stats),
};

const struct rpc_service service_host = {
	.name = "mayastor.v1.HostRpc",
	.methods = methods,
	.method_count = ARRAY_LEN(methods),
};
