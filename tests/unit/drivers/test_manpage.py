#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every page of docs/drivers/ and docs/commands/ becomes a manual page that groff has nothing to say about."""
import glob
import os
import shutil
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
pages = sorted(glob.glob(os.path.join(ROOT, "docs", "drivers", "*.md")) +
               glob.glob(os.path.join(ROOT, "docs", "commands", "*.md")))
SECTION = {"drivers": ('.SH "PARAMETERS"',), "commands": ('.SH "VERBS"', '.SH "DOORS"', '.SH "OPTIONS"')}
groff = shutil.which("groff")
failed = 0
print(f"1..{len(pages)}")
for number, path in enumerate(pages, 1):
    folder, name = path.split(os.sep)[-2:]
    made = subprocess.run([os.path.join(ROOT, "tools", "manpage"), path], capture_output=True, text=True)
    good = made.returncode == 0 and ".SH NAME" in made.stdout and any(section in made.stdout for section in SECTION[folder])
    words = made.stderr
    if good and groff:
        shown = subprocess.run([groff, "-man", "-ww", "-z", "-Tutf8"], input=made.stdout,
                               capture_output=True, text=True)
        words = shown.stderr
        good = shown.returncode == 0 and not words
    failed += not good
    skip = "" if groff or not good else " # SKIP no groff: only converted"
    print(f"{'ok' if good else 'not ok'} {number} - {name}{skip}")
    for line in words.splitlines():
        print(f"# {line}")
sys.exit(failed > 0)
