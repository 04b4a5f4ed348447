#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_docs - README.md and docs/*.md promise nothing that is not there.

O1. A command in a ```sh block begins with `make TARGET` that the Makefile has,
    or with a path of the repository (build/KIND/... is checked against the
    build's own targets), or with a tool of the system that says so (sudo, cd).
O2. A path in `backticks` that begins with a folder of the repository exists.
O3. A link to a file leads to one.
"""
import glob
import json
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOREIGN = {"git", "cd", "sudo", "apt-get", "truncate", "rm", "fio", "echo", "cat", "ninja", "meson", "mkdir", "sleep", "kill",
           "wait", "mayastor", "mayactl"}


def make_targets():
    with open(f"{TOP}/Makefile", encoding="utf-8") as text:
        return set(re.findall(r"^([a-z-]+):", text.read(), re.M))


def built(build):
    """Paths of all executables of this build, relative to its root."""
    if not build:
        return None
    out = subprocess.run(["meson", "introspect", "--targets", build], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {os.path.relpath(t["filename"][0], build) for t in json.loads(out) if t["type"] == "executable"}


def command_problem(line, targets, binaries):
    words = [w for w in line.split() if not re.match(r"[A-Z_]+=", w)]
    if words[:1] == ["sudo"]:
        words = words[1:]
    if not words:
        return None
    if words[0] == "make":
        missing = [w for w in words[1:] if "=" not in w and not w.startswith("-") and w not in targets]
        return missing and f"no make target {missing[0]}"
    kind = re.match(r"(?:\./)?build/\w+/(.+)", words[0])
    if kind:
        return binaries is not None and kind[1] not in binaries and f"no program {words[0]} is built"
    if "/" in words[0]:
        return not os.access(os.path.join(TOP, words[0]), os.X_OK) and f"no program {words[0]}"
    return words[0] not in FOREIGN and f"unknown command {words[0]}"


def problems_of(path, targets, binaries):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.split("#", 1)[0].strip()
            problem = line and command_problem(line, targets, binaries)
            if problem:
                yield f"`{line}`: {problem}"
    prose = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    for name in re.findall(r"`((?:src|tools|tests|bench|docs|proto|deploy)/[\w./*-]*)`", prose):
        if not glob.glob(os.path.join(TOP, name)):
            yield f"`{name}`: no such file"
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        if not os.path.exists(os.path.join(os.path.dirname(path), link)):
            yield f"({link}): no such file"


def main():
    targets = make_targets()
    binaries = built(sys.argv[1] if len(sys.argv) > 1 else None)
    pages = [f"{TOP}/README.md", *sorted(glob.glob(f"{TOP}/docs/**/*.md", recursive=True))]
    bad = 0
    print(f"1..{len(pages)}")
    for number, page in enumerate(pages, 1):
        problems = list(problems_of(page, targets, binaries))
        bad += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {os.path.relpath(page, TOP)} keeps its promises")
        for problem in problems:
            print(f"#   {problem}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
