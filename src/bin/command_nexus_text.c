// SPDX-License-Identifier: Apache-2.0
/*
 * command_nexus_text - a volume and its members, for people and as lines of JSON; and what changes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "bin/cli.h"
#include "bin/command_nexus.h"
#include "engine/publish.h"

/* ---- records ------------------------------------------------------------------------------- */

static unsigned in_sync(const struct volume_record *rec)
{
	unsigned count = 0;

	for (unsigned i = 0; i < rec->member_count; i++)
		count += rec->members[i].state == VOLUME_IN_SYNC;
	return count;
}

static const char *owner_word(const struct volume_record *rec)
{
	if (uuid_is_nil(&rec->owner))
		return "new";
	return rec->clean ? "closed" : "owned";
}

void nexus_print_row(const struct volume_record *rec)
{
	char size[CLI_SIZE_TEXT], uuid[UUID_TEXT_SIZE];

	if (!rec) {
		printf("%-24s %-36s %12s %8s %6s STATE\n", "NAME", "UUID", "SIZE", "IN SYNC",
		       "EPOCH");
		return;
	}
	printf("%-24s %-36s %12s %4u / %u %6" PRIu64 " %s\n", rec->name,
	       uuid_print(&rec->volume, uuid), cli_size(rec->size_bytes, size), in_sync(rec),
	       rec->member_count, rec->epoch, owner_word(rec));
}

static void record_json(const struct volume_record *rec)
{
	char uuid[UUID_TEXT_SIZE];

	printf("{\"name\":");
	typed_json_string(rec->name);
	printf(",\"uuid\":\"%s\",\"size_bytes\":%" PRIu64 ",\"block_size\":%u,\"epoch\":%" PRIu64,
	       uuid_print(&rec->volume, uuid), rec->size_bytes, rec->block_size, rec->epoch);
	printf(",\"owner\":\"%s\",\"state\":\"%s\",\"members\":[", uuid_print(&rec->owner, uuid),
	       owner_word(rec));
	for (unsigned i = 0; i < rec->member_count; i++) {
		const struct volume_member *member = &rec->members[i];

		printf("%s{\"uri\":", i ? "," : "");
		typed_json_string(member->uri);
		printf(",\"replica\":\"%s\",\"state\":\"%s\",\"offline\":%s,\"reason\":",
		       uuid_print(&member->replica, uuid), volume_member_state_name(member->state),
		       member->is_offline ? "true" : "false");
		typed_json_string(member->reason);
		putchar('}');
	}
	puts("]}");
}

void nexus_print_record(const struct volume_record *rec, bool json)
{
	char size[CLI_SIZE_TEXT], uuid[UUID_TEXT_SIZE];

	if (json) {
		record_json(rec);
		return;
	}
	printf("volume '%s', %s: %s, blocks of %u bytes\n", rec->name,
	       uuid_print(&rec->volume, uuid), cli_size(rec->size_bytes, size), rec->block_size);
	printf("  %s, epoch %" PRIu64 ", owner %s\n", owner_word(rec), rec->epoch,
	       uuid_is_nil(&rec->owner) ? "none yet" : uuid_print(&rec->owner, uuid));
	for (unsigned i = 0; i < rec->member_count; i++) {
		const struct volume_member *member = &rec->members[i];

		printf("  %-10s %s%s%s%s%s\n", volume_member_state_name(member->state), member->uri,
		       member->is_offline ? " offline" : "", member->reason[0] ? " (" : "",
		       member->reason, member->reason[0] ? ")" : "");
	}
}

/* ---- the state of one that is served ----------------------------------------------------------- */

static const char *path_word(const struct nexus_serving *s)
{
	return s->publish ? publish_ana_name(publish_ana_now(s->publish)) : "unpublished";
}

