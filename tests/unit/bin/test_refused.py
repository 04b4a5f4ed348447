#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_refused - volumes that cannot be, by `mayastor nexus create` and by `mayactl nexus create`.

  test_refused.py MAYASTOR MAYACTL

RF1. Each is one line that names the thing, and an exit status that is not 0.
RF2. Nothing is written: not to a disk of the node that has the replicas, nor to a file, nor to the store.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

MAYASTOR, MAYACTL = sys.argv[1:3]
MIB = 1 << 20
OTHER = "nqn.2019-05.io.openebs:nobody"


class Node:
    """`mayastor daemon`."""

    def __init__(self, room, name, *options):
        self.name, self.addrs = name, {}
        self.log = open(f"{room}/{name}.log", "w+", encoding="utf-8")
        self.child = subprocess.Popen([MAYASTOR, "daemon", "-g", "127.0.0.1:0", "-N", name, "--state-dir", f"{room}/{name}",
                                       "--replica-port", "0", "--nexus-port", "0", *options], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=self.log, text=True)
        for line in self.child.stdout:
            words = line.split()
            if words == ["ready"]:
                return
            self.addrs[words[0]] = words[1]
        raise AssertionError(f"{name}: {self.child.wait()}")

    def ctl(self, line):
        return run([MAYACTL, "--node", self.addrs["grpc"], *line.split()])

    def good(self, line):
        done = self.ctl(line)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    def end(self):
        self.child.terminate()
        self.child.wait(60)
        self.child.stdout.close()
        self.log.close()


def run(argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=100)


def data_after(file, at):
    """What is a hole is not read; None: nothing more."""
    try:
        return os.lseek(file.fileno(), at, os.SEEK_DATA)
    except OSError:
        return None


class World:
    """A node with replicas, served; another one that shall have the volumes; a store of commands."""

    def __init__(self):
        self.room = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.files = [self.disk("pool", 128), self.disk("plain", 16), self.disk("busy", 128), self.disk("tiny", 1)]
        self.far, self.near = Node(self.room, "far"), Node(self.room, "near")
        self.far.good(f"pool create p {self.files[0]}")
        self.uri = {"plain": f"file://{self.files[1]}", "busy": f"file://{self.files[2]}", "tiny": f"file://{self.files[3]}"}
        for name, size in (("a", 8), ("b", 8), ("small", 4), ("taken", 8), ("mine", 8)):
            self.far.good(f"replica create {name} --pool p --size {size}MiB --share nvmf")
        told = json.loads(self.far.good("replica list -o json"))
        for replica in told if isinstance(told, list) else told["replicas"]:
            self.uri[replica["name"]] = replica["uri"]
        self.near.good(f"pool create q {self.files[2]}")
        self.near.good(f"nexus create mine --size 8MiB --child {self.uri['mine']}")
        self.store = f"sqlite://{self.room}/store"
        done = self.create(f"v {self.uri['taken']}")
        assert done.returncode == 0, done.stderr
        where, nqn = self.uri["a"].removeprefix("nvmf://").split("/", 1)
        self.uri.update(a_again=f"nvmf://{where}/{nqn.split('?')[0]}?timeout_ms=9000", wrong=f"nvmf://{where}/{OTHER}",
                        nobody=f"nvmf://127.0.0.1:1/{OTHER}?wait_ms=0")

    def disk(self, name, size):
        path = f"{self.room}/{name}.disk"
        with open(path, "wb") as file:
            file.truncate(size * MIB)
        return path

    def create(self, words):
        return run([MAYASTOR, "nexus", "create", *words.split(), *([] if "--store" in words else ["--store", self.store])])

    def seen(self):
        """What is on the disks, and what there is."""
        digest = hashlib.sha1()
        for path in self.files:
            with open(path, "rb", buffering=0) as file:
                end = 0
                while (at := data_after(file, end)) is not None:
                    end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                    digest.update(f"{path} {at} {end}".encode() + os.pread(file.fileno(), end - at, at))
        return (digest.hexdigest(), run([MAYASTOR, "nexus", "list", "--json", "--store", self.store]).stdout,
                self.near.good("nexus list -o json"))

    def close(self):
        self.near.end()
        self.far.end()
        shutil.rmtree(self.room)


