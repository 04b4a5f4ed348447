// SPDX-License-Identifier: Apache-2.0
/*
 * ctl_table - rows of JSON as a table, drawn by libsmartcols.
 *
 * A row may have rows below it (the children of a nexus); columns say where a cell's value lies
 * in the one and in the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cursor.h"
#include "bin/mayactl/ctl.h"
#include "reactor/fiber.h"

#define CELL  512
#define STATE "-state"

/* ---- values ------------------------------------------------------------------------------ */

const char *ctl_bytes_text(uint64_t bytes, char text[24])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1024 && unit + 1 < ARRAY_LEN(units); unit++)
		value /= 1024;
	snprintf(text, 24, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return text;
}

const char *ctl_bar_text(uint64_t percent, char text[64])
{
	const unsigned full = (unsigned)(percent > 100 ? 100 : percent) / 5;

	snprintf(text, 64, "[%.*s%.*s] %3" PRIu64 " %%", (int)full, "####################",
		 (int)(20 - full), "--------------------", percent);
	return text;
}

static void ns_text(uint64_t ns, char text[24])
{
	if (ns < 1000)
		snprintf(text, 24, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(text, 24, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(text, 24, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(text, 24, "%.1f s", (double)ns / 1e9);
}

static void list_text(struct json_object *list, char cell[CELL])
{
	size_t at = 0;

	cell[0] = 0;
	for (size_t i = 0; i < json_object_array_length(list) && at < CELL; i++)
		at += (size_t)snprintf(cell + at, CELL - at, "%s%s", i ? "," : "",
				       json_object_get_string(json_object_array_get_idx(list, i)));
}

/* CHILD_STATE_ONLINE -> online; NVME_ANA_OPTIMIZED_STATE -> optimized */
static void word_text(const char *name, const char *strip, char cell[CELL])
{
	size_t len = strip ? strlen(strip) : 0;

	if (strip && strncmp(name, strip, len) == 0)
		name += len;
	snprintf(cell, CELL, "%s", name);
	for (char *c = cell; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c == '_' ? '-' : *c);
	len = strlen(cell);
	if (len > sizeof(STATE) - 1 && strcmp(cell + len - (sizeof(STATE) - 1), STATE) == 0)
		cell[len - (sizeof(STATE) - 1)] = 0;
}

static void share_text(uint64_t part, uint64_t of, char cell[CELL])
{
	if (of)
		snprintf(cell, CELL, "%.0f %%", (double)part * 100 / (double)of);
	else
		snprintf(cell, CELL, "-");
}

static void each_text(uint64_t ns, uint64_t of, char cell[CELL])
{
	if (of)
		ns_text(ns / of, cell);
	else
		snprintf(cell, CELL, "-");
}

/* is_child: of a row below another. */
static void cell_text(const struct ctl_column *column, struct json_object *row, bool is_child,
		      char cell[CELL])
{
	const char *path = is_child ? column->child : column->path;
	struct json_object *value = path ? ctl_json_at(row, path) : NULL;
	const uint64_t number = value ? json_object_get_uint64(value) : 0;

	cell[0] = 0;
	if (!value)
		return;
	switch (column->kind) {
	case CTL_TEXT:
		if (json_object_is_type(value, json_type_array))
			list_text(value, cell);
		else
			snprintf(cell, CELL, "%s", json_object_get_string(value));
		return;
	case CTL_BYTES:
		ctl_bytes_text(number, cell);
		return;
	case CTL_COUNT:
		snprintf(cell, CELL, "%" PRIu64, number);
		return;
	case CTL_WORD:
	case CTL_REASON:
		word_text(json_object_get_string(value),
			  is_child ? column->child_strip : column->strip, cell);
		if (column->kind == CTL_REASON && strcmp(cell, "none") == 0)
			cell[0] = 0;
		return;
	case CTL_YES:
		snprintf(cell, CELL, "%s", json_object_get_boolean(value) ? "yes" : "");
		return;
	case CTL_NS:
		ns_text(number, cell);
		return;
	case CTL_BAR: /* -1: none */
		if (json_object_get_int64(value) >= 0)
			ctl_bar_text(number, cell);
		return;
	case CTL_SHARE_OF:
		share_text(number, ctl_json_u64(row, column->of), cell);
		return;
	case CTL_NS_EACH:
		each_text(number, ctl_json_u64(row, column->of), cell);
		return;
	}
}

/* ---- tables -------------------------------------------------------------------------------- */

static bool is_shown(const struct ctl *ctl, const struct ctl_column *column)
{
	return !column->is_wide || ctl->format == CTL_WIDE;
}

static int column_flags(const struct ctl_table *table, unsigned i)
{
	switch (table->columns[i].kind) {
	case CTL_BYTES:
	case CTL_COUNT:
	case CTL_NS:
	case CTL_SHARE_OF:
	case CTL_NS_EACH:
		return SCOLS_FL_RIGHT;
	default:
		return i == 0 && table->children ? SCOLS_FL_TREE : 0;
	}
}

static int columns_add(struct libscols_table *drawn, const struct ctl *ctl,
		       const struct ctl_table *table)
{
	if (ctl->node_count > 1 && !table->children && !scols_table_new_column(drawn, "NODE", 0, 0))
		return -ENOMEM;
	for (unsigned i = 0; i < table->count; i++)
		if (is_shown(ctl, &table->columns[i]) &&
		    !scols_table_new_column(drawn, table->columns[i].head, 0,
					    column_flags(table, i)))
			return -ENOMEM;
	return 0;
}

static int row_add(struct libscols_table *drawn, struct libscols_line *above, const struct ctl *ctl,
		   const struct ctl_table *table, struct json_object *row)
{
	struct libscols_line *line = scols_table_new_line(drawn, above);
	struct json_object *below;
	size_t at = 0;
	char cell[CELL];

	if (!line)
		return -ENOMEM;
	if (ctl->node_count > 1 && !table->children)
		scols_line_set_data(line, at++, ctl_json_text(row, "node"));
	for (unsigned i = 0; i < table->count; i++) {
		const struct ctl_column *column = &table->columns[i];

		if (!is_shown(ctl, column))
			continue;
		cell_text(column, row, above, cell);
		if (scols_line_set_data(line, at++, cell) < 0)
			return -ENOMEM;
	}
	below = table->children && !above ? ctl_json_at(row, table->children) : NULL;
	for (size_t i = 0; below && i < json_object_array_length(below); i++)
		TRY(row_add(drawn, line, ctl, table, json_object_array_get_idx(below, i)));
	return 0;
}

static int table_fill(struct libscols_table *drawn, const struct ctl *ctl,
		      const struct ctl_table *table, struct json_object *rows)
{
	TRY(columns_add(drawn, ctl, table));
	for (size_t i = 0; i < json_object_array_length(rows); i++)
		TRY(row_add(drawn, NULL, ctl, table, json_object_array_get_idx(rows, i)));
	return 0;
}

static const int json_flags = JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			      JSON_C_TO_STRING_NOSLASHESCAPE;

static int rows_output(struct ctl *ctl)
{
	struct libscols_table *drawn;
	int r;

	if (json_object_array_length(ctl->rows) == 0) {
		puts(ctl->table->none);
		return 0;
	}
	drawn = scols_new_table();
	if (!drawn)
		return -ENOMEM;
	r = table_fill(drawn, ctl, ctl->table, ctl->rows);
	if (r == 0)
		r = scols_print_table(drawn);
	scols_unref_table(drawn);
	return r;
}

static void fields_output(const struct ctl *ctl)
{
	const struct ctl_table *table = ctl->table;
	char cell[CELL];

	for (unsigned i = 0; i < table->count; i++) {
		cell_text(&table->columns[i], json_object_array_get_idx(ctl->rows, 0), false, cell);
		if (cell[0])
			printf("%-14s %s\n", table->columns[i].head, cell);
	}
}

int ctl_output(struct ctl *ctl)
{
	struct json_object *all = ctl->shape == CTL_ROWS ? ctl->rows :
							   json_object_array_get_idx(ctl->rows, 0);

	if (ctl->watch_ns && ctl->format != CTL_JSON && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	if (ctl->format == CTL_JSON && ctl->shape != CTL_NOTHING) {
		puts(json_object_to_json_string_ext(all, json_flags));
		return 0;
	}
	switch (ctl->shape) {
	case CTL_ROWS:
		return rows_output(ctl);
	case CTL_FIELDS:
		fields_output(ctl);
		return 0;
	case CTL_LINE:
		puts(ctl->line);
		return 0;
	default:
		return 0;
	}
}

void ctl_json_line(struct json_object *message)
{
	puts(json_object_to_json_string_ext(message, JSON_C_TO_STRING_NOSLASHESCAPE));
	fflush(stdout);
}
