// SPDX-License-Identifier: Apache-2.0
/* report - see report.h. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static uint64_t counts_ios(const struct load_counts *c)
{
	uint64_t sum = 0;

	for (unsigned op = 0; op < BIO_OPS; op++)
		sum += c->ios[op];
	return sum;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static double ios_per_second(uint64_t ios, const struct report *report)
{
	return report->seconds > 0 ? (double)ios / report->seconds : 0;
}

static double cpu_us_per_io(uint64_t ios, const struct report *report)
{
	return ios ? (report->cpu.user_s + report->cpu.sys_s) * 1e6 / (double)ios : 0;
}

/* ---- JSON -------------------------------------------------------------------- */

static void json_text(const char *text)
{
	putchar('"');
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c == '"' || *c == '\\')
			printf("\\%c", *c);
		else if (*c < 0x20)
			printf("\\u%04x", *c);
		else
			putchar(*c);
	putchar('"');
}

static void json_figures(uint64_t ios, uint64_t data_ios, const struct hist *lat,
			 const struct options *o, const struct report *report)
{
	double iops = ios_per_second(ios, report);

	printf("\"ios\":%" PRIu64 ",\"iops\":%.1f,\"mib_s\":%.2f,\"mean_us\":%.2f,\"p50_us\":%.2f,"
	       "\"p90_us\":%.2f,\"p99_us\":%.2f,\"p99_9_us\":%.2f,\"max_us\":%.2f",
	       ios, iops, ios_per_second(data_ios, report) * o->load.opts.bs / (1 << 20),
	       hist_mean(lat) / 1000, us(hist_quantile(lat, 0.5)), us(hist_quantile(lat, 0.9)),
	       us(hist_quantile(lat, 0.99)), us(hist_quantile(lat, 0.999)), us(hist_max(lat)));
}

static void hist_all(struct hist *all, const struct load_counts *c)
{
	hist_reset(all);
	for (unsigned op = 0; op < BIO_OPS; op++)
		hist_merge(all, &c->lat[op]);
}

/* The members of an object: figures over all ops, then an object per op. */
static void json_counts(const struct load_counts *c, struct hist *all, const struct options *o,
			const struct report *report)
{
	hist_all(all, c);
	json_figures(counts_ios(c), c->ios[BIO_READ] + c->ios[BIO_WRITE], all, o, report);
	for (unsigned op = 0; op < BIO_OPS; op++)
		if (c->ios[op]) {
			printf(",\"%s\":{", bio_op_name(op));
			json_figures(c->ios[op], op <= BIO_WRITE ? c->ios[op] : 0, &c->lat[op], o,
				     report);
			printf("}");
		}
}

static void json_io(const struct load *load)
{
	struct io_stats sum = { 0 };

	for (unsigned i = 0; i < load->reactors; i++) {
		const struct io_stats *a = &load->crews[i].io_begin, *z = &load->crews[i].io_end;

		sum.turns += z->turns - a->turns;
		sum.sleeps += z->sleeps - a->sleeps;
		sum.spins += z->spins - a->spins;
		sum.spin_hits += z->spin_hits - a->spin_hits;
		sum.spin_ns += z->spin_ns - a->spin_ns;
		sum.submits += z->submits - a->submits;
		sum.enters += z->enters - a->enters;
	}
	printf(",\"io\":{\"turns\":%" PRIu64 ",\"sleeps\":%" PRIu64 ",\"spins\":%" PRIu64
	       ",\"spin_hits\":%" PRIu64 ",\"spin_us\":%.0f,\"submits\":%" PRIu64
	       ",\"enters\":%" PRIu64 "}",
	       sum.turns, sum.sleeps, sum.spins, sum.spin_hits, us(sum.spin_ns), sum.submits,
	       sum.enters);
}

static void json_checks(const struct load *load, const struct load_disk *disk)
{
	struct load_checks checks;

	load_checks(load, disk, &checks);
	printf(",\"errors\":%" PRIu64 ",\"verified_blocks\":%" PRIu64 ",\"verify_errors\":%" PRIu64,
	       checks.errors, checks.verified, checks.verify_errors);
}

static void json_print(const struct options *o, const struct report *report, struct load_counts *c,
		       struct hist *all)
{
	const struct load *load = &o->load;

