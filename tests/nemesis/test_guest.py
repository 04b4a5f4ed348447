#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_guest - the faults of test_nemesis.py under the Linux kernel's own NVMe/TCP host.

  test_guest.py MAYASTOR [--long] [--faults N] [--seed N] [--only KIND]

A guest (tests/guest) has the volume by multipath: a path to the nexus that serves, another one when there
is another. fio with verify never ends badly, whatever happens to nodes, wires and nexuses, and its kernel
has no error to tell of the disk (of paths it has).
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import cluster as c
from test_nemesis import CONT, STOP, Nemesis, play

GUEST = f"{c.HERE}/../guest/guest"
HOSTID = "5e7a0000-0000-4000-8000-00000000bbbb"
UUID = "6e656d65-7369-4000-8000-000000000001"
SKIPPED = 77
# what 6.1 says when somebody who uses the disk is given an error
DISK_ERRORS = re.compile(r"failing I/O|Buffer I/O error|I/O error, dev nvme\d+n\d")


class Guest:
    """What Nemesis asks of a load, and of fio."""

    def __init__(self, addresses, seconds):
        self.io = tempfile.mkdtemp(prefix="nemesis-guest.")
        self.problems, self.errors, self.runs, self.threads = [], 0, 0, []
        env = {"ADDRS": f'"{" ".join(addresses)}"', "NQN": f"nqn.2019-05.io.openebs:{UUID}", "HOSTID": HOSTID,
               "HOSTNQN": f"nqn.2014-08.org.nvmexpress:uuid:{HOSTID}"}
        with open(f"{self.io}/env", "w", encoding="utf-8") as file:
            file.write("".join(f"{key}={value}\n" for key, value in env.items()))
        self.out = open(f"{self.io}/told", "w+", encoding="utf-8")
        self.child = subprocess.Popen([GUEST, "run", "--cpus", "2", "--mem", "1024", "--io", self.io, "--timeout",
                                       str(seconds), f"{c.HERE}/guest.sh"], stdin=subprocess.DEVNULL, stdout=self.out,
                                      stderr=subprocess.STDOUT)

    def done(self):
        try:
            with open(f"{self.io}/stat", encoding="utf-8") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def goes_on(self, count, seconds=180):
        """An emulated machine, and time-outs of a kernel."""
        least = self.done() + 10 * count
        until = time.monotonic() + seconds
        while self.done() < least:
            if time.monotonic() > until or self.child.poll() is not None or os.path.exists(f"{self.io}/failed"):
                self.problems.append(self.told()[-3000:])
                return False
            time.sleep(0.2)
        return True

    def told(self):
        with open(f"{self.io}/told", encoding="utf-8", errors="replace") as file:
            return file.read()

    def check(self, wait=False):
        if os.path.exists(f"{self.io}/failed"):
            raise c.Failure(self.told()[-3000:])

    def move(self, _):
        pass

    def stop(self):
        with open(f"{self.io}/enough", "w", encoding="utf-8"):
            pass
        status = self.child.wait(600)
        for line in self.told().splitlines():
            print(f"# guest: {line}")
        if status:
            raise c.Failure(f"the guest ends with {status}")
        with open(f"{self.io}/dmesg", encoding="utf-8", errors="replace") as file:
            told = file.read().splitlines()
        bad = [line for line in told if DISK_ERRORS.search(line)]
        if bad:
            raise c.Failure(f"{len(bad)} I/O errors in the guest: {'; '.join(bad[:3])}")
        print(f"# the guest's kernel: {sum('econnect' in line for line in told)} lines of paths that come and go,"
              f" {len(bad)} I/O errors of the disk")


class GuestNemesis(Nemesis):
    def __init__(self, args):
        args.long = True  # time-outs as they are by default
        super().__init__(args, volume=UUID)

    def serve(self, where):
        return c.Nexus(self.cluster, where, ["--listen", f"10.9.0.{20 + int(where[1])}:4421"])

    def begin(self):
        self.load = self.fio = Guest(["10.9.0.21", "10.9.0.22"], 900 + 90 * self.args.faults)
        if not self.load.goes_on(1, 400):
            raise c.Failure(f"the guest does not begin: {self.load.told()[-2000:]}")

    def fio_goes(self):
        pass

    def fio_comes(self):
        pass

    def nexus_is_stopped(self, _):
        """Its hosts find the other one; it wakes up, and learns that it is deposed when it is asked for something."""
        self.nexus.process.signal(STOP)
        old = self.take_over("stopped")
        self.suffer(1)
        old.process.signal(CONT)
        self.suffer(2)
        if old.process.end():
            raise c.Failure(f"the deposed nexus: {old.process.said[-3:]}")

    def figures(self):
        for line in self.takeovers:
            print(f"# takeover, {line}")
        self.load.child.terminate()
        shutil.rmtree(self.load.io, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true", help="100 faults")
    parser.add_argument("--faults", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    args = parser.parse_args()
    args.mayastor = os.path.abspath(args.mayastor)
    args.faults = args.faults or (100 if args.long else 20)
    if os.environ.get("NEMESIS") != "inside":
        done = subprocess.run([GUEST, "prepare"], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode == SKIPPED:
            print(f"1..0 # SKIP {done.stdout.removeprefix('skip: ').strip()}")
            return 0
    c.enter()
    names = [kind.__name__ for kind in Nemesis.KINDS if not args.only or args.only in kind.__name__]
    kinds = [getattr(GuestNemesis, name) for name in names]
    print(f"1..{args.faults + 1}", flush=True)
    os._exit(play(GuestNemesis(args), args.faults, kinds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
