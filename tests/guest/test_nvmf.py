#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_nvmf - the Linux kernel's own NVMe/TCP host, in the guest, against our target on this machine.

  test_nvmf.py MAYASTOR [--long] [--sections "connections commands ..."] [--keep DIR]

The target serves two files (512 and 4096 bytes a block) and two thin replicas of one pool, which
cannot both be full, on a loopback port; the guest reaches it
as 10.0.2.2 and runs nvmf.sh, all sections in one boot. Each of its checks is a TAP case here, and
so is each field of what nvme-cli printed as JSON (FIELDS). --long: 100 connection losses and
10 minutes of fio instead of 5 losses and seconds.

The guest asks for what only this side can do (ask() in nvmf.sh): cut connections in a proxy,
grow, remove and return a namespace by commands on the target's standard input.
"""
import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NQN = "nqn.2026-01.io.mayastor:guest"
HOSTID = "5e7a0000-0000-4000-8000-00000000aaaa"
HOSTNQN = f"nqn.2014-08.org.nvmexpress:uuid:{HOSTID}"
SECTIONS = "connections commands reservations file_systems pool_space changes losses"
SIZE = 512 << 20
GROW = 64 << 20
SKIPPED = 77
PROGRAMS = {"nvme": "nvme-cli", "fio": "fio", "mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs", "mkfs.ext4": "e2fsprogs"}


class Target:
    """`mayastor export nvmf`, its standard input and output."""

    def __init__(self, mayastor, directory):
        self.files = [f"{directory}/disk1", f"{directory}/disk2"]
        for path in self.files:
            with open(path, "wb") as file:
                file.truncate(SIZE)
        self.uris = [f"file://{self.files[0]}", f"file://{self.files[1]}?blk_size=4096"]
        pool = f"{directory}/pool"
        with open(pool, "wb") as file:
            file.truncate(128 << 20)
        self.make(mayastor, "pool", "create", "thin", pool)
        for name in ("a", "b"):
            self.make(mayastor, "replica", "create", f"thin/{name}", "--size", "100MiB", pool)
            self.uris.append(f"pool:///thin/{name}")
        self.child = subprocess.Popen(
            [mayastor, "export", "nvmf", "--listen", "127.0.0.1:0", "--pool", pool, "--nqn", NQN,
             *(word for uri in self.uris for word in ("--ns", uri))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = None
        for line in self.child.stdout:
            match = re.search(r"nvme connect .* -s (\d+)", line)
            if match:
                self.port = int(match[1])
                break

    @staticmethod
    def make(*argv):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            print(f"# {' '.join(argv)}: {done.stdout}")

    def tell(self, command):
        """One command; its answer."""
        try:
            self.child.stdin.write(command + "\n")
            self.child.stdin.flush()
            while line := self.child.stdout.readline().strip():
                if line == "ok" or line.startswith("error"):
                    return line
            return "no answer"
        except OSError as why:
            return str(why)

    def resize(self, nsid):
        path = self.files[nsid - 1]
        os.truncate(path, os.path.getsize(path) + GROW)
        return self.tell(f"ns rescan {nsid}")

    def used(self):
        return sum(os.stat(path).st_blocks * 512 for path in self.files)

    def stop(self):
        self.child.terminate()
        try:
            return self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return "killed"


class Proxy:
    """Passes connections on to a port, until they are cut."""

    def __init__(self, to_port):
        self.to_port = to_port
        self.lock = threading.Lock()
        self.pairs = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.to_port))
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((near, far))
            threading.Thread(target=self.carry, args=(near, far), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near), daemon=True).start()

    @staticmethod
    def carry(source, sink):
        try:
            while data := source.recv(1 << 18):
                sink.sendall(data)
        except OSError:
            pass
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """In the middle of whatever moves."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for side in pair:
                try:
                    side.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        return "ok"


