// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_rebuild - mayactl rebuild ...
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <mayastor/v1/nexus.pb-c.h>
#include <mayastor/x1/nexus.pb-c.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

#define WAIT_NS	      200000000u
#define PROGRESS_NONE 101u

static const ProtobufCServiceDescriptor *const service = &mayastor__v1__nexus_rpc__descriptor;
static const ProtobufCServiceDescriptor *const extra = &mayastor__x1__nexus_extra_rpc__descriptor;

static const struct ctl_column stats_columns[] = {
	{ .head = "progress", .path = "progress", .kind = CTL_BAR },
	{ .head = "partial", .path = "is_partial", .kind = CTL_YES },
	{ .head = "began", .path = "start_time" },
	{ .head = "blocks", .path = "blocks_total" },
	{ .head = "of bytes", .path = "block_size" },
	{ .head = "done", .path = "blocks_recovered" },
	{ .head = "copied", .path = "blocks_transferred" },
	{ .head = "to do", .path = "blocks_remaining" },
	{ .head = "tasks", .path = "tasks_active" },
	{ .head = "at most", .path = "tasks_total" },
};

static const struct ctl_table stats_table = { stats_columns, ARRAY_LEN(stats_columns), NULL, "" };

static const struct ctl_column history_columns[] = {
	{ .head = "CHILD", .path = "child_uri" },
	{ .head = "STATE", .path = "state", .kind = CTL_WORD },
	{ .head = "PARTIAL", .path = "is_partial", .kind = CTL_YES },
	{ .head = "BLOCKS", .path = "blocks_total", .kind = CTL_COUNT },
	{ .head = "COPIED", .path = "blocks_transferred", .kind = CTL_COUNT },
	{ .head = "BEGAN", .path = "start_time" },
	{ .head = "ENDED", .path = "end_time" },
	{ .head = "FROM", .path = "src_uri", .is_wide = true },
};

static const struct ctl_table history_table = { history_columns, ARRAY_LEN(history_columns), NULL,
						"no rebuilds so far" };

static const struct ctl_column limit_columns[] = {
	{ .head = "bytes a second", .path = "bytes_per_s", .kind = CTL_BYTES },
	{ .head = "tasks", .path = "tasks" },
};

static const struct ctl_table limit_table = { limit_columns, ARRAY_LEN(limit_columns), NULL, "" };

static struct ctl_call on_child(struct ctl *ctl, const char *method)
{
	struct ctl_call call = ctl_call(ctl, service, method);

	ctl_set_text(&call, "nexus_uuid", ctl->operands[0]);
	ctl_set_text(&call, "uri", ctl->operands[1]);
	return call;
}

static int start(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_child(ctl, "StartRebuild");

	return ctl_do(f, &call, "the rebuild of %s has begun", ctl->operands[1]);
}

static int stop(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_child(ctl, "StopRebuild");

	return ctl_do(f, &call, "the rebuild of %s is stopped", ctl->operands[1]);
}

static int pause_rebuild(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_child(ctl, "PauseRebuild");

	return ctl_do(f, &call, "the rebuild of %s pauses", ctl->operands[1]);
}

static int resume(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_child(ctl, "ResumeRebuild");

	return ctl_do(f, &call, "the rebuild of %s goes on", ctl->operands[1]);
}

static int show(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = on_child(ctl, "GetRebuildStats");

	return ctl_show(f, &call, "", &stats_table);
}

static int history(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, service, "GetRebuildHistory");

	ctl_set_text(&call, "uuid", ctl->operands[0]);
	return ctl_list(f, &call, "records", &history_table);
}

static int limit(struct fiber *f, struct ctl *ctl)
{
	struct ctl_call call = ctl_call(ctl, extra, "SetRebuildLimits");
	uint64_t bytes;

	TRY(ctl_size(f, "BYTES", ctl->operands[1], &bytes));
	ctl_set_text(&call, "nexus", ctl->operands[0]);
	ctl_set(&call, "limits.bytes_per_s", bytes);
	return ctl_show(f, &call, "", &limit_table);
}

/* ---- wait -------------------------------------------------------------------------------- */

struct wait {
	uint64_t told; /* what was shown last: percent + 1 */
	bool is_tty;
};

