# SPDX-License-Identifier: Apache-2.0
"""
node - a `mayastor daemon` for a test, and a client of it that nobody here wrote (python3-grpcio),
with messages made of the published API.
"""
import base64
import importlib
import json
import os
import signal
import subprocess
import time

import grpc
import published
import tap
from google.protobuf import descriptor_pb2, empty_pb2

MIB = 1 << 20
START_S, STOP_S = 60, 60


class Failed(Exception):
    """A call that was answered with a status; str is "CODE words"."""

    def __init__(self, error):
        super().__init__(f"{error.code().name} {error.details()}")
        self.code = error.code().name
        self.words = error.details()


class Said:
    """What a client that is not python3-grpcio was told, as that tells it."""

    def __init__(self, code, words):
        self.status, self.words = grpc.StatusCode[code], words

    def code(self):
        return self.status

    def details(self):
        return self.words


class Js:
    """@grpc/grpc-js (client.js) as a client of nodes."""

    def __init__(self, modules, room):
        files = ["published_v1.proto", *room.own_files]
        here = os.path.dirname(os.path.abspath(__file__))
        self.child = subprocess.Popen(["node", f"{here}/client.js", modules, ":".join(room.folders), *files], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def ask(self, address, method, request, seconds):
        self.child.stdin.write(json.dumps({"address": address, "method": method, "seconds": seconds,
                                           "request": base64.b64encode(request).decode()}) + "\n")
        self.child.stdin.flush()
        answer = json.loads(self.child.stdout.readline())
        if "code" in answer:
            raise Failed(Said(answer["code"], answer["words"]))
        return [base64.b64decode(reply) for reply in answer["replies"]]

    def end(self):
        self.child.stdin.close()
        self.child.wait(STOP_S)
        self.child.stdout.close()


class Room(tap.Folder):
    """
    A folder for state, disks and messages. protos: the folder of our own .proto files, for
    mayastor.x1. js: who asks, instead of python3-grpcio.
    """

    def __init__(self, protos=None):
        super().__init__()
        self.pb = published.load(self.dir)
        self.folders = [self.dir, *([protos] if protos else []), "/usr/include"]
        self.own, self.own_files, self.js = {}, [], None
        if protos:
            self.load_own(protos)

    def load_own(self, protos):
        """{service: {method: (request, reply, streams)}} of mayastor.x1, by its descriptors."""
        names = sorted(f"mayastor/x1/{name}" for name in os.listdir(f"{protos}/mayastor/x1") if name.endswith(".proto"))
        self.own_files = names
        subprocess.run(["protoc", f"-I{protos}", "-I/usr/include", f"--python_out={self.dir}", *names], check=True)
        for name in names:
            module = importlib.import_module(name[:-6].replace("/", ".") + "_pb2")
            for service in module.DESCRIPTOR.services_by_name.values():
                self.own[service.name] = {
                    method.name: (self.own_type(module, method.input_type), self.own_type(module, method.output_type),
                                  self.streams(module, service.name, method.name))
                    for method in service.methods}

    @staticmethod
    def own_type(module, descriptor):
        return empty_pb2.Empty if descriptor.full_name == "google.protobuf.Empty" else getattr(module, descriptor.name)

    @staticmethod
    def streams(module, service, method):
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        return next(m.server_streaming for s in file.service if s.name == service for m in s.method if m.name == method)

    def disk(self, name, size=128 * MIB):
        path = os.path.join(self.dir, name)
        with open(path, "ab") as file:
            file.truncate(size)
        return path


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

    def find(self, path):
        """'PoolRpc/CreatePool' -> (its whole path, request and reply types, if it streams)."""
        service, name = path.split("/")
        if service in self.room.own:
            return (f"/mayastor.x1.{path}", *self.room.own[service][name])
        ask, reply, streams = published.SERVICES[service][name]
        return f"/{published.PACKAGE}.{path}", self.type(ask), self.type(reply), streams

    def method(self, path):
        """'PoolRpc/CreatePool' -> (its request type, a function of a request and a time-out; a stream is a list)."""
        whole, ask, reply, streams = self.find(path)
        make = self.channel.unary_stream if streams else self.channel.unary_unary
        function = make(whole, request_serializer=ask.SerializeToString, response_deserializer=reply.FromString)

        def by_python(request, timeout):
            return list(function(request, timeout=timeout)) if streams else function(request, timeout=timeout)

        def by_js(request, timeout):
            replies = [reply.FromString(text) for text in self.room.js.ask(self.addrs["grpc"], whole, request.SerializeToString(), timeout)]
            return replies if streams else replies[0]
        return ask, by_js if self.room.js else by_python

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


class World:
    """What the cases of a test have in common (tests/tap.py): a room, `node`, and others in `nodes`. In the end they stop well."""

    def __init__(self, mayastor, protos=None, options=()):
        self.mayastor, self.room, self.nodes = mayastor, Room(protos), []
        self.node = self.make_node(options=options)

    def make_node(self, name="node", options=()):
        self.nodes.append(Node(self.mayastor, self.room, name, options))
        return self.nodes[-1]

    def prepare(self):
        """Before the first case."""
        self.node.start()

    def call(self, path, **fields):
        return self.node.call(path, **fields)

    def fails(self, code, path, **fields):
        """The words of the refusal."""
        try:
            answer = self.call(path, **fields)
        except Failed as failed:
            assert failed.code == code, f"{path} {fields}: {failed}, expected {code}"
            assert failed.words and len(failed.words) < 256 and "\n" not in failed.words, f"{path}: '{failed.words}'"
            return failed.words
        raise AssertionError(f"{path} {fields}: answered {answer}, expected {code}")

    def last_words(self):
        return "".join(one.words()[-1500:] for one in self.nodes if one.child)

    def __enter__(self):
        try:
            self.prepare()
        except BaseException:
            self.end(False)
            raise
        return self

    def __exit__(self, kind, *_):
        self.end(kind is None)

    def end(self, is_well):
        started = [one for one in self.nodes if one.child]
        try:
            for one in started if is_well else ():
                one.stop()
        finally:
            for one in started:
                if one.child.poll() is None:
                    one.kill()
            self.room.close()