class Helper(threading.Thread):
    """Answers what the guest asks for."""

    def __init__(self, io, target, proxy):
        super().__init__(daemon=True)
        self.io, self.target, self.proxy = io, target, proxy
        self.used = {}

    def do(self, verb, arg):
        if verb == "cut":
            return self.proxy.cut()
        if verb == "used":
            time.sleep(0.5)
            self.used[arg] = self.target.used()
            return "ok"
        if verb == "resize":
            return self.target.resize(int(arg))
        if verb == "remove":
            return self.target.tell(f"ns remove {arg}")
        if verb == "add":
            return self.target.tell(f"ns add {self.target.uris[int(arg) - 1]} {arg}")
        return "what?"

    def run(self):
        while True:
            time.sleep(0.02)
            try:
                with open(f"{self.io}/ask", encoding="utf-8") as file:
                    words = file.read().split() + ["", ""]
                os.unlink(f"{self.io}/ask")
            except OSError:
                continue
            answer = self.do(words[0], words[1])
            with open(f"{self.io}/answer.new", "w", encoding="utf-8") as file:
                file.write(answer + "\n")
            os.rename(f"{self.io}/answer.new", f"{self.io}/answer")


def has(bits):
    return lambda value: value & bits == bits


def lacks(bits):
    return lambda value: value & bits == 0


def some(value):
    return bool(value) and str(value).strip(" 0") != ""


