// SPDX-License-Identifier: Apache-2.0
/* options - see options.h. Every mistake is one line on stderr that names the option. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE	2
#define RUN_SECONDS_MAX 86400.0

static const char usage[] =
	"bdev - put block devices under load and measure them\n"
	"\n"
	"  bdev [options] URI...\n"
	"\n"
	"  bdev malloc:///ram?size_mb=64                          4 KiB random reads, depth 32, 5 s\n"
	"  bdev --rw randwrite --verify file:///tmp/disk.img      write, and read back what was written\n"
	"  bdev --rw randrw --mix 70 --bs 16k --depth 8 --json file:///dev/nvme0n1\n"
	"\n"
	"Work:\n"
	"  --rw MODE         read, write, rw, randread, randwrite, randrw   [randread]\n"
	"  --mix PERCENT     share of reads in rw and randrw                [50]\n"
	"  --bs SIZE         bytes of an I/O (4096, 4k, 1m)                 [4k]\n"
	"  --depth N         I/Os in flight per job                         [32]\n"
	"  --jobs N          jobs per reactor and device                    [1]\n"
	"  --reactors N      threads, an io_uring and a loop each           [1]\n"
	"  --pin             one processor for each reactor\n"
	"  --size SIZE       use the first SIZE bytes of each device        [all]\n"
	"  --fill            write all of it once before measuring\n"
	"  --unmap PERCENT   of the I/Os are unmaps                         [0]\n"
	"  --zeroes PERCENT  of the I/Os are write-zeroes                   [0]\n"
	"  --flush-every N   a flush after N writes of a job                [never]\n"
	"  --fua             each write is durable when done\n"
	"  --seed N          of addresses and data                          [1]\n"
	"Pool, instead of a URI:\n"
	"  --pool URI        make a pool on this disk; again for more disks. WHAT THEY BEAR IS LOST.\n"
	"                    The load runs on its one replica, pool:///p/r\n"
	"  --replica SIZE    of the replica, thin                           [256m]\n"
	"  --cluster SIZE    of the pool                                    [64k]\n"
	"  --prewrite        write all of the disks first, one disk after the other\n"
	"  --snapshots N     take N snapshots just before measuring         [0]\n"
	"  --refill          write all of the replica again after that: nothing is shared any more\n"
	"  --turns N         N rounds of slices of --ios I/Os in turns with the disk beneath, in\n"
	"                    one process; the ratio of both is told           [none]\n"
	"Nexus, instead of a URI:\n"
	"  --nexus URI       make a pool on this disk, and a volume of its replica; again for more\n"
	"                    children, each in a pool of its own. WHAT THEY BEAR IS LOST\n"
	"  --member URI      a child of the volume as it is, as nvmf://...; again for more\n"
	"  --against WHAT    with --turns: disk, the volume's replica, or one: a volume of one\n"
	"                    child, the disk that was given last                [disk]\n"
	"Length:\n"
	"  --runtime SEC     measured time                                  [5]\n"
	"  --ios N           instead: this many I/Os of each job\n"
	"  --ramp SEC        run so long before measuring                   [0]\n"
	"Verify:\n"
	"  --verify          blocks carry {seed, lba, serial, crc32c}; every read is checked, and\n"
	"                    at the end all that was written, zeroed or unmapped is read back.\n"
	"                    With read modes the device is filled first.\n"
	"  --errors N        I/O errors a job may see before it stops       [0]\n"
	"Measurement:\n"
	"  --json            a JSON object instead of the table\n"
	"  --turn-clock      one reading of the clock per turn of the loop, not per I/O\n"
	"  --no-spin         reactors sleep at once when there is nothing to do\n"
	"  --spin-us N       longest spin of a reactor that waits for I/O   [io's default]\n"
	"\n"
	"Latencies are from submission to completion. CPU per I/O is user and system time of\n"
	"the whole process over the measured time. Without --verify the contents of a device are\n"
	"overwritten by write modes with random data. Exit status: 0, 1 I/O or verify errors,\n"
	"2 wrong use, 3 the devices could not be opened.\n";

enum {
	OPT_RW = 256,
	OPT_MIX,
	OPT_BS,
	OPT_DEPTH,
	OPT_JOBS,
	OPT_REACTORS,
	OPT_PIN,
	OPT_SIZE,
	OPT_FILL,
	OPT_UNMAP,
	OPT_ZEROES,
	OPT_FLUSH,
	OPT_FUA,
	OPT_SEED,
	OPT_RUNTIME,
	OPT_IOS,
	OPT_RAMP,
	OPT_VERIFY,
	OPT_ERRORS,
	OPT_JSON,
	OPT_TURN,
	OPT_NO_SPIN,
	OPT_SPIN,
	OPT_POOL,
	OPT_REPLICA,
	OPT_CLUSTER,
	OPT_PREWRITE,
	OPT_SNAPSHOTS,
	OPT_REFILL,
	OPT_TURNS,
	OPT_NEXUS,
	OPT_MEMBER,
	OPT_AGAINST,
	OPT_HELP
};

static const struct option long_options[] = {
	{ "rw", required_argument, NULL, OPT_RW },
	{ "mix", required_argument, NULL, OPT_MIX },
	{ "bs", required_argument, NULL, OPT_BS },
	{ "depth", required_argument, NULL, OPT_DEPTH },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "reactors", required_argument, NULL, OPT_REACTORS },
	{ "pin", no_argument, NULL, OPT_PIN },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "fill", no_argument, NULL, OPT_FILL },
	{ "unmap", required_argument, NULL, OPT_UNMAP },
	{ "zeroes", required_argument, NULL, OPT_ZEROES },
	{ "flush-every", required_argument, NULL, OPT_FLUSH },
	{ "fua", no_argument, NULL, OPT_FUA },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "runtime", required_argument, NULL, OPT_RUNTIME },
	{ "ios", required_argument, NULL, OPT_IOS },
	{ "ramp", required_argument, NULL, OPT_RAMP },
	{ "verify", no_argument, NULL, OPT_VERIFY },
	{ "errors", required_argument, NULL, OPT_ERRORS },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "turn-clock", no_argument, NULL, OPT_TURN },
	{ "no-spin", no_argument, NULL, OPT_NO_SPIN },
	{ "spin-us", required_argument, NULL, OPT_SPIN },
	{ "pool", required_argument, NULL, OPT_POOL },
	{ "replica", required_argument, NULL, OPT_REPLICA },
	{ "cluster", required_argument, NULL, OPT_CLUSTER },
	{ "prewrite", no_argument, NULL, OPT_PREWRITE },
	{ "snapshots", required_argument, NULL, OPT_SNAPSHOTS },
	{ "refill", no_argument, NULL, OPT_REFILL },
	{ "turns", required_argument, NULL, OPT_TURNS },
	{ "nexus", required_argument, NULL, OPT_NEXUS },
	{ "member", required_argument, NULL, OPT_MEMBER },
	{ "against", required_argument, NULL, OPT_AGAINST },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static bool wrong(const char *name, const char *text, const char *expected)
{
	fprintf(stderr, "bdev: --%s '%s': must be %s\n", name, text, expected);
	return false;
}

static bool parse_number(const char *name, const char *text, uint64_t min, uint64_t max,
			 uint64_t *ret)
{
	char expected[80], *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || value < min || value > max) {
		snprintf(expected, sizeof(expected), "a number, %" PRIu64 " to %" PRIu64, min, max);
		return wrong(name, text, expected);
	}
	*ret = value;
	return true;
}

static bool parse_unsigned(const char *name, const char *text, unsigned min, unsigned max,
			   unsigned *ret)
{
	uint64_t value;

	if (!parse_number(name, text, min, max, &value))
		return false;
	*ret = (unsigned)value;
	return true;
}

static bool parse_size(const char *name, const char *text, uint64_t max, uint64_t *ret)
{
	static const char units[] = "kmgt";
	unsigned long long value;
	unsigned shift = 0;
	const char *unit;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end | 0x20) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
		if (strcasecmp(end, "ib") == 0 || strcasecmp(end, "i") == 0)
			end += strlen(end);
	}
	if (errno || end == text || *end || *text == '-' || value == 0 || value > max >> shift)
		return wrong(name, text, "a size as 4096, 4k, 64m or 1g, and not too large");
	*ret = (uint64_t)value << shift;
	return true;
}

static bool parse_seconds(const char *name, const char *text, double min, uint64_t *ret_ns)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= min) || value > RUN_SECONDS_MAX)
		return wrong(name, text, "seconds, up to a day");
	*ret_ns = (uint64_t)(value * 1e9);
	return true;
}

static bool parse_rw(struct options *o, const char *text, unsigned mix)
{
	struct load_opts *load = &o->load.opts;
	const char *way = text;

	load->random = strncmp(text, "rand", 4) == 0;
	if (load->random)
		way += 4;
	if (strcmp(way, "read") == 0)
		load->read_pct = 100;
	else if (strcmp(way, "write") == 0)
		load->read_pct = 0;
	else if (strcmp(way, "rw") == 0)
		load->read_pct = mix;
	else
		return wrong("rw", text, "read, write, rw, randread, randwrite or randrw");
	o->rw = text;
	return true;
}

static bool parse_pool_disk(struct pool_bed *bed, const char *uri)
{
	if (bed->disk_count == POOL_BED_DISKS_MAX) {
		fprintf(stderr, "bdev: --pool: at most %d disks\n", POOL_BED_DISKS_MAX);
		return false;
	}
	bed->disks[bed->disk_count++] = uri;
	return true;
}

static bool parse_child(const char *name, const char **list, unsigned *count, const char *uri)
{
	if (*count == NEXUS_CHILDREN_MAX) {
		fprintf(stderr, "bdev: --%s: at most %u children\n", name, NEXUS_CHILDREN_MAX);
		return false;
	}
	list[(*count)++] = uri;
	return true;
}

static bool parse_against(struct options *o, const char *text)
{
	static const char *const names[] = {
		[AGAINST_DISK] = "disk", [AGAINST_REPLICA] = "replica", [AGAINST_ONE] = "one"
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) != 0)
			continue;
		o->against = (enum against)i;
		return true;
	}
	return wrong("against", text, "disk, replica or one");
}

static bool parse_one(struct options *o, int code, const char *text, unsigned *ret_mix)
{
	struct load_opts *load = &o->load.opts;
	uint64_t value = 0;
	bool good = true;

	switch (code) {
	case OPT_RW:
		o->rw = text;
		break;
	case OPT_MIX:
		return parse_unsigned("mix", text, 0, 100, ret_mix);
	case OPT_BS:
		good = parse_size("bs", text, LOAD_BS_MAX, &value);
		load->bs = (uint32_t)value;
		break;
	case OPT_DEPTH:
		return parse_unsigned("depth", text, 1, LOAD_DEPTH_MAX, &load->depth);
	case OPT_JOBS:
		return parse_unsigned("jobs", text, 1, LOAD_JOBS_MAX, &load->jobs);
	case OPT_REACTORS:
		return parse_unsigned("reactors", text, 1, REACTORS_MAX, &o->load.reactors);
	case OPT_PIN:
		o->world.pin = true;
		break;
	case OPT_SIZE:
		return parse_size("size", text, UINT64_MAX >> 1, &load->size_bytes);
	case OPT_FILL:
		o->fill = true;
		break;
	case OPT_UNMAP:
		return parse_unsigned("unmap", text, 0, 100, &load->unmap_pct);
	case OPT_ZEROES:
		return parse_unsigned("zeroes", text, 0, 100, &load->zeroes_pct);
	case OPT_FLUSH:
		return parse_unsigned("flush-every", text, 1, UINT32_MAX, &load->flush_every);
	case OPT_FUA:
		load->fua = true;
		break;
	case OPT_SEED:
		return parse_number("seed", text, 0, UINT64_MAX, &load->seed);
	case OPT_RUNTIME:
		return parse_seconds("runtime", text, 0.001, &o->run_ns);
	case OPT_IOS:
		return parse_number("ios", text, 1, UINT64_MAX - 1, &load->ios);
	case OPT_RAMP:
		return parse_seconds("ramp", text, 0, &o->ramp_ns);
	case OPT_VERIFY:
		load->verify = true;
		break;
	case OPT_ERRORS:
		return parse_number("errors", text, 0, UINT64_MAX, &load->errors_max);
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_TURN:
		load->turn_clock = true;
		break;
	case OPT_NO_SPIN:
		o->world.uring.no_spin = true;
		break;
	case OPT_SPIN:
		good = parse_number("spin-us", text, 1, 1000000, &value);
		o->world.uring.spin_max_ns = value * 1000;
		break;
	case OPT_POOL:
		return parse_pool_disk(&o->bed, text);
	case OPT_REPLICA:
		return parse_size("replica", text, POOL_REPLICA_BYTES_MAX, &o->bed.replica_bytes);
	case OPT_CLUSTER:
		good = parse_size("cluster", text, 1 << 20, &value);
		o->bed.cluster_bytes = (uint32_t)value;
		break;
	case OPT_PREWRITE:
		o->bed.prewrite = o->nexus.prewrite = true;
		break;
	case OPT_SNAPSHOTS:
		return parse_unsigned("snapshots", text, 0, 1000000, &o->bed.snapshots);
	case OPT_REFILL:
		o->refill = true;
		break;
	case OPT_NEXUS:
		return parse_child("nexus", o->nexus.disks, &o->nexus.disk_count, text);
	case OPT_MEMBER:
		return parse_child("member", o->nexus.members, &o->nexus.member_count, text);
	case OPT_AGAINST:
		return parse_against(o, text);
	case OPT_TURNS:
		return parse_unsigned("turns", text, 1, 1000000, &o->turns);
	default:
		return false; /* getopt has said why */
	}
	return good;
}

