#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_load - the short form of bench/node: mixed calls beside fio, a node that rests, many replicas, many connections.

  test_load.py BUILD [leaks]

TL1. Every call is answered, and right; what fio has written is there; the node stops by itself and well (LeakSanitizer looks).
TL2. With "leaks" (a build without sanitizers): the node's memory does not grow beyond what caches take.
TL3. Times are told, and not judged.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node  # noqa: F401
except ImportError as error:
    tap.skip("node_load", error)

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD, LEAKS = sys.argv[1], "leaks" in sys.argv[2:]
GROWTH_MIB = 8
failed = 0


def part(number, name, only, judge, *more):
    global failed
    with tempfile.TemporaryDirectory() as room:
        done = subprocess.run([f"{TOP}/bench/node", BUILD, "--quick", "--only", only, "--json", f"{room}/out", "--dir", room, *more],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        problem = f"exit status {done.returncode}"
        if done.returncode == 0:
            with open(f"{room}/out", encoding="utf-8") as file:
                problem = judge(json.load(file)[only])
    failed += bool(problem)
    print("# " + done.stdout.strip().replace("\n", "\n# "))
    print(f"{'not ok' if problem else 'ok'} {number} - {name}", flush=True)
    if problem:
        print(f"# {problem}")


def load(found):
    if LEAKS and found["growth_mib"] > GROWTH_MIB:
        return f"the node has grown by {found['growth_mib']:.1f} MiB"
    return None if found["calls"] > 100 else f"{found['calls']} calls only"


def clients(found):
    answered = found["answers"].get("answered", 0)
    return None if answered >= 200 else f"{answered} connections were answered"


if not shutil.which("fio"):
    tap.skip("node_load", "no fio")
print("1..4")
part(1, "calls beside io are answered right and leave nothing", "load", load, "--busy", *([] if LEAKS else ["--seconds", "10"]))
part(2, "a node rests", "idle", lambda found: "too large" if LEAKS and found["rss_mib"] > 64 else None, "--rest", "2")
part(3, "a hundred replicas come back", "start", lambda found: None)
part(4, "a thousand connections at once do no harm", "clients", clients)
sys.exit(failed > 0)
