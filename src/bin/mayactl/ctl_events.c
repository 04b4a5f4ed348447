// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_events - mayactl events ...: what happened on a node, and what happens.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <mayastor/x1/event.pb-c.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

static const ProtobufCServiceDescriptor *const event = &mayastor__x1__event_rpc__descriptor;

static const struct ctl_column columns[] = {
	{ .head = "NUMBER", .path = "number", .kind = CTL_COUNT },
	{ .head = "TIME", .path = "time" },
	{ .head = "KIND", .path = "kind" },
	{ .head = "WHAT", .path = "what" },
	{ .head = "NAME", .path = "name" },
	{ .head = "TEXT", .path = "text" },
	{ .head = "UUID", .path = "uuid", .is_wide = true },
	{ .head = "MISSED", .path = "missed", .kind = CTL_COUNT, .is_wide = true },
};

static const struct ctl_table table = { columns, ARRAY_LEN(columns), NULL, "no events" };

static int event_line(struct ctl *ctl, struct json_object *message)
{
	const uint64_t missed = ctl_json_u64(message, "missed");

	if (ctl->format == CTL_JSON) {
		ctl_json_line(message);
		return 0;
	}
	if (missed)
		printf("(%" PRIu64 " events before this one are remembered no more)\n", missed);
	printf("%-6" PRIu64 " %s  %-8s %-12s %s", ctl_json_u64(message, "number"),
	       ctl_json_text(message, "time"), ctl_json_text(message, "kind"),
	       ctl_json_text(message, "what"), ctl_json_text(message, "name"));
	if (ctl_json_text(message, "text")[0])
		printf("  %s", ctl_json_text(message, "text"));
	if (ctl->format == CTL_WIDE && ctl_json_text(message, "uuid")[0])
		printf("  %s", ctl_json_text(message, "uuid"));
	putchar('\n');
	fflush(stdout);
	return 0;
}

static int event_row(struct ctl *ctl, struct json_object *message)
{
	if (ctl->node_count > 1)
		json_object_object_add(message, "node",
				       json_object_new_string(ctl->nodes[ctl->node].target));
	json_object_array_add(ctl->rows, json_object_get(message));
	return 0;
}

static int events_ask(struct fiber *f, struct ctl *ctl, bool follow,
		      int (*each)(struct ctl *ctl, struct json_object *message))
{
	struct ctl_call call = ctl_call(ctl, event, "WatchEvents");
	uint64_t since = 0;

	if (ctl_given(ctl, CTL_SINCE))
		TRY(ctl_number(f, "--since", ctl_value(ctl, CTL_SINCE), UINT64_MAX, &since));
	ctl_set(&call, "since", since);
	ctl_set(&call, "no_follow", !follow);
	return ctl_follow(f, &call, each);
}

static int events_list(struct fiber *f, struct ctl *ctl)
{
	const bool follow = ctl_given(ctl, CTL_FOLLOW);

	if (follow && ctl->node_count > 1)
		return fiber_fail(f, -EINVAL, "--follow: one node at a time");
	ctl->table = &table;
	ctl->shape = follow ? CTL_NOTHING : CTL_ROWS;
	return events_ask(f, ctl, follow, follow ? event_line : event_row);
}

static int events_watch(struct fiber *f, struct ctl *ctl)
{
	return events_ask(f, ctl, !ctl_given(ctl, CTL_NO_FOLLOW), event_line);
}

const struct ctl_verb ctl_events_verbs[] = {
	{ "events", "list", "", CTL_BIT(CTL_SINCE) | CTL_BIT(CTL_FOLLOW), 0, true,
	  "what happened on the node, as far as it remembers", events_list, true },
	{ "events", "watch", "", CTL_BIT(CTL_SINCE) | CTL_BIT(CTL_NO_FOLLOW), 0, false,
	  "and what happens, as it happens", events_watch },
	{ 0 },
};
