# SPDX-License-Identifier: Apache-2.0
"""
load - clients of an NBD export that know what each sector may hold.

L1. A write that was acknowledged is there: a sector reads as the last value written, or as one whose
    write has no known outcome (its connection was lost), and once it was read it stays.
L2. An error is an error, unless the server had been given up when it came.

Every thread has sectors of its own and one request at a time, so that there is one order.
"""
import random
import socket
import struct
import threading
import time

BLOCK, SECTOR = 4096, 512
SECTORS = BLOCK // SECTOR
READ, WRITE, DISC, FLUSH = 0, 1, 2, 3
REQUEST, REPLY = struct.Struct(">IHHQQI"), struct.Struct(">IIQ")
VALUE = struct.Struct("<QQQQ")


class Lost(Exception):
    """The connection ended: nobody knows."""


class Refused(Exception):
    """The server said an error."""


class Nbd:
    """One connection, one request at a time."""

    def __init__(self, path, name, timeout):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(path)
            self.shake(name.encode())
        except OSError as why:
            self.close()
            raise Lost(str(why)) from None

    def close(self):
        self.sock.close()

    def take(self, size):
        data = bytearray()
        while len(data) < size:
            try:
                got = self.sock.recv(size - len(data))
            except OSError as why:
                raise Lost(str(why)) from None
            if not got:
                raise Lost("closed")
            data += got
        return bytes(data)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as why:
            raise Lost(str(why)) from None

    def shake(self, name):
        magic, option, _ = struct.unpack(">8s8sH", self.take(18))
        assert (magic, option) == (b"NBDMAGIC", b"IHAVEOPT")
        self.send(struct.pack(">I8sIII", 3, b"IHAVEOPT", 7, len(name) + 6, len(name)) + name + b"\0\0")
        while True:
            _, _, kind, size = struct.unpack(">QIII", self.take(20))
            self.take(size)
            if kind == 1:
                return
            if kind != 3:
                raise Lost(f"option refused: {kind:#x}")

    def ask(self, op, at, size, data=b""):
        self.send(REQUEST.pack(0x25609513, 0, op, 0, at, size) + data)

    def answer(self, op, size):
        magic, error, _ = REPLY.unpack(self.take(REPLY.size))
        assert magic == 0x67446698
        if error:
            raise Refused(f"error {error}")
        return self.take(size) if op == READ else b""

    def do(self, op, at, size, data=b""):
        self.ask(op, at, size, data)
        return self.answer(op, size)


def pack(block, serial):
    """A block whose every sector says where and which it is."""
    return b"".join((VALUE.pack(0x6e656d65736973, block, sector, serial) * (SECTOR // VALUE.size))
                    for sector in range(SECTORS))


def unpack(block, data):
    """The serial of each sector; -1: something else. 0: zeros."""
    found = []
    for sector in range(SECTORS):
        part = data[sector * SECTOR:(sector + 1) * SECTOR]
        magic, where, which, serial = VALUE.unpack_from(part)
        if not any(part):
            found.append(0)
        elif part == VALUE.pack(0x6e656d65736973, block, sector, serial) * (SECTOR // VALUE.size) \
                and (magic, where, which) == (0x6e656d65736973, block, sector):
            found.append(serial)
        else:
            found.append(-1)
    return found


class Client(threading.Thread):
    def __init__(self, load, number):
        super().__init__(daemon=True)
        self.load = load
        self.random = random.Random(f"{load.seed} {number}")
        self.blocks = list(range(load.first + number, load.first + load.count, load.clients))
        self.now = {block: [0] * SECTORS for block in self.blocks}
        self.maybe = {block: [set() for _ in range(SECTORS)] for block in self.blocks}
        self.serial = number + 1
        self.nbd = None
        self.path = None
        self.done = self.unknown = 0
        self.longest = 0.0

    def connect(self):
        """Until there is a server; False: it is over."""
        while not self.load.over:
            self.path = self.load.path
            try:
                self.nbd = Nbd(self.path, self.load.name, self.load.timeout)
                return True
            except Lost:
                time.sleep(0.02)
        return False

    def write(self, block):
        serial = self.serial
        self.serial += self.load.clients
        data = pack(block, serial)
        try:
            self.nbd.do(WRITE, block * BLOCK, BLOCK, data)
        except (Lost, Refused):
            for sector in range(SECTORS):
                self.maybe[block][sector].add(serial)
            self.unknown += 1
            raise
        self.now[block] = [serial] * SECTORS
        self.maybe[block] = [set() for _ in range(SECTORS)]

    def read(self, block):
        self.check(block, self.nbd.do(READ, block * BLOCK, BLOCK))

    def check(self, block, data):
        for sector, serial in enumerate(unpack(block, data)):
            if serial != self.now[block][sector] and serial not in self.maybe[block][sector]:
                self.load.wrong(f"block {block} sector {sector}: {serial} is there, expected {self.now[block][sector]}"
                                f" or one of {sorted(self.maybe[block][sector])}")
            self.now[block][sector] = serial
            self.maybe[block][sector] = set()

    def step(self):
        block = self.random.choice(self.blocks)
        start = time.monotonic()
        (self.write if self.random.random() < self.load.writes else self.read)(block)
        self.longest = max(self.longest, time.monotonic() - start)
        self.done += 1

    def run(self):
        while self.connect():
            try:
                while not self.load.over and self.path == self.load.path:
                    self.step()
                    time.sleep(self.load.pause)
            except Refused as why:
                if self.path == self.load.path:
                    self.load.wrong(f"{why} from the server in charge", error=True)
                time.sleep(0.05)
            except Lost:
                pass
            self.nbd.close()


class Load:
    """Clients on blocks [first, first + count) of what listens at `path`."""

    def __init__(self, path, name, first, count, clients=4, seed=1, writes=0.6, pause=0.001, timeout=120):
        self.path, self.name, self.first, self.count = path, name, first, count
        self.clients, self.seed, self.writes, self.pause, self.timeout = clients, seed, writes, pause, timeout
        self.over = False
        self.problems, self.errors = [], 0
        self.threads = [Client(self, number) for number in range(clients)]

    def wrong(self, words, error=False):
        self.errors += error
        self.problems.append(words)

    def start(self):
        for thread in self.threads:
            thread.start()

    def move(self, path):
        """Another server is in charge: who waits for the old one is cut off."""
        self.path = path
        for thread in self.threads:
            if thread.nbd:
                try:
                    thread.nbd.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def done(self):
        return sum(thread.done for thread in self.threads)

    def goes_on(self, count, seconds=60):
        """So many more requests of each client; False: they hang."""
        goal = [thread.done + count for thread in self.threads]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if all(thread.done >= least for thread, least in zip(self.threads, goal)):
                return True
            time.sleep(0.02)
        return False

    def stop(self):
        """All of them end; what was written is read once more."""
        self.over = True
        for thread in self.threads:
            thread.join(self.timeout)
        nbd = Nbd(self.path, self.name, self.timeout)
        for thread in self.threads:
            for block in thread.blocks:
                thread.check(block, nbd.do(READ, block * BLOCK, BLOCK))
        nbd.close()