# What nvme-cli decodes: file, path in it, what it must be (a value, or a function of it).
FIELDS = [
    ("id_ctrl", "sn", some), ("id_ctrl", "mn", lambda v: v.startswith("Mayastor")), ("id_ctrl", "fr", some),
    ("id_ctrl", "cmic", has(0x2)), ("id_ctrl", "mdts", 8), ("id_ctrl", "cntlid", lambda v: 0 < v < 0xfff0),
    ("id_ctrl", "ver", lambda v: v >= 0x10400), ("id_ctrl", "oaes", has(0x100)), ("id_ctrl", "ctratt", has(1)),
    ("id_ctrl", "cntrltype", 1), ("id_ctrl", "oacs", lacks(0x1ff)), ("id_ctrl", "lpa", has(4)),
    ("id_ctrl", "kas", lambda v: v > 0), ("id_ctrl", "sqes", 0x66), ("id_ctrl", "cqes", 0x44),
    ("id_ctrl", "maxcmd", lambda v: v >= 128), ("id_ctrl", "nn", lambda v: v >= 2), ("id_ctrl", "oncs", has(0xd)),
    ("id_ctrl", "oncs", lacks(0x182)), ("id_ctrl", "fuses", 0), ("id_ctrl", "sgls", has(0x200001)),
    ("id_ctrl", "subnqn", NQN), ("id_ctrl", "ioccsz", 1028), ("id_ctrl", "iorcsz", 1), ("id_ctrl", "icdoff", 0),
    ("id_ctrl", "fcatt", 0), ("id_ctrl", "msdbd", lambda v: v >= 1),
    ("id_ns1", "nsze", SIZE // 512), ("id_ns1", "ncap", SIZE // 512), ("id_ns1", "nuse", lambda v: v <= SIZE // 512),
    ("id_ns1", "mc", 0), ("id_ns1", "dpc", 0), ("id_ns1", "dps", 0), ("id_ns1", "nmic", has(1)),
    ("id_ns1", "nguid", some), ("id_ns1", "lbafs.0.ds", 9), ("id_ns1", "lbafs.0.ms", 0),
    ("id_ns2", "nsze", SIZE // 4096), ("id_ns2", "lbafs.0.ds", 12), ("id_ns2", "nguid", some),
    ("list_ns", "nsid_list.0.nsid", 1), ("list_ns", "nsid_list.1.nsid", 2),
    ("smart_log", "critical_warning", 0), ("smart_log", "avail_spare", lambda v: v <= 100),
    ("smart_log", "media_errors", lambda v: int(v) == 0),
    ("fw_log", "*", some), ("ana_log", "*", some),
    ("discover", "records.0.trtype", "tcp"), ("discover", "records.0.adrfam", "ipv4"),
    ("discover", "*", lambda v: any(r.get("subnqn") == NQN for r in v["records"])),
    ("resv_report", "regctl", 2), ("resv_report", "rtype", 1),
    ("resv_after", "regctl", 1), ("resv_after", "rtype", 2),
]


def field(data, path):
    for word in path.split("."):
        if word != "*":
            data = data[int(word)] if isinstance(data, list) else data[word]
    return data


class Tap:
    def __init__(self):
        self.count = 0

    def case(self, good, name, why=""):
        self.count += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {name}")
        if not good and why:
            print("".join(f"# {line}\n" for line in str(why).splitlines()), end="")

    def skip(self, name):
        self.count += 1
        print(f"ok {self.count} - {name}")


def check_fields(tap, io):
    cache = {}
    for name, path, want in FIELDS:
        if name not in cache:
            try:
                with open(f"{io}/{name}.json", encoding="utf-8") as file:
                    cache[name] = json.load(file)
            except (OSError, ValueError):
                cache[name] = None  # its command was not run, or said so itself
        if cache[name] is None:
            continue
        try:
            value = field(cache[name], path)
        except (KeyError, IndexError, TypeError) as why:
            tap.case(False, f"{name}: {path}", f"missing: {why!r}")
            continue
        good = want(value) if callable(want) else value == want
        tap.case(good, f"{name}: {path}", f"it is {value!r}")


def check_used(tap, used):
    """fstrim gave back what was deleted."""
    for kind in ("ext4", "xfs", "btrfs"):
        if f"filled-{kind}" in used and f"trimmed-{kind}" in used:
            freed = used[f"filled-{kind}"] - used[f"trimmed-{kind}"]
            tap.case(freed >= 24 << 20, f"{kind}: fstrim frees space", f"{freed} bytes of the 42 MiB deleted")


def pass_on(tap, output):
    """The guest's checks as our cases; False if there was none."""
    seen = 0
    for line in output.splitlines():
        match = re.match(r"(not )?ok - (.*)", line)
        if match:
            seen += 1
            tap.case(not match[1], match[2])
        elif line.startswith("#"):
            print(line)
    return seen > 0


def run(args, directory, io):
    target = Target(args.mayastor, directory)
    if not target.port:
        print(f"1..1\nnot ok 1 - the target starts (status {target.stop()})")
        return 1
    proxy = Proxy(target.port)
    env = {"ADDR": "10.0.2.2", "PORT": target.port, "LOSSY": proxy.port, "NQN": NQN, "HOSTNQN": HOSTNQN,
           "HOSTID": HOSTID, "LOSSES": 100 if args.long else 5, "FIO": 150 if args.long else 1, "LONG": int(args.long),
           "SECTIONS": f'"{args.sections}"'}
    with open(f"{io}/env", "w", encoding="utf-8") as file:
        file.write("".join(f"{key}={value}\n" for key, value in env.items()))
    helper = Helper(io, target, proxy)
    helper.start()
    seconds = 4000 if args.long else 1000
    done = subprocess.run([f"{HERE}/guest", "run", "--cpus", "2", "--mem", "1536", "--io", io, "--timeout", str(seconds),
                           f"{HERE}/nvmf.sh"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace")
    if done.returncode == SKIPPED and done.stdout.startswith("skip: "):
        target.stop()
        print(f"1..0 # SKIP {done.stdout.removeprefix('skip: ').strip()}")
        return 0
    tap = Tap()
    tap.case(pass_on(tap, done.stdout) and done.returncode == 0, "the boot ends well",
             f"status {done.returncode}\n{done.stderr[-3000:]}")
    check_fields(tap, io)
    check_used(tap, helper.used)
    tap.case(target.child.poll() is None, "the target runs to the end")
    status = target.stop()
    tap.case(status == 0, "the target stops", f"status {status}")
    print(f"1..{tap.count}")
    return 0


def main():
    parser = argparse.ArgumentParser(description="the Linux host against our target")
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--sections", default=SECTIONS)
    parser.add_argument("--keep", help="directory for what the guest leaves")
    args = parser.parse_args()
    for program, package in PROGRAMS.items():
        if not shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"):
            print(f"1..0 # SKIP {program} is missing (package {package})")
            return 0
    with tempfile.TemporaryDirectory(prefix="nvmf.") as directory:
        io = args.keep or f"{directory}/io"
        os.makedirs(io, exist_ok=True)
        return run(args, directory, io)


if __name__ == "__main__":
    sys.exit(main())
