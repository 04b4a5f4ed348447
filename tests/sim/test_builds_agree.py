#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A seed is the same run in every build: compares the hashes of this build's `sim` with those of the
other builds beside it. One that is older than the sources is left out: it is another program.
"""
import glob
import os
import subprocess
import sys

SEEDS = "40"


def newest_source(top):
    return max(os.path.getmtime(os.path.join(where, name))
               for folder in ("src", "tests/sim") for where, _, names in os.walk(os.path.join(top, folder))
               for name in names if name.endswith((".c", ".h")))


def hashes(program, scenario):
    done = subprocess.run([program, "--hash", "--seeds", SEEDS, scenario], stdout=subprocess.PIPE,
                          text=True, check=False)
    return done.stdout


def main():
    own = os.path.realpath(sys.argv[1])
    top = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
    tail = os.path.relpath(own, top).split(os.sep)[2:]
    since = newest_source(top)
    others = [p for p in glob.glob(os.path.join(top, "build", "*", *tail))
              if os.path.realpath(p) != own and os.path.getmtime(p) > since]
    if not others:
        print("1..1\nok 1 - builds_agree # SKIP no other build is up to date")
        return 0
    cases = [(other, scenario) for other in others for scenario in ("disk", "net", "pool", "reactor")]
    print(f"1..{len(cases)}")
    bad = 0
    for number, (other, scenario) in enumerate(cases, 1):
        same = hashes(own, scenario) == hashes(other, scenario)
        bad += not same
        print(f"{'ok' if same else 'not ok'} {number} - {scenario}_is_the_same_in_"
              f"{os.path.relpath(other, top).split(os.sep)[1]}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
