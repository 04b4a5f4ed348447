#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_cluster - the lines of docs/manual-cluster.md are typed; `make quickstart` is played, and interrupted.

TC1. Every line of the manual succeeds, in order, in one shell; and nothing of it runs any more at the end.
TC2. The quick start ends well, and after it (or after an interrupt in the middle of it) no process of it and no
     directory is left.
"""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(sys.argv[1])
PATH = f"{BUILD}/src/bin:{BUILD}/src/bin/mayactl:{os.environ['PATH']}"
failed = 0


def case(number, name, problem):
    global failed
    failed += bool(problem)
    print(f"{'not ok' if problem else 'ok'} {number} - {name}", flush=True)
    for line in (problem or "").splitlines():
        print(f"# {line}")


def running():
    """Daemons of this build, by pid."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/exe"):
        try:
            if os.readlink(path).split(" ")[0] == f"{BUILD}/src/bin/mayastor":
                found.add(int(path.split("/")[2]))
        except OSError:
            continue
    return found


def rooms():
    return set(glob.glob("/var/tmp/mayastor.*"))


def ready(node):
    return f"for try in $(seq 200); do mayactl --node 127.0.0.{node} node show >/dev/null 2>&1 && break; sleep 0.2; done\n"


def typed():
    with open(f"{TOP}/docs/manual-cluster.md", encoding="utf-8") as file:
        blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.S | re.M)
    lines = "".join(blocks).replace("make build\n", "").replace("/var/tmp/cluster", f"/var/tmp/cluster-{os.getpid()}")
    # the pauses of the manual are for people: a slow machine gets as long as it needs
    lines = lines.replace("sleep 3\n", "".join(ready(node) for node in (1, 2, 3)))
    lines = lines.replace("mayactl rebuild wait data", ready(3) + "mayactl rebuild wait data")
    return f"set -e -m\n{lines}".replace("kill %1 %2 %3\nwait\n", "kill $(jobs -p); wait || true\n")


def manual():
    before = running()
    shell = subprocess.Popen(["bash", "-x", "-c", typed()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env={**os.environ, "PATH": PATH}, cwd="/", start_new_session=True)
    try:
        out, _ = shell.communicate(timeout=400)
    except subprocess.TimeoutExpired:
        out = "it does not end"
    left = running() - before
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    logs = "".join(open(path, encoding="utf-8").read() for path in glob.glob(f"/var/tmp/cluster-{os.getpid()}/*.log"))
    shutil.rmtree(f"/var/tmp/cluster-{os.getpid()}", ignore_errors=True)
    if shell.returncode:
        return f"exit status {shell.returncode}\n{out[-3000:]}\n{logs}"
    if "nexus 'data' is healthy" not in out:
        return f"the volume is not whole again\n{out[-3000:]}"
    return f"{len(left)} processes are left" if left else None


def quickstart(interrupt_at):
    before, rooms_before = running(), rooms()
    child = subprocess.Popen([f"{TOP}/bench/quickstart", BUILD, "--once", "--seconds", "0.5", "--load", "14"],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    out = ""
    for line in child.stdout:
        out += line
        if interrupt_at and interrupt_at in line:
            child.send_signal(signal.SIGINT)
            interrupt_at = None
    code = child.wait(timeout=300)
    time.sleep(0.1)
    if code:
        return f"exit status {code}\n{out[-3000:]}"
    if running() - before or rooms() - rooms_before:
        return f"left behind: {running() - before}, {rooms() - rooms_before}\n{out[-1500:]}"
    return None


if not shutil.which("fio"):
    print("1..0 # SKIP no fio")
    sys.exit(0)
print("1..3")
case(1, "the manual, typed", manual())
case(2, "the quick start", quickstart(None))
case(3, "the quick start, interrupted", quickstart("nexus create"))
sys.exit(failed > 0)