# what, children, size or None for that of the children (mayactl is always told one), words of the line
CASES = [
    ("sizes_that_differ", "a small", None, "has room for 8388608 bytes, '"),
    ("the_same_device_twice", "a a", 8, "twice"),
    ("the_same_device_by_two_names", "a a_again", 8, "is already open with another 'timeout_ms'"),
    ("a_child_that_is_claimed", "a busy", 8, "busy.disk"),
    ("an_unreachable_one", "a nobody", 8, "127.0.0.1:1"),
    ("one_that_is_too_small", "a small", 8, "has room for 4194304 bytes, expected 8388608"),
    ("one_too_small_for_a_label", "a tiny", 1, "are too small"),
    ("a_wrong_nqn", "a wrong", 8, OTHER),
    ("a_replica_of_another_volume", "a taken", 8, "is a replica of volume"),
    ("a_replica_of_a_volume_elsewhere", "a mine", 8, "is a replica of volume"),
]


def judged(what, done, words, before, after):
    lines = done.stderr.splitlines()
    if done.returncode == 0 or len(lines) != 1 or words not in lines[0] or len(lines[0]) > 500:
        return f"{what}: {done.returncode} {done.stdout!r} {done.stderr!r}, expected one line with '{words}'"
    if before != after:
        return f"{what}: something was written"
    return None


def both(w, children, size, words):
    uris = [w.uri[name] for name in children.split()]
    before = w.seen()
    line = f"w {' '.join(uris)}{f' --size {size}MiB' if size else ''}"
    yield judged("mayastor", w.create(line), words, before, w.seen())
    if size:
        line = f"nexus create w --size {size}MiB {' '.join(f'--child {uri}' for uri in uris)}"
        yield judged("mayactl", w.near.ctl(line), words, before, w.seen())


def no_store(w):
    before = w.seen()
    yield judged("mayastor", w.create(f"w {w.uri['a']} --store sqlite:///none/none"), "/none/none", before, w.seen())
    done = run([MAYASTOR, "daemon", "-g", "127.0.0.1:0", "-N", "x", "--state-dir", f"{w.room}/x", "--replica-port", "0",
                "--nexus-port", "0", "-p", "sqlite:///none/none"])
    told = [line for line in done.stderr.splitlines() if "/none/none" in line]
    yield None if done.returncode == 2 and len(told) == 1 else f"a node without a store: {done.returncode} {done.stderr!r}"


def stale_generation(w):
    """A store out of a backup: the member that was told more says so."""
    w.create(f"old {w.uri['a']} {w.uri['b']}")
    serve = [MAYASTOR, "nexus", "serve", "old", "--store", w.store, "--json"]

    def serve_once(*lines):
        child = subprocess.Popen(serve, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        while '"ready"' not in child.stdout.readline():
            pass
        for line in (*lines, "quit"):
            child.stdin.write(line + "\n")
            child.stdin.flush()
        child.communicate(timeout=60)
        assert child.returncode == 0

    serve_once()
    shutil.copy(f"{w.room}/store", f"{w.room}/backup")
    serve_once(f"child offline {w.uri['b']}")
    for name in ("store-wal", "store-shm"):
        if os.path.exists(f"{w.room}/{name}"):
            os.unlink(f"{w.room}/{name}")
    shutil.copy(f"{w.room}/backup", f"{w.room}/store")
    before = w.seen()
    yield judged("mayastor", run(serve), "newer than the record's", before, w.seen())


def main():
    bad = 0
    cases = [(what, lambda w, args=args: both(w, *args)) for what, *args in CASES]
    cases += [("no_store", no_store), ("a_stale_generation", stale_generation)]
    print(f"1..{len(cases)}", flush=True)
    w = World()
    for number, (name, case) in enumerate(cases, 1):
        problems = [problem for problem in case(w) if problem]
        bad += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {name}", flush=True)
        for problem in problems:
            print(f"# {problem}", flush=True)
    w.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
