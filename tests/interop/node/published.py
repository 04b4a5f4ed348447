# SPDX-License-Identifier: Apache-2.0
"""
published - the published API (published.txt) as one .proto with real `optional`, and as Python.

  module = published.load(FOLDER)     messages and enums, made by protoc in FOLDER
  published.SERVICES                  {service: {method: (request, reply, streams)}}
"""
import importlib
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"str": "string", "u32": "uint32", "u64": "uint64", "i32": "int32"}
WELL_KNOWN = {"StringValue": "wrappers", "Timestamp": "timestamp", "Empty": "empty", "Duration": "duration"}
PACKAGE = "mayastor.v1"


def type_of(text):
    text = text.replace(PACKAGE + ".", "").replace("gp.", "google.protobuf.")
    return TYPES.get(text, text)


def split(text):
    """At commas that are not within brackets."""
    parts, depth, part = [], 0, ""
    for char in text:
        depth += (char in "(<") - (char in ")>")
        if char == "," and depth == 0:
            parts.append(part.strip())
            part = ""
        else:
            part += char
    return parts + [part.strip()] if part.strip() else parts


def field(text):
    one = re.match(r"oneof (\w+)\((.*)\)$", text)
    if one:
        return f"oneof {one[1]} {{ " + " ".join(field(part.strip()) for part in one[2].split("|")) + " }"
    name, kind, number = re.match(r"(\w+):(.*)=(\d+)$", text).groups()
    rule = {"?": "optional ", "[": "repeated "}.get(kind[0], "")
    return f"{rule}{type_of(kind.lstrip('?[]'))} {name} = {number};"


def parse(lines):
    """([(name, lines)], {service: methods}); a nested type stands in its owner."""
    types, nested, services = [], {}, {}
    for line in lines:
        line = line.strip()
        if not line or line.startswith(("#", "FILE ")):
            continue
        if line.startswith("SERVICE "):
            name, methods = re.match(r"SERVICE (\w+): (.*)", line).groups()
            services[name] = {m[1]: (type_of(m[2]), type_of(m[4]), bool(m[3])) for m in re.finditer(
                r"(\w+)\(([\w.]+)\)->(stream )?([\w.]+)", methods)}
            continue
        is_enum, name, inner = re.match(r"(enum )?([\w.]+)\{(.*)\}$", line).groups()
        body = [part.replace("=", " = ") + ";" if is_enum else field(part) for part in split(inner)]
        owner, _, last = name.rpartition(".")
        text = [("enum " if is_enum else "message ") + last + " {", *body, "}"]
        if owner:
            nested.setdefault(owner, []).extend(text)
        else:
            types.append((name, text))
    return [(name, text[:1] + nested.pop(name, []) + text[1:]) for name, text in types], services


with open(os.path.join(HERE, "published.txt"), encoding="utf-8") as file:
    TYPE_TEXTS, SERVICES = parse(file)


def proto():
    head = ['syntax = "proto3";', f"package {PACKAGE};"]
    head += [f'import "google/protobuf/{name}.proto";' for name in WELL_KNOWN.values()]
    for _, text in TYPE_TEXTS:
        head += text
    for name, methods in SERVICES.items():
        head += [f"service {name} {{"]
        head += [f"rpc {m}({ask}) returns ({'stream ' if streams else ''}{reply});"
                 for m, (ask, reply, streams) in methods.items()]
        head += ["}"]
    return "\n".join(head) + "\n"


def load(folder):
    with open(os.path.join(folder, "published_v1.proto"), "w", encoding="utf-8") as out:
        out.write(proto())
    subprocess.run(["protoc", f"-I{folder}", "-I/usr/include", f"--python_out={folder}", "published_v1.proto"],
                   check=True, cwd=folder)
    sys.path.insert(0, folder)
    return importlib.import_module("published_v1_pb2")
