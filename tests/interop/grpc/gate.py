# SPDX-License-Identifier: Apache-2.0
"""
gate - what the gRPC suites share: our peer (rpc_peer), messages, certificates, TAP.

A case is a function of a Room; it fails by an exception, or is skipped by Skip with its reason.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import traceback

SECONDS = 60


class Skip(Exception):
    pass


class Peer:
    """rpc_peer: said(line) gives it a line; its answers are read one by one."""

    def __init__(self, argv):
        self.argv = argv
        self.words = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would stop it
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.words, text=True)

    def line(self):
        return self.child.stdout.readline().rstrip("\n")

    def ask(self, text):
        self.child.stdin.write(text + "\n")
        self.child.stdin.flush()
        return self.line()

    def told(self):
        """On its standard error."""
        self.words.seek(0)
        return self.words.read()

    def hangup(self):
        """The server drains, the client ends."""
        self.child.stdin.close()

    def end(self):
        if not self.child.stdin.closed:
            self.child.stdin.close()
        try:
            code = self.child.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise AssertionError("the peer does not end") from None
        words = self.told()
        self.child.stdout.close()
        self.words.close()
        if code:
            raise AssertionError(f"{' '.join(self.argv)}: exit status {code}\n{words[-3000:]}")
        return words


class Room:
    """A directory, our peer, the messages of echo.proto for Python."""

    def __init__(self, peer, proto):
        self.exe = peer
        self.dir = tempfile.mkdtemp(prefix="grpc.")
        self.peers = []
        self.proto(proto)

    def proto(self, path):
        """As upstream writes it, with proto3's optional: the same on the wire (protobuf-c has no such word)."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        told = "oneof opt_size {\n\t\tuint64 size = 4;\n\t}"
        assert told in text
        with open(f"{self.dir}/echo.proto", "w", encoding="utf-8") as file:
            file.write(text.replace(told, "optional uint64 size = 4;"))
        subprocess.run(["protoc", f"--python_out={self.dir}", f"-I{self.dir}", "echo.proto"], check=True)
        sys.path.insert(0, self.dir)

    def serve(self, *addresses, more=()):
        peer = Peer([self.exe, "serve", *addresses, *more])
        self.peers.append(peer)
        peer.addresses = [peer.line() for _ in addresses]
        assert peer.line() == "ready"
        return peer

    def client(self, target, *more):
        peer = Peer([self.exe, "call", target, *more])
        self.peers.append(peer)
        return peer

    def certificates(self):
        """Two CAs; server and client of the first, an intruder of the second."""
        if not shutil.which("openssl"):
            raise Skip("no openssl on this machine")
        if not os.path.exists(f"{self.dir}/ca.pem"):
            for ca, folder in (("ca", "."), ("other", "wrong")):
                os.makedirs(f"{self.dir}/{folder}", exist_ok=True)
                self.authority(ca, folder)
        return self.dir

    def authority(self, name, folder):
        def openssl(*argv):
            subprocess.run(["openssl", *argv], check=True, cwd=f"{self.dir}/{folder}",
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem")
        for who in ("server", "client"):
            with open(f"{self.dir}/{folder}/{who}.ext", "w", encoding="utf-8") as file:
                file.write("subjectAltName=DNS:localhost,DNS:node-1,IP:127.0.0.1\n")
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={who}", "-keyout", f"{who}.key", "-out", f"{who}.csr")
            openssl("x509", "-req", "-in", f"{who}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", "2", "-extfile", f"{who}.ext", "-out", f"{who}.pem")

    def read(self, name):
        with open(f"{self.dir}/{name}", "rb") as file:
            return file.read()

    def close_peers(self):
        peers, self.peers = self.peers, []
        for peer in peers:
            peer.end()

    def close(self):
        shutil.rmtree(self.dir)


def main(room, cases):
    print(f"1..{len(cases)}")
    bad = 0
    for number, case in enumerate(cases, 1):
        try:
            case(room)
            room.close_peers()
            print(f"ok {number} - {case.__name__}", flush=True)
        except Skip as why:
            print(f"ok {number} - {case.__name__} # SKIP {why}", flush=True)
        except BaseException:  # pylint: disable=broad-except
            bad += 1
            print(f"not ok {number} - {case.__name__}", flush=True)
            traceback.print_exc(file=sys.stdout)
            for peer in room.peers:
                peer.child.kill()
                peer.child.wait()
            room.peers = []
    room.close()
    return bad
