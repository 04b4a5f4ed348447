#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_proto - what our .proto files say on the wire is what is published, name by name and number by number.

  test_proto.py PROTOSET

A lone field in `oneof opt_NAME` is what `optional` is on the wire (protobuf-c knows no other).
"""
import contextlib
import os
import sys
import tempfile

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import published
    from google.protobuf import descriptor_pb2
except ImportError as error:
    tap.skip("node_proto", error)

PROTOSET = sys.argv[1]


def is_optional(message, field):
    one = field.HasField("oneof_index") and message.oneof_decl[field.oneof_index].name
    return one and (field.proto3_optional or one == "opt_" + field.name)


def shape(message):
    """{number: what goes over the wire under it}, and the same of the types within."""
    fields = {}
    for field in message.field:
        one = field.HasField("oneof_index") and message.oneof_decl[field.oneof_index].name
        fields[field.number] = (field.name, field.type, field.label, field.type_name,
                                "optional" if is_optional(message, field) else one or "")
    inner = {nested.name: shape(nested) for nested in message.nested_type}
    return fields, inner, {enum.name: values(enum) for enum in message.enum_type}


def values(enum):
    return {value.name: value.number for value in enum.value}


def read(path):
    with open(path, "rb") as file:
        found = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    messages, enums, services = {}, {}, {}
    for file in found.file:
        if file.package != published.PACKAGE:
            continue
        messages.update({m.name: shape(m) for m in file.message_type})
        enums.update({e.name: values(e) for e in file.enum_type})
        services.update({s.name: {m.name: (m.input_type, m.output_type, m.server_streaming)
                                  for m in s.method} for s in file.service})
    return messages, enums, services


class World:
    def __init__(self, folder):
        published.load(folder)
        import published_v1_pb2
        them = descriptor_pb2.FileDescriptorProto()
        published_v1_pb2.DESCRIPTOR.CopyToProto(them)
        path = os.path.join(folder, "them")
        with open(path, "wb") as out:
            out.write(descriptor_pb2.FileDescriptorSet(file=[them]).SerializeToString())
        self.ours, self.theirs = read(PROTOSET), read(path)


def same(ours, theirs, what):
    for name in theirs:
        assert name in ours, f"{what} {name} is missing"
        assert ours[name] == theirs[name], f"{what} {name}: ours {ours[name]}, published {theirs[name]}"
    more = set(ours) - set(theirs)
    assert not more, f"{what}s that nobody published in this package: {more}"
    print(f"# {len(theirs)} {what}s")


@tap.case
def messages_have_the_published_names_and_numbers(w):
    same(w.ours[0], w.theirs[0], "message")


@tap.case
def enums_have_the_published_values(w):
    same(w.ours[1], w.theirs[1], "enum")


@tap.case
def services_have_the_published_methods(w):
    same(w.ours[2], w.theirs[2], "service")


@tap.case
def what_is_ours_lives_in_a_package_of_its_own(_):
    with open(PROTOSET, "rb") as file:
        found = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    packages = {file.package for file in found.file}
    assert packages == {"mayastor.v1", "mayastor.x1", "google.protobuf"}, packages


@contextlib.contextmanager
def make_world():
    with tempfile.TemporaryDirectory() as folder:
        yield World(folder)


sys.exit(tap.main(make_world))