	load_counts(load, NULL, c);
	printf("{\"rw\":");
	json_text(o->rw);
	printf(",\"bs\":%u,\"depth\":%u,\"jobs\":%u,\"reactors\":%u,\"seconds\":%.6f,\"user_s\":%.6f,"
	       "\"sys_s\":%.6f,\"cpu_us_per_io\":%.4f,\"interrupted\":%s,",
	       load->opts.bs, load->opts.depth, load->opts.jobs, load->reactors, report->seconds,
	       report->cpu.user_s, report->cpu.sys_s, cpu_us_per_io(counts_ios(c), report),
	       report->interrupted ? "true" : "false");
	json_counts(c, all, o, report);
	json_checks(load, NULL);
	pool_bed_json(&o->bed, counts_ios(c));
	nexus_bed_json(&o->nexus);
	json_io(load);
	printf(",\"devices\":[");
	for (unsigned i = 0; i < load->disk_count; i++) {
		load_counts(load, &load->disks[i], c);
		printf("%s{\"uri\":", i ? "," : "");
		json_text(load->disks[i].uri);
		printf(",");
		json_counts(c, all, o, report);
		json_checks(load, &load->disks[i]);
		printf("}");
	}
	printf("]}\n");
}

/* ---- the table ------------------------------------------------------------------- */

static int uri_width(const struct load *load)
{
	size_t width = strlen("device");

	for (unsigned i = 0; i < load->disk_count; i++)
		width = max_size(width, strlen(load->disks[i].uri));
	return (int)min_size(width, 60);
}

static void table_row(const char *uri, int width, const char *op, uint64_t ios,
		      const struct hist *lat, uint32_t bytes, const struct report *report)
{
	double iops = ios_per_second(ios, report);

	printf("%-*.*s  %-7s %10.0f %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f\n", width, width, uri, op,
	       iops, iops * bytes / (1 << 20), us(hist_quantile(lat, 0.5)),
	       us(hist_quantile(lat, 0.9)), us(hist_quantile(lat, 0.99)),
	       us(hist_quantile(lat, 0.999)), us(hist_max(lat)));
}

static void table_print(const struct options *o, const struct report *report, struct load_counts *c)
{
	const struct load *load = &o->load;
	int width = uri_width(load);
	struct load_checks checks;
	uint64_t ios;

	printf("%-*s  %-7s %10s %9s %9s %9s %9s %9s %9s\n", width, "device", "op", "IOPS", "MiB/s",
	       "p50 us", "p90 us", "p99 us", "p99.9 us", "max us");
	for (unsigned i = 0; i < load->disk_count; i++) {
		load_counts(load, &load->disks[i], c);
		for (unsigned op = 0; op < BIO_OPS; op++)
			if (c->ios[op])
				table_row(load->disks[i].uri, width, bio_op_name(op), c->ios[op],
					  &c->lat[op], op <= BIO_WRITE ? load->opts.bs : 0, report);
	}
	load_counts(load, NULL, c);
	load_checks(load, NULL, &checks);
	ios = counts_ios(c);
	printf("%s %u bytes, depth %u, %u job%s on %u reactor%s: %" PRIu64 " I/Os in %.2f s%s\n",
	       o->rw, load->opts.bs, load->opts.depth, load->opts.jobs,
	       load->opts.jobs == 1 ? "" : "s", load->reactors, load->reactors == 1 ? "" : "s", ios,
	       report->seconds, report->interrupted ? " (interrupted)" : "");
	printf("CPU %.2f us per I/O (user %.2f s, system %.2f s); errors %" PRIu64 "",
	       cpu_us_per_io(ios, report), report->cpu.user_s, report->cpu.sys_s, checks.errors);
	if (load->opts.verify)
		printf("; verified %" PRIu64 " blocks, %" PRIu64 " wrong", checks.verified,
		       checks.verify_errors);
	printf("\n");
	pool_bed_table(&o->bed, ios);
}

int report_print(struct io *io, const struct options *o, const struct report *report)
{
	CLEANUP(cleanup_mem) struct load_counts *counts = mem_new(io, sizeof(*counts));
	CLEANUP(cleanup_mem) struct hist *all = mem_new(io, sizeof(*all));

	if (!counts || !all)
		return -ENOMEM;
	if (o->json)
		json_print(o, report, counts, all);
	else
		table_print(o, report, counts);
	return 0;
}
