// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_nexus - mayactl nexus ..., mayactl child ...
 */
#include <errno.h>
#include <inttypes.h>
#include <mayastor/v1/nexus.pb-c.h>
#include <mayastor/x1/nexus.pb-c.h>
#include <string.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

static const ProtobufCServiceDescriptor *const service = &mayastor__v1__nexus_rpc__descriptor;
static const ProtobufCServiceDescriptor *const extra = &mayastor__x1__nexus_extra_rpc__descriptor;

static const struct ctl_column columns[] = {
	{ .head = "NAME", .path = "name", .child = "uri" },
	{ .head = "STATE",
	  .path = "state",
	  .kind = CTL_WORD,
	  .strip = "NEXUS_",
	  .child = "state",
	  .child_strip = "CHILD_STATE_" },
	{ .head = "SIZE", .path = "size", .kind = CTL_BYTES },
	{ .head = "REBUILD", .kind = CTL_BAR, .child = "rebuild_progress" },
	{ .head = "WHY", .kind = CTL_REASON,
	  .child = "state_reason",
	  .child_strip = "CHILD_STATE_REASON_" },
	{ .head = "PATH", .path = "ana_state", .kind = CTL_WORD, .strip = "NVME_ANA_" },
	{ .head = "HOSTS", .path = "allowed_hosts", .is_wide = true },
	{ .head = "UUID", .path = "uuid", .is_wide = true },
	{ .head = "URI", .path = "device_uri" },
};

static const struct ctl_table nexuses = { columns, ARRAY_LEN(columns), "children", "no nexuses" };

static const struct ctl_column detail_columns[] = {
	{ .head = "CHILD", .path = "uri" },
	{ .head = "STATE", .path = "state" },
	{ .head = "WHY", .path = "reason" },
	{ .head = "LOCAL", .path = "is_local", .kind = CTL_YES },
	{ .head = "FENCED", .path = "is_fenced", .kind = CTL_YES },
	{ .head = "OFFLINE", .path = "is_offline", .kind = CTL_YES },
	{ .head = "READS", .path = "reads", .kind = CTL_COUNT },
	{ .head = "WRITES", .path = "writes", .kind = CTL_COUNT },
	{ .head = "ERRORS", .path = "errors", .kind = CTL_COUNT },
	{ .head = "COPIED", .path = "copied_bytes", .kind = CTL_BYTES },
};

static const struct ctl_table detail = { detail_columns, ARRAY_LEN(detail_columns), NULL,
					 "no children" };

static const struct ctl_column ana_columns[] = {
	{ .head = "path", .path = "ana_state", .kind = CTL_WORD, .strip = "NVME_ANA_" },
};

static const struct ctl_table ana_table = { ana_columns, 1, NULL, "" };

static struct ctl_call on_nexus(struct ctl *ctl, const char *method)
{
	struct ctl_call call = ctl_call(ctl, service, method);

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	return call;
}

/* ---- nexuses ------------------------------------------------------------------------------- */

static int list(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "ListNexus");

	if (ctl->operand_count)
		ctl_set_text(&call, "name", ctl->operands[0]);
	return ctl_list(f, &call, "nexus_list", &nexuses);
}

static int show(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, extra, "GetNexusDetail");

	ctl_set_text(&call, "nexus", ctl->operands[0]);
	if (ctl->format == CTL_JSON)
		return ctl_show(f, &call, "", &detail);
	return ctl_list(f, &call, "children", &detail);
}

/* "MIN-MAX" */
static int set_cntlid(struct fiber *f, struct ctl_call *call)
{
	const char *text = ctl_value(call->ctl, CTL_CNTLID);
	unsigned min, max;
	char end;

	if (!text)
		return 0;
	if (sscanf(text, "%5u-%5u%c", &min, &max, &end) != 2 || min == 0 || min > max ||
	    max > 0xffef)
		return fiber_fail(f, -EINVAL, "--cntlid is '%s', expected MIN-MAX of 1 to 65519",
				  text);
	ctl_set(call, "minCntlId", min);
	ctl_set(call, "maxCntlId", max);
	return 0;
}

static int create(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "CreateNexus");
	const char *uuid = ctl_value(ctl, CTL_UUID);
	uint64_t size, key = 0;

	TRY(ctl_size(f, "--size", ctl_value(ctl, CTL_SIZE), &size));
	if (ctl_given(ctl, CTL_RESV_KEY))
		TRY(ctl_number(f, "--resv-key", ctl_value(ctl, CTL_RESV_KEY), UINT64_MAX, &key));
	TRY(set_cntlid(f, &call));
	ctl_set_text(&call, "name", ctl->operands[0]);
	ctl_set_text(&call, "uuid", uuid ? uuid : ctl_new_uuid(f, ctl));
	ctl_set(&call, "size", size);
	ctl_set(&call, "resvKey", key);
	ctl_set_values(&call, "children", CTL_CHILD);
	return ctl_do(f, &call, "nexus '%s' created, of %u children", ctl->operands[0],
		      ctl->counts[CTL_CHILD]);
}

static int destroy(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "DestroyNexus");

	return ctl_do(f, &call, "nexus '%s' destroyed", ctl->operands[0]);
}

static int shutdown_nexus(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "ShutdownNexus");

	return ctl_do(f, &call, "nexus '%s' is shut down", ctl->operands[0]);
}

static int resize(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "ResizeNexus");
	char text[24];
	uint64_t size;

	TRY(ctl_size(f, "SIZE", ctl->operands[1], &size));
	ctl_set(&call, "requested_size", size);
	return ctl_do(f, &call, "nexus '%s' has %s now", ctl->operands[0],
		      ctl_bytes_text(size, text));
}