static void rebuild_json(const struct nexus_rebuild_info *rebuild)
{
	printf("{\"state\":\"%s\",\"partial\":%s,\"total_bytes\":%" PRIu64
	       ",\"recovered_bytes\":%" PRIu64 ",\"transferred_bytes\":%" PRIu64,
	       nexus_rebuild_state_name(rebuild->state), rebuild->is_partial ? "true" : "false",
	       rebuild->total_bytes, rebuild->recovered_bytes, rebuild->transferred_bytes);
	printf(",\"elapsed_ms\":%" PRIu64 ",\"retry_ms\":%" PRIu64 ",\"tries\":%u}",
	       rebuild->elapsed_ns / 1000000, rebuild->retry_ns / 1000000, rebuild->tries);
}

static void child_json(const struct nexus_child_info *child)
{
	printf("{\"uri\":");
	typed_json_string(child->uri);
	printf(",\"state\":\"%s\",\"local\":%s,\"fenced\":%s,\"offline\":%s,\"reason\":",
	       nexus_child_state_name(child->state), child->is_local ? "true" : "false",
	       child->is_fenced ? "true" : "false", child->is_offline ? "true" : "false");
	typed_json_string(child->reason);
	printf(",\"token\":%" PRIu64 ",\"reads\":%" PRIu64 ",\"writes\":%" PRIu64
	       ",\"errors\":%" PRIu64 ",\"copied_bytes\":%" PRIu64,
	       child->token, child->reads, child->writes, child->errors, child->copied_bytes);
	printf(",\"foreign\":%s,\"tracked\":%s,\"missed_bytes\":%" PRIu64 ",\"rebuild\":",
	       child->is_foreign ? "true" : "false", child->is_tracked ? "true" : "false",
	       child->missed_bytes);
	rebuild_json(&child->rebuild);
	putchar('}');
}

static void state_json(const struct nexus_serving *s, const struct nexus_info *info)
{
	char uuid[UUID_TEXT_SIZE];

	printf("{\"name\":");
	typed_json_string(info->name);
	printf(",\"uuid\":\"%s\",\"state\":\"%s\",\"path\":\"%s\",\"epoch\":%" PRIu64
	       ",\"size_bytes\":%" PRIu64 ",\"block_size\":%u",
	       uuid_print(&info->volume, uuid), nexus_state_name(info->state), path_word(s),
	       info->epoch, info->size_bytes, info->block_size);
	printf(",\"resync_bytes\":%" PRIu64 ",\"al_active\":%" PRIu64 ",\"al_updates\":%" PRIu64
	       ",\"changes\":%" PRIu64 ",\"children\":[",
	       info->resync_bytes, info->al_active, info->al_updates, info->changes);
	for (unsigned i = 0; i < info->count; i++) {
		if (i)
			putchar(',');
		child_json(&info->children[i]);
	}
	puts("]}");
}

static void child_text(const struct nexus_child_info *child)
{
	char done[CLI_SIZE_TEXT], of[CLI_SIZE_TEXT];

	printf("  %-10s %s %s: %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " errors",
	       nexus_child_state_name(child->state), child->is_local ? "local " : "remote",
	       child->uri, child->reads, child->writes, child->errors);
	if (child->rebuild.state != NEXUS_REBUILD_NONE)
		printf(", %s rebuild %s", child->rebuild.is_partial ? "partial" : "full",
		       nexus_rebuild_state_name(child->rebuild.state));
	if (child->rebuild.total_bytes)
		printf(": %s of %s", cli_size(child->rebuild.recovered_bytes, done),
		       cli_size(child->rebuild.total_bytes, of));
	if (child->is_tracked)
		printf(", missed %s", cli_size(child->missed_bytes, done));
	if (child->is_foreign)
		printf(", foreign: no fence, no activity log");
	if (child->is_offline)
		printf(", offline");
	if (child->reason[0])
		printf(" (%s)", child->reason);
	putchar('\n');
}

