#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_guest - the io/ and reactor/ unit tests of a release build, on the oldest supported kernel.

  test_guest.py BUILD           all of them in one boot; each case is reported
  test_guest.py --self          the harness itself: statuses, a panic, a hang

Where QEMU or the kernel package is missing, one case is skipped with the reason.
"""
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TAP = os.path.join(os.path.dirname(os.path.dirname(HERE)), "tools", "tap")
ROOMS = ("io", "reactor")
BINARY_SECONDS, BOOT_SECONDS, SKIPPED = 120, 400, 77


def guest(script, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as file:
        file.write(script)
        file.flush()
        return subprocess.run([f"{HERE}/guest", "run", *options, file.name], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")


def skipped(done):
    """Says so and is true if this machine has no guest."""
    if done.returncode != SKIPPED or not done.stdout.startswith("skip: "):
        return False
    print(f"1..0 # SKIP {done.stdout.removeprefix('skip: ').strip()}")
    return True


def unit_tests(build):
    """(name, command as seen in the guest) of each unit test of ROOMS."""
    text = subprocess.run(["meson", "introspect", "--tests", build], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {}
    for test in json.loads(text):
        path = os.path.relpath(test["cmd"][0], build)
        match = re.match(r"tests/unit/(\w+)/", path)
        if match and match[1] in ROOMS and "soak" not in test["suite"]:
            found[f"{match[1]}/{os.path.basename(path)}"] = shlex.join([f"/build/{path}", *test["cmd"][1:]])
    return sorted(found.items())


def script_of(tests):
    lines = ["export CMOCKA_MESSAGE_OUTPUT=TAP", "uname -r >/io/kernel"]
    for number, (_, command) in enumerate(tests):
        lines += [f"timeout -k 5 {BINARY_SECONDS} {command} >/io/{number}.out 2>/io/{number}.err", f"echo $? >/io/{number}.rc"]
    return "\n".join(lines) + "\n"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def report(name, io, number):
    """The cases of one binary, each with its name before it. 124 and up: killed."""
    status = read(f"{io}/{number}.rc").strip()
    if not status:
        print(f"not ok 1 - {name}: did not run to its end")
    else:
        done = subprocess.run([TAP, "sh", "-c", f"cat {io}/{number}.out; exit {status}"], stdout=subprocess.PIPE, text=True)
        plain = not re.search(r"^(not )?ok ", done.stdout, re.M)
        if plain:
            print(f"{'ok' if status == '0' else 'not ok'} 1 - {name}: exit status {status}")
        for line in done.stdout.splitlines():
            match = re.match(r"((?:not )?ok) (\d+) - (.*)", line)
            print(f"{match[1]} {match[2]} - {name}: {match[3]}" if match else line)
    if status != "0":
        print("".join(f"# {line}\n" for line in read(f"{io}/{number}.err").splitlines()[-40:]), end="")


def run_tests(build):
    build = os.path.abspath(build)
    tests = unit_tests(build)
    if not tests:
        print("1..1\nnot ok 1 - the build has unit tests of io and reactor")
        return 1
    with tempfile.TemporaryDirectory(prefix="guest.") as io:
        done = guest(script_of(tests), "--build", build, "--io", io, "--cpus", "2", "--mem", "1536",
                     "--timeout", str(BOOT_SECONDS))
        if skipped(done):
            return 0
        kernel = read(f"{io}/kernel").strip()
        print(f"{'ok' if kernel.startswith('6.1.') else 'not ok'} 1 - guest runs kernel {kernel or '?'}")
        for number, (name, _) in enumerate(tests):
            report(name, io, number)
        if done.returncode:
            print(f"not ok 1 - the boot ends in status 0, not {done.returncode}")
            print("".join(f"# {line}\n" for line in done.stderr.splitlines()[-40:]), end="")
    return 0


def run_self():
    print("1..5")
    cases = (("status_of_the_script_is_passed_on", "echo out; exit 7", (), 7, "out\n"),
             ("build_is_read_only", "touch /build/x 2>/dev/null && echo written; exit 0", ("--build", HERE), 0, ""),
             ("tmp_takes_o_direct", "dd if=/dev/zero of=x bs=4k count=4 oflag=direct 2>/dev/null", (), 0, ""),
             ("panic_ends_in_125", "echo c >/proc/sysrq-trigger; sleep 60", (), 125, ""),
             ("hang_ends_in_125", "echo begun; sleep 600", ("--timeout", "20"), 125, "begun\n"))
    for number, (name, script, options, status, out) in enumerate(cases, 1):
        done = guest(script, *options)
        if skipped(done):
            return 0
        good = done.returncode == status and done.stdout == out
        print(f"{'ok' if good else 'not ok'} {number} - {name}")
        if not good:
            print(f"# status {done.returncode}, output {done.stdout!r}")
    return 0


if __name__ == "__main__":
    sys.exit(run_self() if sys.argv[1:] == ["--self"] else run_tests(sys.argv[1]))
