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


def session(leader):
    """What runs of a session, but for daemons, which have their own."""
    done = subprocess.run(["ps", "-o", "stat=,pid=,args=", "-s", str(leader)], stdout=subprocess.PIPE, text=True)
    return "".join(line for line in done.stdout.splitlines() if not line.startswith("Z"))


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


def quickstart(interrupt_at, after=0.0):
    """Interrupted as by Ctrl-C: all programs in the foreground get it, and a second one follows."""
    before, rooms_before = running(), rooms()
    argv = [f"{TOP}/bench/quickstart", BUILD, "--seconds", "0.5", "--load", "14"] + ([] if interrupt_at else ["--once"])
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             start_new_session=True)
    out = ""
    for line in child.stdout:
        out += line
        if interrupt_at and interrupt_at in line:
            interrupt_at = None
            time.sleep(after)
            for _ in range(2):
                os.killpg(child.pid, signal.SIGINT)
                time.sleep(0.05)
    code = child.wait(timeout=300)
    time.sleep(0.1)
    if interrupt_at:
        return f"'{interrupt_at}' was never said\n{out[-1500:]}"
    if code:
        return f"exit status {code}\n{out[-3000:]}"
    left = session(child.pid)
    if left:
        return f"left behind: {left}\n{out[-1500:]}"
    if running() - before or rooms() - rooms_before:
        return f"left behind: {running() - before}, {rooms() - rooms_before}\n{out[-1500:]}"
    return None


if not shutil.which("fio"):
    print("1..0 # SKIP no fio")
    sys.exit(0)
POINTS = (("node-2", 0), ("node-3", 0.02), ("pool list", 0), ("nexus create", 0), ("What it does", 0.3), ("What it does", 3),
          ("killed while fio", 1), ("kill -9", 0), ("rebuild wait", 0), ("Ctrl-C ends it all", 0.2))
if "--interrupts" in sys.argv:  # all of them, by hand
    print(f"1..{len(POINTS)}")
    for number, (point, after) in enumerate(POINTS, 1):
        case(number, f"interrupted {after} s after '{point}'", quickstart(point, after))
    sys.exit(failed > 0)
print("1..4")
case(1, "the manual, typed", manual())
case(2, "the quick start", quickstart(None))
case(3, "the quick start, interrupted", quickstart("nexus create"))
case(4, "the quick start, interrupted under load", quickstart("What it does", 0.3))
sys.exit(failed > 0)