/* Of the child that is behind most; PROGRESS_NONE: none is being rebuilt. */
static uint64_t least_progress(struct json_object *nexus)
{
	struct json_object *children = ctl_json_at(nexus, "children");
	uint64_t least = PROGRESS_NONE;

	for (size_t i = 0; children && i < json_object_array_length(children); i++) {
		int64_t one = json_object_get_int64(
			ctl_json_at(json_object_array_get_idx(children, i), "rebuild_progress"));

		if (one >= 0 && (uint64_t)one < least)
			least = (uint64_t)one;
	}
	return least;
}

/* On a terminal the bar moves; elsewhere each tenth is a line. */
static void wait_tell(const struct ctl *ctl, struct wait *wait, uint64_t percent)
{
	char bar[64];

	if (ctl->format == CTL_JSON || wait->told == percent + 1 ||
	    (!wait->is_tty && wait->told && percent < 100 && percent / 10 == (wait->told - 1) / 10))
		return;
	wait->told = percent + 1;
	printf("%s%s%s", wait->is_tty ? "\r" : "", ctl_bar_text(percent, bar),
	       wait->is_tty ? "" : "\n");
	fflush(stdout);
}

/* 1: there is nothing to wait for any more; 0: there is. */
static int wait_look(struct fiber *f, struct ctl *ctl, struct wait *wait)
{
	struct ctl_call call = ctl_call(ctl, service, "ListNexus");
	struct json_object *reply, *list, *nexus;
	const char *state;
	uint64_t percent;

	ctl_set_text(&call, "name", ctl->operands[0]);
	TRY(ctl_ask(f, &call, &reply));
	list = ctl_json_at(reply, "nexus_list");
	nexus = list ? json_object_array_get_idx(list, 0) : NULL;
	if (!nexus) {
		json_object_put(reply);
		ctl->code = RPC_NOT_FOUND;
		return fiber_fail(f, -ENOENT, "there is no nexus '%s'", ctl->operands[0]);
	}
	state = ctl_json_text(nexus, "state");
	percent = least_progress(nexus);
	if (strcmp(state, "NEXUS_ONLINE") == 0)
		percent = 100;
	if (percent != PROGRESS_NONE)
		wait_tell(ctl, wait, percent);
	if (strcmp(state, "NEXUS_ONLINE") != 0 && strcmp(state, "NEXUS_FAULTED") != 0) {
		json_object_put(reply);
		return 0;
	}
	if (wait->is_tty && wait->told)
		putchar('\n');
	ctl->exit = strcmp(state, "NEXUS_ONLINE") == 0 ? CTL_OK : CTL_FOUND;
	return 1 + ctl_say(ctl, json_object_get(nexus), "nexus '%s' is %s", ctl->operands[0],
			   ctl->exit == CTL_OK ? "healthy" : "not healthy");
}

static int wait_for(struct fiber *f, struct ctl *ctl)
{
	struct wait wait = { .is_tty = isatty(STDOUT_FILENO) };
	int r;

	for (;;) {
		r = wait_look(f, ctl, &wait);
		if (r)
			return r < 0 ? r : 0;
		ctl_free(ctl);
		TRY(fiber_sleep(f, WAIT_NS));
	}
}

const struct ctl_verb ctl_rebuild_verbs[] = {
	{ "rebuild", "wait", "NEXUS", 0, 0, false,
	  "with a bar, until all children are in sync; exit code 1: it is faulted", wait_for },
	{ "rebuild", "show", "NEXUS URI", 0, 0, false, "how far the one of a child is", show },
	{ "rebuild", "start", "NEXUS URI", 0, 0, false, "copy to a child now", start },
	{ "rebuild", "stop", "NEXUS URI", 0, 0, false, "and begin no other", stop },
	{ "rebuild", "pause", "NEXUS URI", 0, 0, false, "for a while", pause_rebuild },
	{ "rebuild", "resume", "NEXUS URI", 0, 0, false, "go on", resume },
	{ "rebuild", "limit", "NEXUS BYTES", 0, 0, false, "a second; 0: no limit", limit },
	{ "rebuild", "history", "NEXUS", 0, 0, false, "those that have ended", history },
	{ 0 },
};
