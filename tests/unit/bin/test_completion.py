#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_completion - the completion of mayactl in bash, asked as bash asks it; the names a node has are made up.

  test_completion.py MAYACTL
"""
import os
import shutil
import subprocess
import sys

PROGRAM = sys.argv[1]
SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "deploy", "completion", "mayactl.bash")
# each line typed so far (the last word may be empty): what is offered
CASES = [
    ("mayactl po", "pool"),
    ("mayactl s", "snapshot share stats"),
    ("mayactl pool ", "list show create import export grow add-disk check destroy"),
    ("mayactl rebuild st", "start stop"),
    ("mayactl nosuch ", ""),
    ("mayactl -o ", "table wide json"),
    ("mayactl --t", "--timeout"),
    ("mayactl pool create --cl", "--cluster"),
    ("mayactl replica create --th", "--thick"),
    ("mayactl pool show ", "tank tin"),
    ("mayactl pool destroy ti", "tin"),
    ("mayactl pool list -o wide ti", "tin"),
    ("mayactl --node 10.0.0.1:5 pool show ta", "tank@10.0.0.1:5"),
    ("mayactl replica create x --size 1 --pool ta", "tank"),
    ("mayactl nexus show ", "n"),
    ("mayactl pool create ti", ""),
    ("mayactl pool import ti", ""),
    ("mayactl pool add-disk ti", "tin"),
    (f"mayactl pool add-disk --force tank {SCRIPT[:-2]}", SCRIPT),
    ("mayactl bdev share --allow nqn.x m", "m0"),
    ("mayactl replica resize ", "r"),
    ("mayactl snapshot destroy ", "s0"),
    ("mayactl snapshot clone s0 s0", ""),
    ("mayactl --output json pool show ti", "tin"),
    ("mayactl --timeout 3 pool show ti", "tin"),
    ("mayactl --node 10.0.0.1:5 replica create x --size 1 --pool ta", "tank@10.0.0.1:5"),
    ("mayactl pool show --he", "--help"),
    (f"mayactl --ca {SCRIPT[:-2]}", SCRIPT),
    (f"mayactl --cert {SCRIPT[:-2]}", SCRIPT),
    (f"mayactl --key {SCRIPT[:-2]}", SCRIPT),
    (f"mayactl pool check {SCRIPT[:-2]}", SCRIPT),
]
ASK = """
mayactl() {
	case "$*" in
	*"--node 10.0.0.1:5"*"--timeout 2 pool list") printf 'NAME STATE\\ntank@10.0.0.1:5 x\\n' ;;
	*"--timeout 2 pool list") printf 'NAME STATE\\ntank online\\ntin online\\n' ;;
	*"--timeout 2 nexus list") printf 'NAME\\nn\\n' ;;
	*"--timeout 2 replica list") printf 'NAME\\nr\\n' ;;
	*"--timeout 2 snapshot list") printf 'NAME\\ns0\\n' ;;
	*"--timeout 2 bdev list") printf 'NAME\\nm0\\n' ;;
	*) "$PROGRAM" "$@" ;;
	esac
}
. "$SCRIPT"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_mayactl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def offered(line):
    words = []
    for word in line.split(" "):  # readline breaks words at colons as well
        parts = word.split(":")
        words += [parts[0], *[x for part in parts[1:] for x in (":", part)]]
    done = subprocess.run(["bash", "-c", ASK, "bash", *words], env={**os.environ, "PROGRAM": PROGRAM, "SCRIPT": SCRIPT}, capture_output=True,
                          text=True, timeout=60, check=True)
    return done.stdout.split(), done.stderr


if not shutil.which("bash"):
    print("1..1\nok 1 - completion # SKIP no bash")
    sys.exit(0)
print(f"1..{len(CASES)}")
failed = 0
for number, (line, expected) in enumerate(CASES, 1):
    found, errors = offered(line)
    good = found == expected.split() and not errors
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {os.path.basename(line)}" + ("" if good else f": {found} {errors}"))
sys.exit(failed > 0)
