#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_js - our server and our client, judged by @grpc/grpc-js.

  test_js.py RPC_PEER ECHO_PROTO BUILD

Needs node; its modules are fetched by npm once into BUILD/grpc-js, if they are not there.
"""
import fcntl
import os
import shutil
import subprocess
import sys

from gate import Peer, Room, Skip, main

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ["@grpc/grpc-js@1.14.7", "@grpc/proto-loader@0.8.0"]
OURS = ["calls_over_tcp_and_unix_sockets", "every_status_has_its_code_and_words", "optional_fields_have_presence",
        "deadlines_and_cancellation", "streams_have_all_messages_and_their_status",
        "big_messages_pass_and_bigger_ones_are_refused", "a_thousand_calls_in_flight_are_answered",
        "certificates_let_in_or_not"]


def modules(build):
    """Where they are, or why not."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("no node or npm on this machine")
    folder = f"{build}/grpc-js"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/lock", "w", encoding="ascii") as lock:  # tests run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        fetch(folder)
    return f"{folder}/node_modules"


def fetch(folder):
    if not os.path.exists(f"{folder}/ready"):
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                                   "--fetch-retries=0", "--fetch-timeout=20000", "--prefix", folder,
                                   *MODULES], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=90, check=False)
        except subprocess.TimeoutExpired:
            raise Skip("npm is not answered") from None
        if done.returncode:
            raise Skip("npm does not get @grpc/grpc-js")
        with open(f"{folder}/ready", "w", encoding="utf-8"):
            pass


class Js:
    """client.js, run when first asked; what it said of each case."""

    def __init__(self, build):
        self.build, self.said, self.port, self.child = build, None, None, None

    def run(self, room):
        if self.said is None:
            self.said = {}
            found = modules(self.build)
            plain = room.serve("127.0.0.1:0", f"unix:{room.dir}/js", more=["--opt", "streams_max=1000", "--opt",
                                                                         "calls_max=1000"])
            tls = room.serve("127.0.0.1:0", more=["--tls", room.certificates()])
            self.child = Peer(["node", f"{HERE}/client.js", found, f"{room.dir}/echo.proto", room.dir,
                               *plain.addresses, *tls.addresses])
            for line in self.child.child.stdout:
                name, _, why = line.strip().partition(": ")
                if name.startswith("port "):
                    self.port = name.split()[1]
                    break
                self.said[name.split()[-1]] = (name.startswith("ok "), why)
        if not self.said:
            modules(self.build)
            raise AssertionError("client.js said nothing: " + self.child.told()[-2000:])

    def end(self, _room=None):
        if self.child:
            self.child.end()


def theirs_asks_ours(js, name):
    def case(room):
        js.run(room)
        good, why = js.said.get(name, (False, "it was not told"))
        assert good, why
    case.__name__ = name
    return case


def ours_asks_theirs(js):
    def our_client_asks_their_server(room):
        js.run(room)
        client = room.client(f"127.0.0.1:{js.port}")
        assert client.ask("say hello 3 0 0 0") == "OK hello 3"
        for code in (1, 3, 5, 13, 14, 16):
            assert client.ask(f"say x 0 0 {code} 0").endswith("gone 100% ü")
        assert client.ask("many 50 100000 0") == "OK 50 5000000 "
        assert client.ask("many 5 10 9") == "FAILED_PRECONDITION 5 50 the end"
        assert client.ask("flood 1000 0") == "1000 of 1000"
    return our_client_asks_their_server


if __name__ == "__main__":
    JS = Js(sys.argv[3])
    CASES = [theirs_asks_ours(JS, name) for name in OURS] + [ours_asks_theirs(JS)]
    STATUS = main(Room(sys.argv[1], sys.argv[2]), CASES)
    JS.end()
    sys.exit(STATUS)
