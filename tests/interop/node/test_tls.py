#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_tls - a node whose services speak TLS: who is let in, with certificates that openssl makes here; mayactl; a registrar.

  test_tls.py MAYASTOR MAYACTL
"""
import os
import queue
import shutil
import subprocess
import sys
from concurrent import futures

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import grpc
    import node
except ImportError as error:
    tap.skip("node_tls", error)
if not shutil.which("openssl"):
    tap.skip("node_tls", "there is no openssl to make certificates with")

MAYASTOR, MAYACTL = sys.argv[1:3]
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class World(node.World):
    """Two authorities, `ca` and `other`; node, client and old by the first, stranger by the other."""

    def prepare(self):
        for name in ("ca", "other"):
            self.openssl("req", "-x509", *EC, "-days", "30", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
        self.sign("node", "ca")
        self.sign("client", "ca")
        self.sign("old", "ca", "-1")
        self.sign("stranger", "other")

    def openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.room.dir, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def sign(self, who, authority, days="30"):
        self.openssl("req", *EC, "-subj", f"/CN={who}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", f"{who}.key",
                     "-out", f"{who}.csr")
        self.openssl("x509", "-req", "-in", f"{who}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-days", days,
                     "-copy_extensions", "copy", "-out", f"{who}.pem")

    def path(self, name):
        return os.path.join(self.room.dir, name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def shown(self, who=None, root="ca"):
        return grpc.ssl_channel_credentials(self.read(f"{root}.pem"), *((self.read(f"{who}.key"), self.read(f"{who}.pem")) if who else ()))

    def serve(self, name, *options, who="client"):
        made = self.make_node(name, ["--tls-cert", self.path("node.pem"), "--tls-key", self.path("node.key"), *options])
        made.credentials = self.shown(who) if who != "nobody" else None
        return made.start()

    def ctl(self, n, *words):
        return subprocess.run([MAYACTL, "--node", n.addrs["grpc"], "--timeout", "10", *words, "node", "show"], capture_output=True, text=True,
                              timeout=60, check=False)

    def files(self, who, root="ca"):
        return ["--ca", self.path(f"{root}.pem"), *(["--cert", self.path(f"{who}.pem"), "--key", self.path(f"{who}.key")] if who else [])]


def is_let_in(n, credentials):
    n.connect(credentials)
    assert n.call("HostRpc/GetMayastorInfo").version


def is_refused(n, credentials):
    n.connect(credentials)
    try:
        n.call("HostRpc/GetMayastorInfo", timeout=10)
    except node.Failed as failed:
        assert failed.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"), failed
        return
    raise AssertionError("it was let in")


@tap.case
def only_clients_with_a_certificate_of_theirs_are_let_in(w):
    n = w.serve("mutual", "--tls-ca", w.path("ca.pem"))
    is_let_in(n, w.shown("client"))
    for credentials in (w.shown(), w.shown("stranger"), w.shown("old"), None):
        is_refused(n, credentials)
    is_let_in(n, w.shown("client"))
    n.stop()
    assert "certificate" in n.words(), n.words()  # why they were dropped


@tap.case
def mayactl_shows_its_certificate(w):
    n = w.serve("typed", "--tls-ca", w.path("ca.pem"))
    done = w.ctl(n, *w.files("client"))
    assert done.returncode == 0 and "typed" in done.stdout, done
    for words in (w.files(None), w.files("stranger"), w.files("old"), w.files("client", "other"), []):
        done = w.ctl(n, *words)
        assert done.returncode == 5 and done.stderr.count("\n") == 1 and "--ca" in done.stderr, (words, done)
    n.stop()


@tap.case
def without_an_authority_any_client_is_let_in_by_tls(w):
    n = w.serve("open", who=None)
    is_let_in(n, w.shown())
    is_let_in(n, w.shown("stranger"))
    is_refused(n, None)
    is_refused(n, w.shown(root="other"))  # the client does not believe the node
    assert w.ctl(n, *w.files(None)).returncode == 0
    n.stop()


@tap.case
def a_unix_socket_is_plain(w):
    place = w.path("s")
    n = w.serve("local", "-g", f"unix:{place}", "--tls-ca", w.path("ca.pem"), who="nobody")
    assert subprocess.run([MAYACTL, "--node", f"unix:{place}", "node", "show"], capture_output=True, timeout=60, check=False).returncode == 0
    n.stop()


@tap.case
def files_that_are_none_are_named(w):
    with open(w.path("empty"), "w", encoding="ascii"):
        pass
    good = {"--tls-cert": "node.pem", "--tls-key": "node.key", "--tls-ca": "ca.pem"}
    for option, name in (("--tls-cert", "empty"), ("--tls-key", "empty"), ("--tls-ca", "empty"), ("--tls-cert", "nowhere"),
                         ("--tls-key", "client.key")):
        words = [word for pair in {**good, option: name}.items() for word in (pair[0], w.path(pair[1]))]
        done = subprocess.run([MAYASTOR, "daemon", "-g", "127.0.0.1:0", "--replica-port", "0", "--nexus-port", "0", "--state-dir",
                               w.path("none.state"), *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 2 and name in done.stderr and "ready" not in done.stdout, (option, name, done)
    assert not os.path.exists(w.path("none.state"))


@tap.case
def a_registrar_is_spoken_to_by_tls(w):
    heard = queue.Queue()

    class Registrar(grpc.GenericRpcHandler):
        def service(self, details):
            def answer(request, context):
                heard.put((details.method.rsplit("/", 1)[1], context.auth_context()["x509_common_name"], request))
                return b""
            return grpc.unary_unary_rpc_method_handler(answer)

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Registrar()])
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(w.read("client.key"), w.read("client.pem"))], w.read("ca.pem"),
                                                                             True))
    server.start()
    n = w.serve("guest", "--tls-ca", w.path("ca.pem"), "-R", f"https://127.0.0.1:{port}")
    method, who, request = heard.get(timeout=60)
    assert (method, who) == ("Register", [b"node"]) and w.room.pb.RegisterRequest.FromString(request).id == "guest"
    n.stop()
    while heard.get(timeout=60)[0] != "Deregister":
        pass
    server.stop(None)


sys.exit(tap.main(lambda: World(MAYASTOR)))
