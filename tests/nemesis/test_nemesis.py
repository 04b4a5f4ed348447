#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_nemesis - a volume of three replicas on three nodes, real processes, while things go wrong.

  test_nemesis.py MAYASTOR [--long] [--faults N] [--seed N] [--only KIND] [--keep]

Faults one after the other, redundancy restored between them; clients that know what every sector may
hold (load.py), and beside them fio with verify. Required: no wrong byte, no I/O error from a nexus
in charge while one replica in sync can be reached, requests go on during every fault, and at the end
replicas that are equal byte by byte in pools without errors.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True

import cluster as c
from load import BLOCK, READ, WRITE, Load, Lost, Nbd, Refused, pack

MIB = c.MIB
KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
LOAD_BLOCKS, FIO_BLOCKS = 4096, 2048  # of the volume, from its beginning
PROBE_BLOCK = 8192


class Fio:
    """fio with verify over NBD, again and again, on blocks of its own."""

    def __init__(self, path):
        self.path, self.runs, self.over = path, 0, False
        self.child = None
        self.begin()

    def begin(self):
        self.child = subprocess.Popen(
            ["fio", "--name=verify", "--ioengine=nbd", f"--uri=nbd+unix:///v?socket={self.path}", "--rw=randwrite",
             "--bs=4k", f"--size={FIO_BLOCKS * BLOCK}", f"--offset={LOAD_BLOCKS * BLOCK}", "--iodepth=16",
             "--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", f"--randseed={self.runs}",
             "--rate_iops=1500", "--thread", "--output-format=terse"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def check(self, wait=False):
        """Ended ones ended well; and the next one."""
        if not wait and self.child.poll() is None:
            return
        out, _ = self.child.communicate(timeout=c.SECONDS)
        if self.child.returncode:
            raise c.Failure(f"fio: {out[-1000:]}")
        self.runs += 1
        if not wait:
            self.begin()

    def abandon(self):
        self.child.kill()
        self.child.communicate()


class Nemesis:
    def __init__(self, args, volume=None):
        self.args = args
        self.random = random.Random(args.seed)
        fast = [] if args.long else ["--retry-ms", "300", "--child-timeout-ms", "1500"]
        self.cluster = c.Cluster(args.mayastor, volume=volume, uri_options="" if args.long else "?timeout_ms=1500&wait_ms=1000",
                                 serve_options=["--lease-ms", "10000" if args.long else "3000", *fast])
        self.nexus = self.serve("n1")
        self.nexus.ready()
        self.nexus.settle()
        self.takeovers = []
        self.fio_runs = 0
        self.begin()

    def serve(self, where):
        return c.Nexus(self.cluster, where)

    def begin(self):
        self.load = Load(self.nexus.socket, "v", 0, LOAD_BLOCKS, seed=self.args.seed, pause=0.002)
        self.load.start()
        self.fio = Fio(self.nexus.socket)

    def fio_goes(self):
        """It cannot follow to another server."""
        self.fio_runs += self.fio.runs
        self.fio.abandon()

    def fio_comes(self):
        self.fio = Fio(self.nexus.socket)

    # ---- faults of storage nodes: do, then undo ------------------------------------------------

    def node_is_killed(self, node):
        node.process.kill()
        self.suffer(0.5)
        node.start()

    def node_is_stopped(self, node):
        node.process.signal(STOP)
        self.suffer(self.random.uniform(1, 20) if self.args.long else 3)
        node.process.signal(CONT)

    def cable_is_cut(self, node):
        node.link(False)
        self.suffer(self.random.uniform(1, 12) if self.args.long else 3)
        node.link(True)

    def connections_are_cut(self, node):
        self.cluster.wire_is(node, "cut")
        self.suffer(self.random.uniform(0.1, 3))
        self.cluster.wire_is(node, "pass")

    def wire_is(self, node, mode, seconds):
        self.cluster.wire_is(node, mode)
        self.suffer(seconds)
        self.cluster.wire_is(node, "pass")

    def nothing_comes_back(self, node):
        self.wire_is(node, "deaf", self.random.uniform(1, 15) if self.args.long else 3)

    def nothing_arrives(self, node):
        self.wire_is(node, "mute", self.random.uniform(1, 15) if self.args.long else 3)

    def bytes_are_held(self, node):
        """Delivered when the node has long been replaced by its rebuilt self."""
        self.wire_is(node, "hold", self.random.uniform(2, 15) if self.args.long else 3)

    def wire_is_slow(self, node):
        self.wire_is(node, "delay 0.05", 2)

    # ---- faults of the nexus --------------------------------------------------------------------

    def take_over(self, what):
        """Another process, on the other node, owns the volume."""
        where = "n2" if self.nexus.where == "n1" else "n1"
        start = time.monotonic()
        new = self.serve(where)
        told = new.ready()
        self.takeovers.append(f"{what}: {time.monotonic() - start:.2f} s from the command, {told['seconds']:.2f} s its own,"
                              f" resync {told['resync_bytes'] / MIB:.0f} MiB")
        old, self.nexus = self.nexus, new
        self.load.move(new.socket)
        return old

    def nexus_is_killed(self, _):
        self.fio_goes()
        self.nexus.process.kill()
        self.take_over("killed")
        self.fio_comes()

    def nexus_is_killed_and_a_cable_cut(self, node):
        """Who cannot be fenced leaves the volume, and what the dead one was promised is waited for."""
        self.fio_goes()
        node.link(False)
        self.nexus.process.kill()
        self.take_over("killed, and a replica not to be had")
        self.fio_comes()
        self.suffer(0)
        node.link(True)

    def nexus_is_stopped(self, _):
        """It wakes up when another one owns the volume, with requests that nobody has answered yet."""
        self.fio_goes()
        writer, reader = (Nbd(self.nexus.socket, "v", 20) for _ in range(2))
        writer.do(WRITE, PROBE_BLOCK * BLOCK, BLOCK, pack(PROBE_BLOCK, 1))
        self.nexus.process.signal(STOP)
        time.sleep(0.05)
        writer.ask(WRITE, PROBE_BLOCK * BLOCK, BLOCK, pack(PROBE_BLOCK, 2))
        reader.ask(READ, PROBE_BLOCK * BLOCK, BLOCK)
        old = self.take_over("stopped")
        probe = Nbd(self.nexus.socket, "v", c.SECONDS)
        probe.do(WRITE, PROBE_BLOCK * BLOCK, BLOCK, pack(PROBE_BLOCK, 3))
        old.process.signal(CONT)
        for nbd, op in ((writer, WRITE), (reader, READ)):
            try:
                nbd.answer(op, BLOCK)
                raise c.Failure(f"a deposed nexus {'acknowledges a write' if op == WRITE else 'serves a read'}")
            except (Lost, Refused):
                pass
        if probe.do(READ, PROBE_BLOCK * BLOCK, BLOCK) != pack(PROBE_BLOCK, 3):
            raise c.Failure("a write of a deposed nexus landed")
        probe.close()
        old.until(lambda o: o.get("event") == "nexus" and o["state"] == "deposed")
        if old.process.end():
            raise c.Failure(f"the deposed nexus: {old.process.said[-3:]}")
        self.fio_comes()

    # ---- the play -----------------------------------------------------------------------------------

    KINDS = [node_is_killed, nexus_is_killed, bytes_are_held, cable_is_cut, nexus_is_stopped, node_is_stopped,
             nexus_is_killed_and_a_cable_cut, nothing_comes_back, nothing_arrives, connections_are_cut,
             wire_is_slow]

    def suffer(self, seconds):
        """The fault is there; requests go on nevertheless (a member may have its time-out first)."""
        start = time.monotonic()
        if not self.load.goes_on(1, 60):
            raise c.Failure(f"no request ends: {json.dumps(self.nexus.state())}")
        self.fio.check()
        time.sleep(max(0, start + seconds - time.monotonic()))

    def fault(self, kind):
        node = self.random.choice(self.cluster.storage)
        before = self.load.done()
        start = time.monotonic()
        kind(self, node)
        healed = time.monotonic()
        self.nexus.settle()
        if not self.load.goes_on(2):
            raise c.Failure("requests do not go on after the fault")
        self.fio.check()
        print(f"# {kind.__name__} {'' if kind.__name__.startswith('nexus') else node.name}: {healed - start:.1f} s,"
              f" restored after {time.monotonic() - healed:.1f} s more; {self.load.done() - before} requests", flush=True)
        if self.load.problems:
            raise c.Failure("; ".join(self.load.problems[:5]))

    def end(self):
        self.load.stop()
        self.fio.check(wait=True)
        self.fio_runs += self.fio.runs
        if self.load.problems:
            raise c.Failure("; ".join(self.load.problems[:5]))
        self.nexus.settle()
        if self.nexus.process.end():
            raise c.Failure(f"the nexus: {self.nexus.process.said[-3:]}")
        if not self.cluster.same_at_rest():
            raise c.Failure("replicas differ at rest")

    def figures(self):
        for line in self.takeovers:
            print(f"# takeover, {line}")
        print(f"# {self.load.done()} requests of clients, {sum(t.unknown for t in self.load.threads)} without outcome,"
              f" longest {max(t.longest for t in self.load.threads):.1f} s; {self.fio_runs} runs of fio with verify;"
              f" {self.load.errors} I/O errors", flush=True)


def play(nemesis, count, kinds):
    """TAP; the exit status."""
    bad = False
    number = 0
    try:
        for number in range(count):
            kind = kinds[number % len(kinds)]
            nemesis.fault(kind)
            print(f"ok {number + 1} - {kind.__name__}", flush=True)
        number = count
        nemesis.end()
        print(f"ok {count + 1} - all that was written is there, and replicas are equal", flush=True)
    except (c.Failure, AssertionError, Lost, Refused) as why:
        print(f"not ok {number + 1} - {why}", flush=True)
        for line in traceback.format_exc().splitlines() + [json.dumps(o) for o in nemesis.nexus.events[-30:]]:
            print(f"# {line}")
        bad = True
    nemesis.figures()
    sys.stdout.flush()
    nemesis.cluster.close()
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true", help="100 faults, with time-outs as they are by default")
    parser.add_argument("--faults", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    args = parser.parse_args()
    args.mayastor = os.path.abspath(args.mayastor)
    c.enter()
    count = args.faults or (100 if args.long else 7)
    kinds = [kind for kind in Nemesis.KINDS if not args.only or args.only in kind.__name__]
    print(f"1..{count + 1}", flush=True)
    os._exit(play(Nemesis(args), count, kinds))  # whoever still waits for something


if __name__ == "__main__":
    main()
