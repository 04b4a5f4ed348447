# SPDX-License-Identifier: Apache-2.0
"""
door - what the NBD suites share: a server of `mayastor export nbd`, tools that may be missing, TAP.

A case is a function of a Door's room; it fails by an exception. Where a tool is missing the case
is skipped, and says which.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

SECONDS = 120


class Skip(Exception):
    pass


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Skip(f"no {tool} on this machine")


def need_libnbd():
    need("nbdsh", "/usr/bin/python3")
    if run(["/usr/bin/python3", "-c", "import nbd"], check=False).returncode:
        raise Skip("no libnbd for /usr/bin/python3")


def run(argv, check=True, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=SECONDS, **more)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stdout[-3000:]}")
    return done


def nbdsh(uri, script, *options):
    """With the python3 its module was installed for."""
    return run(["nbdsh", *options, "-u", uri, "-c", script], env={**os.environ, "PATH": "/usr/bin:/bin"})


class Door:
    """A server in a directory of its own. with Door(mayastor, ["--uri", ...]) as door: door.uri("name")"""

    def __init__(self, mayastor, options, room=None):
        self.own = room is None
        self.room = room or tempfile.mkdtemp(prefix="nbd.")
        self.path = f"{self.room}/socket"
        self.argv = [mayastor, "export", "nbd", "--socket", self.path, *options]

    def __enter__(self):
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        self.said = []
        for line in self.child.stdout:
            self.said.append(line.rstrip("\n"))
            if line == "ready\n":
                return self
        raise AssertionError(f"{' '.join(self.argv)}: exit status {self.child.wait()}\n" + "\n".join(self.said))

    def uri(self, name=""):
        return f"nbd+unix:///{name}?socket={self.path}"

    def hangup(self):
        self.child.send_signal(signal.SIGHUP)

    def __exit__(self, kind, *_):
        self.child.send_signal(signal.SIGTERM)
        try:
            rest, _ = self.child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.communicate()
            raise AssertionError("the server does not end") from None
        finally:
            if self.own:
                shutil.rmtree(self.room, ignore_errors=True)
        if kind is None and self.child.returncode:
            raise AssertionError(f"the server ended with {self.child.returncode}: {rest[-3000:]}")


def main(cases):
    """Cases are functions of the mayastor binary. Argument: the build directory."""
    mayastor = os.path.abspath(f"{sys.argv[1]}/src/bin/mayastor")
    failed = 0
    print(f"1..{len(cases)}", flush=True)
    for number, case in enumerate(cases, 1):
        try:
            case(mayastor)
            print(f"ok {number} - {case.__name__}", flush=True)
        except Skip as skip:
            print(f"ok {number} - {case.__name__} # SKIP {skip}", flush=True)
        except Exception:  # whatever went wrong, the other cases are told too
            failed += 1
            print(f"not ok {number} - {case.__name__}")
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="", flush=True)
    return 1 if failed else 0
