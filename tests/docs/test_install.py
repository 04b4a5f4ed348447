#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_install - what `make install` puts where, and that the service is one systemd understands.

IN1. Programs, the completion of mayactl, a manual page for each page of docs/commands and docs/drivers, the service and its user.
IN2. Nothing outside of DESTDIR is touched, and nothing is installed that is not named here.
IN3. systemd has nothing to say about the service, once its program is where it should be.
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = sys.argv[1]


def names(folder):
    return {os.path.basename(p)[:-3] for p in glob.glob(f"{TOP}/docs/{folder}/*.md")}


def expected():
    files = {f"share/man/man1/mayastor-{n}.1".replace("mayastor-mayactl", "mayactl") for n in names("commands")}
    files |= {f"share/man/man7/mayastor-bdev-{n}.7" for n in names("drivers")}
    return files | {"bin/mayastor", "bin/mayactl", "share/bash-completion/completions/mayactl", "share/mayastor/mayastor.protoset", "lib/systemd/system/mayastor.service", "lib/sysusers.d/mayastor.conf"}


def installed(dest):
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", dest], check=True,
                   stdout=subprocess.DEVNULL)
    found = set()
    for folder, _, files in os.walk(dest):
        found |= {os.path.relpath(os.path.join(folder, f), dest) for f in files}
    prefix = os.path.commonpath([f for f in found if not f.startswith("etc/")])
    return prefix, {os.path.relpath(f, prefix) for f in found}


def problems_of_service(dest, prefix):
    with open(f"{dest}/{prefix}/lib/systemd/system/mayastor.service", encoding="utf-8") as file:
        text = file.read()
    if f"ExecStart=/{prefix}/bin/mayastor " not in text:
        return "it does not start what was installed"
    copy = f"{dest}/mayastor.service"
    with open(copy, "w", encoding="utf-8") as file:
        file.write(re.sub(r"ExecStart=\S+", f"ExecStart={dest}/{prefix}/bin/mayastor", text))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout
    return "\n".join(line for line in said.splitlines() if "mayastor" in line)


def main():
    print("1..2")
    dest = tempfile.mkdtemp(prefix="install-")
    try:
        prefix, found = installed(dest)
        odd = found ^ expected()
        print("ok 1 - what is installed" if not odd else f"not ok 1 - what is installed: {sorted(odd)}")
        if shutil.which("systemd-analyze"):
            problem = problems_of_service(dest, prefix)
            print(f"not ok 2 - the service: {problem}" if problem else "ok 2 - the service")
        else:
            print("ok 2 - the service # SKIP no systemd-analyze")
    finally:
        shutil.rmtree(dest)


if __name__ == "__main__":
    main()