void nexus_print_state(const struct nexus_serving *s, const struct nexus_info *info, bool json)
{
	char size[CLI_SIZE_TEXT], resync[CLI_SIZE_TEXT];

	if (json) {
		state_json(s, info);
		return;
	}
	printf("nexus '%s': %s, %s, path %s, epoch %" PRIu64 "\n", info->name,
	       nexus_state_name(info->state), cli_size(info->size_bytes, size), path_word(s),
	       info->epoch);
	printf("  resync %s; activity log: %" PRIu64 " regions, %" PRIu64
	       " writes; record: %" PRIu64 " changes\n",
	       cli_size(info->resync_bytes, resync), info->al_active, info->al_updates,
	       info->changes);
	for (unsigned i = 0; i < info->count; i++)
		child_text(&info->children[i]);
}

/* ---- changes ------------------------------------------------------------------------------------ */

static void change_head(const struct nexus_serving *s, uint64_t now_ns, const char *event)
{
	double at = (double)(now_ns - s->start_ns) / 1e9;

	if (s->cmd->json)
		printf("{\"at\":%.3f,\"event\":\"%s\",", at, event);
	else
		printf("%10.3f %s ", at, event);
}

void nexus_print_change(const struct nexus_serving *s, const struct nexus_told *told)
{
	change_head(s, told->now_ns, told->uri[0] ? "child" : "nexus");
	if (!s->cmd->json) {
		printf("%s%s%s -> %s%s%s%s\n", told->uri, told->uri[0] ? ": " : "", told->was,
		       told->is, told->reason[0] ? " (" : "", told->reason,
		       told->reason[0] ? ")" : "");
		return;
	}
	if (told->uri[0]) {
		printf("\"uri\":");
		typed_json_string(told->uri);
		putchar(',');
	}
	printf("\"was\":\"%s\",\"state\":\"%s\",\"reason\":", told->was, told->is);
	typed_json_string(told->reason);
	puts("}");
}

static void print_rebuild(const struct nexus_serving *s, uint64_t now_ns,
			  const struct nexus_child_info *is)
{
	char done[CLI_SIZE_TEXT], of[CLI_SIZE_TEXT];

	change_head(s, now_ns, "rebuild");
	if (!s->cmd->json) {
		printf("%s: %s of %s%s\n", is->uri, cli_size(is->rebuild.recovered_bytes, done),
		       cli_size(is->rebuild.total_bytes, of),
		       is->rebuild.is_partial ? ", partial" : "");
		return;
	}
	printf("\"uri\":");
	typed_json_string(is->uri);
	printf(",\"rebuild\":");
	rebuild_json(&is->rebuild);
	puts("}");
}

void nexus_print_progress(struct nexus_serving *s, uint64_t now_ns)
{
	for (unsigned i = 0; i < s->info.count; i++) {
		const struct nexus_child_info *child = &s->info.children[i];
		uint64_t done = child->rebuild.recovered_bytes;

		if (child->rebuild.state == NEXUS_REBUILD_RUNNING && done != s->rebuilt[i])
			print_rebuild(s, now_ns, child);
		s->rebuilt[i] = done;
	}
}

void nexus_print_rebuilt(const struct nexus_serving *s, const struct nexus_rebuild_record *rec)
{
	double seconds = (double)(rec->end_ns - rec->start_ns) / 1e9;
	char moved[CLI_SIZE_TEXT];

	if (!s->cmd->json) {
		printf("%s: %s, %s, %s copied in %.3f s\n", rec->uri,
		       rec->is_partial ? "partial" : "full",
		       rec->result < 0 ? err_name(rec->result) : "done",
		       cli_size(rec->transferred_bytes, moved), seconds);
		return;
	}
	printf("{\"uri\":");
	typed_json_string(rec->uri);
	printf(",\"partial\":%s,\"result\":\"%s\",\"seconds\":%.3f",
	       rec->is_partial ? "true" : "false", rec->result < 0 ? err_name(rec->result) : "done",
	       seconds);
	printf(",\"total_bytes\":%" PRIu64 ",\"recovered_bytes\":%" PRIu64
	       ",\"transferred_bytes\":%" PRIu64 "}\n",
	       rec->total_bytes, rec->recovered_bytes, rec->transferred_bytes);
}