static int publish(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "PublishNexus");
	struct json_object *reply;

	ctl_set(&call, "share", MAYASTOR__V1__SHARE_PROTOCOL__NVMF);
	ctl_set_values(&call, "allowed_hosts", CTL_ALLOW);
	TRY(ctl_ask(f, &call, &reply));
	return ctl_say(ctl, reply, "nexus '%s' is at %s", ctl->operands[0],
		       ctl_json_text(reply, "nexus.device_uri"));
}

static int unpublish(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "UnpublishNexus");

	return ctl_do(f, &call, "nexus '%s' is not published any more", ctl->operands[0]);
}

static int ana(struct fiber *f, struct ctl *ctl)
{
	static const char *const names[] = { "", "optimized", "non-optimized", "inaccessible" };
	struct ctl_call call;

	if (ctl->operand_count == 1) {
		call = on_nexus(ctl, "GetNvmeAnaState");
		return ctl_show(f, &call, "", &ana_table);
	}
	call = on_nexus(ctl, "SetNvmeAnaState");
	for (unsigned i = 1; i < ARRAY_LEN(names); i++)
		if (strcmp(ctl->operands[1], names[i]) == 0) {
			ctl_set(&call, "ana_state", i);
			return ctl_do(f, &call, "nexus '%s' is %s here", ctl->operands[0],
				      names[i]);
		}
	return fiber_fail(f, -EINVAL,
			  "STATE is '%s', expected optimized, non-optimized or inaccessible",
			  ctl->operands[1]);
}

const struct ctl_verb ctl_nexus_verbs[] = {
	{ "nexus", "list", "[NEXUS]", 0, 0, true, "nexuses, their children and rebuilds", list },
	{ "nexus", "show", "NEXUS", 0, 0, false, "what its children have done", show },
	{ "nexus", "create", "NAME",
	  CTL_BIT(CTL_SIZE) | CTL_BIT(CTL_CHILD) | CTL_BIT(CTL_UUID) | CTL_BIT(CTL_RESV_KEY) |
		  CTL_BIT(CTL_CNTLID),
	  CTL_BIT(CTL_SIZE) | CTL_BIT(CTL_CHILD), false, "one volume of several replicas", create },
	{ "nexus", "publish", "NEXUS", CTL_BIT(CTL_ALLOW), 0, false,
	  "over NVMe/TCP; over NBD: mayactl share create", publish },
	{ "nexus", "unpublish", "NEXUS", 0, 0, false, "its hosts are disconnected", unpublish },
	{ "nexus", "ana", "NEXUS [STATE]", 0, 0, false, "what hosts think of the path through here",
	  ana },
	{ "nexus", "resize", "NEXUS SIZE", 0, 0, false, "grow it, and its replicas", resize },
	{ "nexus", "shutdown", "NEXUS", 0, 0, false, "stop serving; its record stays",
	  shutdown_nexus },
	{ "nexus", "destroy", "NEXUS", 0, 0, false, "its replicas stay", destroy },
	{ 0 },
};

/* ---- children ------------------------------------------------------------------------------- */

static int child_simple(struct fiber *f, struct ctl *ctl, const char *method, const char *done)
{
	struct ctl_call call = on_nexus(ctl, method);

	ctl_set_text(&call, "uri", ctl->operands[1]);
	return ctl_do(f, &call, "%s %s", ctl->operands[1], done);
}

static int child_add(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_nexus(ctl, "AddChildNexus");

	ctl_set_text(&call, "uri", ctl->operands[1]);
	ctl_set(&call, "norebuild", ctl_given(ctl, CTL_NO_REBUILD));
	return ctl_do(f, &call, "%s is a child of '%s'", ctl->operands[1], ctl->operands[0]);
}

static int child_remove(struct fiber *f, struct ctl *ctl)
{
	return child_simple(f, ctl, "RemoveChildNexus", "is no child any more");
}

static int child_fault(struct fiber *f, struct ctl *ctl)
{
	return child_simple(f, ctl, "FaultNexusChild", "is faulted");
}

static int child_operation(struct fiber *f, struct ctl *ctl, int action, const char *done)
{
	struct ctl_call call = ctl_call(ctl, service, "ChildOperation");

	ctl_set_text(&call, "nexus_uuid", ctl->operands[0]);
	ctl_set_text(&call, "uri", ctl->operands[1]);
	ctl_set(&call, "action", (uint64_t)action);
	return ctl_do(f, &call, "%s %s", ctl->operands[1], done);
}

static int child_offline(struct fiber *f, struct ctl *ctl)
{
	return child_operation(f, ctl, MAYASTOR__V1__CHILD_ACTION__Offline, "is offline");
}

static int child_online(struct fiber *f, struct ctl *ctl)
{
	return child_operation(f, ctl, MAYASTOR__V1__CHILD_ACTION__Online, "is coming back");
}

const struct ctl_verb ctl_child_verbs[] = {
	{ "child", "add", "NEXUS URI", CTL_BIT(CTL_NO_REBUILD), 0, false,
	  "one more copy; it is rebuilt", child_add },
	{ "child", "remove", "NEXUS URI", 0, 0, false, "for good", child_remove },
	{ "child", "offline", "NEXUS URI", 0, 0, false, "not to be used for a while",
	  child_offline },
	{ "child", "online", "NEXUS URI", 0, 0, false, "to be used again; it is rebuilt",
	  child_online },
	{ "child", "fault", "NEXUS URI", 0, 0, false, "as if it had failed", child_fault },
	{ 0 },
};