static bool take_uris(struct options *o, int count, char **uris)
{
	bool has_nexus = o->nexus.disk_count + o->nexus.member_count > 0;

	if (o->bed.disk_count || has_nexus) {
		o->load.disks[o->load.disk_count++].uri = has_nexus ? NEXUS_BED_URI : POOL_BED_URI;
		if (count == 0 && !(has_nexus && o->bed.disk_count))
			return true;
		fprintf(stderr, "bdev: --pool, --nexus and '%s': one of them\n",
			count ? uris[0] : "URI");
		return false;
	}
	if (count == 0) {
		fprintf(stderr, "bdev: no device: give a URI, as malloc:///ram?size_mb=64 "
				"(bdev --help tells more)\n");
		return false;
	}
	if (count > LOAD_DISKS_MAX) {
		fprintf(stderr, "bdev: %d devices: at most %d\n", count, LOAD_DISKS_MAX);
		return false;
	}
	for (int i = 0; i < count; i++)
		o->load.disks[o->load.disk_count++].uri = uris[i];
	return true;
}

/* Are there disks for both sides? */
static bool check_against(const struct options *o)
{
	if (o->against == AGAINST_ONE)
		return o->nexus.disk_count > 1;
	if (o->against == AGAINST_REPLICA)
		return o->nexus.disk_count > 0;
	return o->bed.disk_count + o->nexus.disk_count == 1;
}

