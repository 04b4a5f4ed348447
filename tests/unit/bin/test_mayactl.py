#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_mayactl - what mayactl does without a node: help, usage, what was typed wrong, nobody there.

MA1. Wrong usage is one line that names the thing and what was expected; exit code 64; no node is asked.
MA2. Every verb has a row in docs/commands/mayactl.md, and every row is a verb.
MA3. Where no node answers, the line says where it was looked for; exit code 5; of several, each.
"""
import os
import re
import subprocess
import sys

PROGRAM = sys.argv[1]
PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "docs", "commands", "mayactl.md")
NOBODY = "unix:/nonexistent/mayactl.sock"

WRONG = [
    # words, what the line must say
    ("frob", "there is no 'frob'"),
    ("pool frob", "pool: there is no 'frob'"),
    ("pool list --frob", "there is no option '--frob'"),
    ("--frob pool list", "there is no option '--frob'"),
    ("pool create", "expected NAME DISK..."),
    ("pool create tank", "expected NAME DISK..."),
    ("pool list a b", "'b' is one too many, expected [POOL]"),
    ("device list x", "'x' is one too many, expected none"),
    ("pool create tank /dev/x --cluster", "--cluster needs SIZE"),
    ("pool create tank /dev/x --cluster=", "--cluster needs SIZE"),
    ("pool create tank /dev/x --cluster=7k7", "--cluster is '7k7', expected a size"),
    ("pool create tank /dev/x --uuid a --uuid b", "--uuid was given twice"),
    ("pool create tank /dev/x --size 1g", "there is no option '--size'"),
    ("replica create r", "--pool POOL is missing"),
    ("replica create r --pool p", "--size SIZE is missing"),
    ("replica create r --pool p --size 1x", "--size is '1x', expected a size"),
    ("replica create r --pool p --size 1g --share iscsi", "--share is 'iscsi', expected nvmf or none"),
    ("replica create r --pool p --size 1g --thick=yes", "--thick has no value"),
    ("nexus create n --size 1g", "--child URI is missing"),
    ("nexus create n --size 1g --child malloc:///m --cntlid 0-5", "expected MIN-MAX of 1 to 65519"),
    ("nexus create n --size 1g --child malloc:///m --cntlid 9-5", "expected MIN-MAX of 1 to 65519"),
    ("nexus create n --size 1g --child malloc:///m --resv-key x", "--resv-key is 'x', expected a number"),
    ("nexus ana n worse", "STATE is 'worse', expected optimized, non-optimized or inaccessible"),
    ("share create iscsi d", "DOOR is 'iscsi', expected nbd or nvmf"),
    ("events watch --since yesterday", "--since is 'yesterday', expected a number"),
    ("pool list -o csv", "-o is 'csv', expected table, wide or json"),
    ("pool list -o", "-o needs a value"),
    ("pool list --timeout 0", "--timeout is '0', expected seconds, 1 to 86400"),
    ("pool list --watch=never", "--watch is 'never', expected seconds"),
    ("pool list --node", "--node needs a value"),
    ("pool list --node " + "x" * 300, "expected HOST:PORT or unix:/PATH"),
    ("pool destroy p --node a --node b", "one node at a time"),
    ("pool list --cert c", "--cert and --key belong together, and to --ca"),
    ("pool list" + " --node a" * 17, "more than 16 nodes"),
    ("pool create p" + " d" * 64, "is one too many"),
    ("nexus create n --size 1g" + " --child malloc:///m" * 65, "more than 64 times --child"),
]

failed = 0
count = 0


def case(name, problem):
    global failed, count
    count += 1
    failed += bool(problem)
    print(f"{'not ok' if problem else 'ok'} {count} - {name}{': ' + problem if problem else ''}")


def run(words):
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60)
    errors = [line for line in done.stderr.splitlines() if line.startswith("mayactl")]
    return done.returncode, done.stdout, errors


def wrong_usage(words, said):
    code, out, errors = run(words.split())
    if code != 64 or out:
        return f"exit code {code}, {len(out)} bytes on standard output"
    if len(errors) != 1 or said not in errors[0]:
        return f"said {errors}"
    return None


def verbs():
    _, out, _ = run(["--help"])
    found = set()
    for noun in re.findall(r"^  (\w+) +\w", out.split("\n\nGlobal")[0], re.M):
        _, text, _ = run([noun, "--help"])
        for line in text.splitlines()[2:]:
            found.add(f"{noun} {re.match(r'  (.*?)(?:  |$)', line)[1]}")
    return found


def documented():
    with open(PAGE, encoding="utf-8") as file:
        return set(re.findall(r"^\| `([a-z]+ [^`]+)` \|", file.read(), re.M))


def help_of_each(found):
    for verb in sorted(found):
        code, out, errors = run(verb.split()[:2] + ["--help"])
        if code or errors or f"Usage: mayactl {verb}" not in out:
            return f"{verb}: exit code {code}"
    return None


def nobody_there():
    code, out, errors = run(["--node", NOBODY, "pool", "list"])
    if code != 5 or out or len(errors) != 1 or NOBODY not in errors[0] or "is mayastor running there?" not in errors[0]:
        return f"exit code {code}, said {errors}"
    code, out, errors = run(["--node", NOBODY, "--node", NOBODY + "2", "nexus", "list", "-o", "json"])
    if code != 5 or out or len(errors) != 2:
        return f"of two: exit code {code}, {out!r}, said {errors}"
    return None


for text, expected in WRONG:
    case(f"wrong: {text[:60]}", wrong_usage(text, expected))
all_verbs = verbs()
case("there are verbs", None if len(all_verbs) > 50 else f"{len(all_verbs)}")
case("verbs and their documentation", str(all_verbs ^ documented()) if all_verbs != documented() else None)
case("each verb has help", help_of_each(all_verbs))
case("nobody is there", nobody_there())
print(f"1..{count}")
sys.exit(failed > 0)
