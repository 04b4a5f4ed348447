#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
storm - mutated HTTP/2 connections, and mutated TLS hellos, against our server over real sockets.

  storm.py RPC_PEER ECHO_PROTO COUNT [SEED]

Between them decent requests are asked, and answered; at the end no connection, call or byte is left, and
the server ends without a finding of its sanitizer.
"""
import os
import random
import socket
import ssl
import struct
import sys

from gate import Room, main

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BATCH = 20


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload) << 8 | kind) + bytes([flags]) + struct.pack(">I", stream) + payload


def header(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request(stream, path, message, *more, flags=4):
    block = b"".join(header(*pair) for pair in (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"/csi/csi.sock"),
        (b"te", b"trailers"), (b"content-type", b"application/grpc"), *more))
    return frame(1, flags, stream, block) + frame(0, 1, stream, b"\0" + struct.pack(">I", len(message)) + message)


SAY = b"\x0a\x05hello\x10\x03"
SLEEP = b"\x0a\x01x\x20\x05"
MANY = b"\x0a\x01x\x10\x80\x08\x18\x14"
TEMPLATES = [
    request(1, b"/test.Echo/Say", SAY),
    request(1, b"/test.Echo/Many", MANY) + frame(8, 0, 0, b"\0\0\xff\xff"),
    request(1, b"/raw.Raw/Same", bytes(300)) + request(3, b"/test.Echo/Ask", b""),
    request(1, b"/test.Echo/Say", SLEEP, (b"grpc-timeout", b"1m"), (b"x-extra", b"y" * 100)),
    request(1, b"/test.Echo/Say", SLEEP) + frame(3, 0, 1, b"\0\0\0\x08") + frame(6, 0, 0, b"12345678"),
    request(1, b"/grpc.health.v1.Health/Watch", b"") + frame(7, 0, 0, bytes(8)),
    frame(4, 0, 0, struct.pack(">HIHI", 4, 1 << 20, 1, 0)) + request(5, b"/raw.Raw/Same", b"abc"),
    frame(1, 0, 1, header(b":method", b"POST")) + frame(9, 4, 1, header(b":path", b"/x")) + frame(2, 0, 1, bytes(5)),
]


def hello():
    """What a TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, how = rng.randrange(len(data) + 1), rng.randrange(6)
        if how == 0:
            del data[at:at + rng.randrange(1, 20)]
        elif how == 1:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
        elif how == 2:
            data[at:at] = data[rng.randrange(len(data) + 1):][:rng.randrange(1, 80)]
        elif at < len(data):
            data[at] = rng.choice((0, 1, 4, 0x7f, 0x80, 0xff, data[at] ^ 1 << rng.randrange(8), rng.randrange(256)))
    return bytes(data[:rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data)


def connect(address):
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address[5:])
    else:
        host, port = address.rsplit(":", 1)
        sock = socket.create_connection((host, int(port)))
    sock.settimeout(30)
    return sock


def decent(address):
    """A request as it should be: an answer with status 0."""
    with connect(address) as sock:
        sock.sendall(PREFACE + frame(4, 0, 0) + request(1, b"/test.Echo/Say", SAY))
        got = b""
        while b"grpc-status" not in got and b"hello" not in got:
            some = sock.recv(65536)
            assert some, got
            got += some


def throw(rng, address, data):
    """Several connections at a time, in pieces, closed this way or that."""
    socks = []
    for bytes_ in data:
        sock = connect(address)
        socks.append(sock)
        cut = rng.randrange(len(bytes_) + 1) if rng.random() < 0.3 else len(bytes_)
        for part in (bytes_[:cut], bytes_[cut:]):
            try:
                sock.sendall(part)
            except OSError:
                break
    for sock in socks:
        if rng.random() < 0.2:
            try:
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except OSError:
                pass
        sock.close()


def storm(room, plain, tls, count, seed):
    rng = random.Random(seed)
    first = hello()
    done = 0
    while done < count:
        if rng.random() < 0.05:
            throw(rng, tls, [mutate(rng, first) for _ in range(BATCH)])
        else:
            throw(rng, plain, [mutate(rng, PREFACE + frame(4, 0, 0) + rng.choice(TEMPLATES)) if rng.random() < 0.1 else
                               PREFACE + frame(4, 0, 0) + mutate(rng, rng.choice(TEMPLATES)) for _ in range(BATCH)])
        done += BATCH
        if done % (BATCH * 25) == 0:
            decent(plain)


def main_case(count, seed):
    def mutated_connections_find_nothing(room):
        one = room.serve(f"unix:{room.dir}/storm")
        two = room.serve("127.0.0.1:0", more=["--tls", room.certificates()])
        storm(room, one.addresses[0], two.addresses[0], count, seed)
        for peer in (one, two):
            for _ in range(500):
                said = peer.ask("stats")
                if said.startswith("conns=0 calls=0 memory=0"):
                    break
            assert said.startswith("conns=0 calls=0 memory=0"), said
    return mutated_connections_find_nothing


if __name__ == "__main__":
    SEED = int(sys.argv[4]) if len(sys.argv) > 4 else int.from_bytes(os.urandom(4), "big")
    print(f"# seed {SEED}")
    sys.exit(main(Room(sys.argv[1], sys.argv[2]), [main_case(int(sys.argv[3]), SEED)]))