static bool check_together(struct options *o, unsigned mix)
{
	struct load_opts *load = &o->load.opts;

	if (!parse_rw(o, o->rw, mix))
		return false;
	if (load->unmap_pct + load->zeroes_pct > 100) {
		fprintf(stderr, "bdev: --unmap %u and --zeroes %u: more than 100 together\n",
			load->unmap_pct, load->zeroes_pct);
		return false;
	}
	if (load->ios && o->ramp_ns) {
		fprintf(stderr, "bdev: --ramp: not with --ios\n");
		return false;
	}
	if (o->turns && (!check_against(o) || !load->ios || load->verify)) {
		fprintf(stderr, "bdev: --turns: with one --pool or --nexus (more with --against "
				"replica or one) and --ios, without --verify\n");
		return false;
	}
	if (load->verify && load->read_pct == 100)
		o->fill = true;
	return true;
}

bool options_parse(struct options *o, int argc, char **argv, int *ret_status)
{
	unsigned mix = 50;
	int code;

	memset(o, 0, sizeof(*o));
	o->load.opts = (struct load_opts){ .bs = 4096, .depth = 32, .jobs = 1, .seed = 1 };
	o->load.reactors = 1;
	o->bed.replica_bytes = 256u << 20;
	o->rw = "randread";
	o->run_ns = UINT64_C(5000000000);
	*ret_status = EXIT_USAGE;
	while ((code = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		if (code == OPT_HELP || code == 'h') {
			fputs(usage, stdout);
			*ret_status = 0;
			return false;
		}
		if (!parse_one(o, code, optarg, &mix))
			return false;
	}
	o->world.reactors = o->load.reactors;
	o->nexus.replica_bytes = o->bed.replica_bytes;
	o->nexus.last_alone = o->turns && o->against == AGAINST_ONE;
	o->nexus.env = &o->world.env;
	return check_together(o, mix) && take_uris(o, argc - optind, argv + optind);
}
