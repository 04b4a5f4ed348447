#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_figures - what it costs that owners and members go and come: real processes, figures printed.

  test_figures.py MAYASTOR [--long] [--rounds N] [--only CASE]

takeover   the owner is killed under random writes, another one takes the volume at once: by the seconds from the
           command until a client's write is acknowledged, and by what had to be copied. When all members can be
           fenced; when one cannot: then the dead one's lease is waited out; and when one cannot, but the dead one
           was started again, in the same place: then nobody is waited for
return     a member is away while a tenth of the volume is written to at random, and comes back: what is copied,
           and what differs, regions of 4 MiB counted whole

Required: no rebuild that is not partial, no resync of more than the activity log's capacity, a rebuild of at most
1.2 of what differs. Seconds are told, not judged. --long: as large and as long as it is said in the
acceptance (1 GiB, lease of 10 s, 30 s away); else what takes little.
"""
import argparse
import os
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True

import cluster as c
from load import BLOCK, FLUSH, READ, WRITE, Lost, Nbd, Refused

MIB = c.MIB
REGION = 4 * MIB
LOG_REGIONS = 1024


class Writes:
    """fio, random writes of 4 KiB to a part of the volume, until it is ended."""

    def __init__(self, path, first, size):
        self.child = subprocess.Popen(
            ["fio", "--name=writes", "--ioengine=nbd", f"--uri=nbd+unix:///v?socket={path}", "--rw=randwrite",
             "--bs=4k", f"--offset={first}", f"--size={size}", "--iodepth=32", "--time_based", "--runtime=3600",
             "--refill_buffers", "--rate_iops=4000", "--thread", "--output-format=terse"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        self.child.kill()
        self.child.wait()


class Figures:
    def __init__(self, args):
        self.args = args
        self.size = 1024 * MIB if args.long else 128 * MIB
        self.lease_ms = 10000 if args.long else 3000
        self.cluster = c.Cluster(args.mayastor, self.size, uri_options="?timeout_ms=1000&wait_ms=0", is_proxied=False,
                                 serve_options=["--lease-ms", str(self.lease_ms), "--retry-ms", "200"])
        self.nexus = self.owner("n1")
        self.nexus.ready()
        self.nexus.settle()
        self.fill()

    def owner(self, where):
        return c.Nexus(self.cluster, where, ["--identity", f"{self.cluster.dir}/{where}"])

    def fill(self):
        """From end to end, so that a full rebuild would be one."""
        nbd = Nbd(self.nexus.socket, "v", c.SECONDS)
        for at in range(0, self.size, MIB):
            nbd.do(WRITE, at, MIB, os.urandom(MIB))
        nbd.do(FLUSH, 0, 0)
        nbd.close()

    def until(self, condition, what):
        end = time.monotonic() + c.SECONDS
        while not condition():
            if time.monotonic() > end:
                raise c.Failure(f"not within {c.SECONDS} s: {what}")
            time.sleep(0.02)

    def requests(self):
        return self.nexus.ask("stats")[0][0]["requests"]

    def until_more(self, count):
        """So many more requests of clients."""
        least = self.requests() + count
        self.until(lambda: self.requests() >= least, f"{count} requests")

    # ---- takeover --------------------------------------------------------------------------

    def next_owner(self):
        """Seconds until it says so, until a write is acknowledged; its own words."""
        start = time.monotonic()
        new = self.owner("n2" if self.nexus.where == "n1" else "n1")
        told = new.ready()
        ready = time.monotonic() - start
        nbd = Nbd(new.socket, "v", c.SECONDS)
        nbd.do(WRITE, 0, BLOCK, bytes(BLOCK))
        served = time.monotonic() - start
        nbd.close()
        self.nexus = new
        return ready, served, told

    def rebuilds(self):
        """All that ended; none runs."""
        self.nexus.settle()
        self.nexus.ask("settle")
        return self.nexus.ask("history")[0]

    def no_full_rebuild(self):
        found = self.rebuilds()
        if [rebuild for rebuild in found if not rebuild["partial"]]:
            raise c.Failure(f"a full rebuild: {found}")
        return sum(rebuild["transferred_bytes"] for rebuild in found)

    def start_again(self):
        """A process in the place of the dead one, which serves another volume."""
        where, disk = self.nexus.where, f"{self.cluster.dir}/w"
        with open(disk, "wb") as file:
            file.truncate(64 * MIB)
        self.cluster.good(f"nexus create w file://{disk} --store {self.cluster.store} --force")
        again = c.Process(where, [self.cluster.mayastor, "nexus", "serve", "w", "--store", self.cluster.store,
                                  "--identity", f"{self.cluster.dir}/{where}"])
        while again.line() != "ready":
            pass
        return again

    def take_over(self, span, away=None, is_back=False):
        load = Writes(self.nexus.socket, 0, span)
        self.until_more(self.args.writes)
        if away:
            away.link(False)
        self.nexus.process.kill()
        again = self.start_again() if is_back else None
        _, served, told = self.next_owner()
        load.end()
        if away:
            away.link(True)
        if told["resync_bytes"] > LOG_REGIONS * REGION:
            raise c.Failure(f"resync of {told['resync_bytes']} bytes, the log has {LOG_REGIONS * REGION}")
        moved = self.no_full_rebuild()
        if again:
            again.end()
            self.cluster.good(f"nexus destroy w --store {self.cluster.store}")
        what = "one member cannot be fenced" if away else "all members can be fenced"
        what += ", the dead one was started again" if again else ""
        print(f"# takeover, {what}, writes to {span // MIB} MiB: {served:.2f} s from the command to the first write"
              f" ({told['seconds']:.2f} s its own), resync {told['resync_bytes'] // MIB} MiB,"
              f" rebuilt {moved // MIB} MiB, none in full", flush=True)
        return served

    def takeover_when_all_can_be_fenced(self):
        """Writes to a little of it, and to all of it: the log does not hold more than was written to."""
        for span in (16 * MIB, self.size):
            seconds = sorted(self.take_over(span) for _ in range(self.args.rounds))
            print(f"# takeover, median of {len(seconds)}: {seconds[len(seconds) // 2]:.2f} s (wanted: less than 2)")

    def takeover_when_one_cannot(self):
        for node in self.cluster.storage[:self.args.rounds]:
            seconds = self.take_over(16 * MIB, node)
            print(f"# takeover, a lease of {self.lease_ms / 1000:.0f} s: {seconds:.2f} s"
                  f" (wanted: at most {self.lease_ms / 1000 + 1:.0f})", flush=True)

    def takeover_when_the_dead_one_is_back(self):
        for node in self.cluster.storage[:self.args.rounds]:
            seconds = self.take_over(16 * MIB, node, True)
            print(f"# takeover, started again: {seconds:.2f} s (wanted: less than 2)", flush=True)

    # ---- return ------------------------------------------------------------------------------

    def differing(self, node):
        """Regions in which the dead node's replica is not what the volume is."""
        self.cluster.good(f"replica snapshot {node.uri[8:]} then {node.pool}")
        path = f"{self.cluster.dir}/then"
        door = c.Process("n1", [self.args.mayastor, "export", "nbd", "--socket", path, "--pool", node.pool, "--uri",
                                node.uri[:-1] + "then"])
        while door.line() != "ready":
            pass
        there, here = Nbd(path, "", c.SECONDS), Nbd(self.nexus.socket, "v", c.SECONDS)
        count = 0
        for at in range(0, self.size, REGION):
            count += there.do(READ, at, REGION) != here.do(READ, at, REGION)
        there.close()
        here.close()
        door.end()
        return count

    def child_comes_back(self):
        """Acceptance: at most 1.2 of the bytes that differ."""
        node = self.cluster.storage[1]
        before = len(self.rebuilds())
        load = Writes(self.nexus.socket, self.size // 3 // BLOCK * BLOCK, self.size // 10 // BLOCK * BLOCK)
        self.until_more(100)
        node.process.kill()
        self.until(lambda: self.nexus.state()["children"][1]["state"] == "out", "the dead member is out")
        self.until_more(self.args.writes)
        time.sleep(30 if self.args.long else 0)
        load.end()
        differs = self.differing(node) * REGION
        node.start()
        found = [rebuild for rebuild in self.rebuilds()[before:] if rebuild["result"] == "done"]
        moved = sum(rebuild["transferred_bytes"] for rebuild in found)
        print(f"# a member away, {self.size // MIB} MiB, a tenth of it written to: {differs // MIB} MiB differ,"
              f" {moved // MIB} MiB copied: {moved / max(1, differs):.2f} of it (wanted: at most 1.2),"
              f" in {sum(rebuild['seconds'] for rebuild in found):.2f} s", flush=True)
        if not found or not all(rebuild["partial"] for rebuild in found) or differs == 0 or moved > 1.2 * differs:
            raise c.Failure(f"{differs} bytes differ; rebuilds: {found}")

    CASES = [takeover_when_all_can_be_fenced, takeover_when_one_cannot, takeover_when_the_dead_one_is_back,
             child_comes_back]

    def end(self):
        self.nexus.settle()
        if self.nexus.process.end():
            raise c.Failure(f"the nexus: {self.nexus.process.said[-3:]}")
        if not self.cluster.same_at_rest():
            raise c.Failure("replicas differ at rest")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true", help="as it is said in the acceptance")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    args.mayastor = os.path.abspath(args.mayastor)
    args.rounds = args.rounds or (3 if args.long else 1)
    args.writes = 10000 if args.long else 500
    c.enter()
    cases = [case for case in Figures.CASES if args.only in case.__name__]
    print(f"1..{len(cases) + 1}", flush=True)
    figures = Figures(args)
    bad = False
    for number, case in enumerate([*cases, Figures.end], 1):
        name = case.__name__ if number <= len(cases) else "replicas_are_equal_at_rest"
        try:
            case(figures)
            print(f"ok {number} - {name}", flush=True)
        except (c.Failure, AssertionError, Lost, Refused) as why:
            print(f"not ok {number} - {name}: {why}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
            bad = True
            break
    sys.stdout.flush()
    figures.cluster.close()
    os._exit(bad)  # whoever still waits for something


if __name__ == "__main__":
    main()
