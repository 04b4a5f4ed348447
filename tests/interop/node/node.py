# SPDX-License-Identifier: Apache-2.0
"""
node - a `mayastor daemon` for a test, and a client of it that nobody here wrote (python3-grpcio),
with messages made of the published API.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import time

import grpc
import published
from google.protobuf import empty_pb2

MIB = 1 << 20
START_S, STOP_S = 60, 60


class Failed(Exception):
    """A call that was answered with a status; str is "CODE words"."""

    def __init__(self, error):
        super().__init__(f"{error.code().name} {error.details()}")
        self.code = error.code().name
        self.words = error.details()


class Room:
    """A folder for state, disks and messages; in memory, if there is some."""

    def __init__(self):
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.dir = tempfile.mkdtemp(dir=base)
        self.pb = published.load(self.dir)

    def disk(self, name, size=128 * MIB):
        path = os.path.join(self.dir, name)
        with open(path, "ab") as file:
            file.truncate(size)
        return path

    def close(self):
        shutil.rmtree(self.dir)


class Node:
    def __init__(self, mayastor, room, name="node", options=()):
        self.mayastor, self.room, self.name, self.options = mayastor, room, name, list(options)
        self.state = os.path.join(room.dir, name + ".state")
        self.log = os.path.join(room.dir, name + ".log")
        self.addrs, self.child, self.channel = {}, None, None
        self.credentials = None  # of TLS
        self.ports = ["--replica-port", "0", "--nexus-port", "0"]

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [self.mayastor, "daemon", "-g", "127.0.0.1:0", "-N", self.name, "--state-dir", self.state,
                 *self.ports, *self.options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                text=True)
        for line in self.child.stdout:
            words = line.split()
            if words == ["ready"]:
                break
            self.addrs[words[0]] = words[1]
        else:
            raise AssertionError(f"the node did not start: {self.words()}")
        # shares keep their ports over restarts, as those of a real node do
        self.ports = ["--replica-port", self.addrs["replicas"].rsplit(":", 1)[1],
                      "--nexus-port", self.addrs["nexuses"].rsplit(":", 1)[1]]
        self.connect(self.credentials)
        return self

    def connect(self, credentials):
        if self.channel:
            self.channel.close()
        options = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = (grpc.secure_channel(self.addrs["grpc"], credentials, options=options) if credentials else
                        grpc.insecure_channel(self.addrs["grpc"], options=options))

    def words(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-12000:]

    def end(self, signo):
        if self.channel:
            self.channel.close()
            self.channel = None
        self.child.send_signal(signo)
        code = self.child.wait(STOP_S)
        self.child.stdout.close()
        return code

    def stop(self):
        started = time.monotonic()
        code = self.end(signal.SIGTERM)
        assert code == 0, f"exit code {code}: {self.words()}"
        return time.monotonic() - started

    def kill(self):
        self.end(signal.SIGKILL)

    def type(self, name):
        return empty_pb2.Empty if name == "google.protobuf.Empty" else getattr(self.room.pb, name)

    def method(self, path):
        """'PoolRpc/CreatePool' -> (its request type, a function of a request)."""
        service, name = path.split("/")
        ask, reply, streams = published.SERVICES[service][name]
        make = self.channel.unary_stream if streams else self.channel.unary_unary
        return self.type(ask), make(f"/{published.PACKAGE}.{path}", request_serializer=self.type(ask).SerializeToString,
                                    response_deserializer=self.type(reply).FromString)

    def call(self, path, timeout=30, **fields):
        kind, function = self.method(path)
        request = kind()
        for name, value in fields.items():
            field = getattr(request, name)
            if hasattr(field, "value") and not isinstance(value, (list, dict)):
                field.value = value
            elif isinstance(value, list):
                field.extend(value)
            elif isinstance(value, dict):
                for key, item in value.items():
                    setattr(field, key, item)
            else:
                setattr(request, name, value)
        try:
            return function(request, timeout=timeout)
        except grpc.RpcError as error:
            raise Failed(error) from None
