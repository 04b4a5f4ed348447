#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
proxy - TCP connections passed on, cut, delayed, stopped one way, or with their bytes held.

  proxy.py NAME=LISTEN_ADDR:PORT,TO_ADDR:PORT ...

Commands on standard input, each answered by "ok":

  NAME pass               as a wire; what was held is delivered
  NAME cut                all connections are closed; new ones are, too
  NAME deaf               nothing comes back from TO; what goes there arrives
  NAME mute               nothing arrives at TO; what it sends comes back
  NAME hold               bytes for TO are kept, also when who sent them has gone
  NAME delay SECONDS      both ways
"""
import queue
import socket
import sys
import threading
import time

CHUNK = 1 << 16


class Way(threading.Thread):
    """One direction of a connection."""

    def __init__(self, wire, source, sink, to_far):
        super().__init__(daemon=True)
        self.wire, self.source, self.sink, self.to_far = wire, source, sink, to_far
        self.late = queue.Queue(4096)

    def stopped(self):
        return self.wire.mode in (("mute", "hold") if self.to_far else ("deaf",))

    def deliver(self):
        """Its own thread: in order, at its time, and not while stopped."""
        while True:
            due, data = self.late.get()
            while self.stopped():
                if self.wire.generation != self.generation:
                    return
                time.sleep(0.01)
            time.sleep(max(0, due - time.monotonic()))
            if not data:
                break
            try:
                self.sink.sendall(data)
            except OSError:
                break
        close(self.sink)
        if not self.to_far:
            close(self.source)

    def run(self):
        self.generation = self.wire.generation
        threading.Thread(target=self.deliver, daemon=True).start()
        while True:
            try:
                data = self.source.recv(CHUNK)
            except OSError:
                data = b""
            self.late.put((time.monotonic() + self.wire.delay, data))
            if not data:
                return


def close(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


class Wire:
    def __init__(self, listen, to):
        self.to = to
        self.mode, self.delay, self.generation = "pass", 0.0, 0
        self.lock = threading.Lock()
        self.ends = []
        self.listener = socket.create_server(listen, backlog=128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.join, args=(near,), daemon=True).start()

    def join(self, near):
        if self.mode == "cut":
            close(near)
            return
        try:
            far = socket.create_connection(self.to, timeout=5)
        except OSError:
            close(near)
            return
        far.settimeout(None)
        for sock in (near, far):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.ends += [near, far]
        Way(self, near, far, True).start()
        Way(self, far, near, False).start()

    def do(self, verb, arg):
        if verb == "delay":
            self.delay, self.mode = float(arg), "pass"
            return
        self.delay = 0.0
        self.mode = verb
        if verb == "cut":
            self.generation += 1
            with self.lock:
                ends, self.ends = self.ends, []
            for sock in ends:
                close(sock)


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    wires = {}
    for arg in sys.argv[1:]:
        name, rest = arg.split("=")
        listen, to = rest.split(",")
        wires[name] = Wire(address(listen), address(to))
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split() + [""]
        wires[words[0]].do(words[1], words[2])
        print("ok", flush=True)


if __name__ == "__main__":
    main()
