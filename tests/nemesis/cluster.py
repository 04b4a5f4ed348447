# SPDX-License-Identifier: Apache-2.0
"""
cluster - storage nodes and nexuses as processes, each in a network namespace of its own, on one bridge.

Everything lives in namespaces that end with this process: user, network, mounts, processes. The
store is one SQLite file. A nexus reaches the replicas through a proxy (proxy.py) on the bridge, or, where
figures are wanted, directly.
"""
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BRIDGE = "10.9.0.1"
MIB = 1 << 20
SECONDS = 120  # for what takes no time


class Failure(Exception):
    pass


def enter():
    """Run this program again in namespaces; exit with a skip where that cannot be."""
    if os.environ.get("NEMESIS") == "inside":
        return
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"]
    missing = [tool for tool in ("unshare", "nsenter", "ip", "fio") if not shutil.which(tool)]
    probe = ("mount -t tmpfs none /run && ip link add br0 type bridge && ip netns add n1"
             " && ip link add n1 type veth peer name eth0 netns n1")
    if not missing and subprocess.run(unshare + ["sh", "-c", probe], stdout=subprocess.DEVNULL,
                                      stderr=subprocess.DEVNULL, check=False).returncode:
        missing = ["namespaces of its own (unshare, ip netns)"]
    if missing:
        print(f"1..0 # SKIP this machine has no {', '.join(missing)}")
        sys.exit(0)
    os.environ["NEMESIS"] = "inside"
    os.execvp("unshare", unshare + [sys.executable, *sys.argv])


def sh(line):
    done = subprocess.run(line, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise Failure(f"{line}: {done.stdout}")


class Process:
    """A program in a namespace, its lines as they come."""

    def __init__(self, where, argv):
        self.argv = ["nsenter", f"--net=/run/netns/{where}", *argv]
        self.child = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        self.said = []
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.child.stdout:
            self.said.append(line.rstrip("\n"))
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, seconds=SECONDS):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failure(f"{self.argv[4:7]}: says nothing; last: {self.said[-5:]}") from None
        if line is None:
            raise Failure(f"{self.argv[4:7]}: ended with {self.child.wait()}; last: {self.said[-5:]}")
        return line

    def tell(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        """As a person would; what it exits with."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.child.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.argv[4:7]}: does not end; last: {self.said[-5:]}") from None


class Storage:
    def __init__(self, cluster, number, size):
        self.cluster, self.name = cluster, f"s{number}"
        self.pool, self.ip = f"{cluster.dir}/pool{number}", f"10.9.0.{10 + number}"
        self.nqn = f"nqn.2019-05.io.openebs:replica{number}"
        with open(self.pool, "wb") as file:
            file.truncate(4 * size + 64 * MIB)
        cluster.good(f"pool create p{number} {self.pool}")
        cluster.good(f"replica create p{number}/r --size {size} {self.pool}")
        self.uri = f"pool:///p{number}/r"
        self.port = 5000 + number
        door = f"{BRIDGE}:{self.port}" if cluster.is_proxied else f"{self.ip}:4420"
        self.child_uri = f"nvmf://{door}/{self.nqn}{cluster.uri_options}"
        self.process = None

    def start(self):
        self.process = Process(self.name, [self.cluster.mayastor, "export", "nvmf", "--listen", f"{self.ip}:4420",
                                           "--pool", self.pool, "--nqn", self.nqn, "--replica", self.uri])
        while self.process.line() != "ready":
            pass

    def link(self, up):
        sh(f"ip link set {self.name} {'up' if up else 'down'}")


class Nexus:
    """`mayastor nexus serve --json`."""

    def __init__(self, cluster, where, options=()):
        self.cluster, self.where = cluster, where
        cluster.serial += 1
        self.socket = f"{cluster.dir}/nbd{cluster.serial}"
        self.events = []
        door = ["--nbd-socket", self.socket] if "--listen" not in options else []
        self.process = Process(where, [cluster.mayastor, "nexus", "serve", "v", "--store", cluster.store, "--json",
                                       *cluster.serve_options, *door, *options])

    def until(self, wanted, seconds=SECONDS):
        until = time.monotonic() + seconds
        while True:
            line = self.process.line(max(0.01, until - time.monotonic()))
            try:
                told = json.loads(line)
            except ValueError:
                raise Failure(f"nexus on {self.where}: {line}") from None
            if wanted(told):
                return told
            self.events.append(told)

    def ready(self):
        self.told = self.until(lambda o: o.get("event") == "ready")
        return self.told

    def ask(self, line):
        self.process.tell(line)
        found = []

        def answered(told):
            if "ok" not in told and "event" not in told:
                found.append(told)
            return "ok" in told
        return found, self.until(answered)

    def state(self):
        return self.ask("state")[0][0]

    def settle(self, seconds=SECONDS):
        """Until all children are in sync; those that are tried again later are told to begin now."""
        until = time.monotonic() + seconds
        while True:
            state = self.state()
            bad = [child for child in state["children"] if child["state"] != "in-sync"]
            if not bad and state["state"] == "serving":
                return state
            if time.monotonic() > until:
                raise Failure(f"redundancy does not come back: {json.dumps(state)}")
            for child in bad:
                if child["rebuild"]["state"] == "waiting":
                    self.ask(f"rebuild start {child['uri']}")
            time.sleep(0.05)


class Cluster:
    def __init__(self, mayastor, size=64 * MIB, volume=None, uri_options="", serve_options=(), is_proxied=True):
        self.mayastor, self.size, self.uri_options, self.serve_options = mayastor, size, uri_options, serve_options
        self.is_proxied = is_proxied
        memory = "/dev/shm"
        self.dir = tempfile.mkdtemp(prefix="nemesis.", dir=memory if os.access(memory, os.W_OK) else None)
        self.store = f"sqlite://{self.dir}/store"
        self.serial = 0
        self.wire()
        self.storage = [Storage(self, number, size) for number in (1, 2, 3)]
        for node in self.storage:
            node.start()
        self.proxy = subprocess.Popen(
            [sys.executable, f"{HERE}/proxy.py",
             *(f"{node.name}={BRIDGE}:{node.port},{node.ip}:4420" for node in self.storage)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.proxy.stdout.readline() == "ready\n"
        done = subprocess.run([mayastor, "nexus", "create", "v", *(node.child_uri for node in self.storage), "--store",
                               self.store, *(["--uuid", volume] if volume else [])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise Failure(done.stdout)

    @staticmethod
    def wire():
        sh("mount -t tmpfs none /run && ip link set lo up && ip link add br0 type bridge && ip link set br0 up"
           f" && ip addr add {BRIDGE}/24 dev br0")
        for name, last in (("s1", 11), ("s2", 12), ("s3", 13), ("n1", 21), ("n2", 22)):
            sh(f"ip netns add {name} && ip link add {name} type veth peer name eth0 netns {name}"
               f" && ip link set {name} master br0 up && ip -n {name} link set lo up"
               f" && ip -n {name} addr add 10.9.0.{last}/24 dev eth0 && ip -n {name} link set eth0 up")

    def good(self, line):
        done = subprocess.run([self.mayastor, *line.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        if done.returncode:
            raise Failure(f"{line}: {done.stdout}")
        return done.stdout

    def wire_is(self, node, mode):
        self.proxy.stdin.write(f"{node.name} {mode}\n")
        self.proxy.stdin.flush()
        assert self.proxy.stdout.readline() == "ok\n"

    def same_at_rest(self):
        """Storage nodes stopped, replicas compared byte by byte, pools checked."""
        sums = []
        for node in self.storage:
            if node.process.end():
                raise Failure(f"{node.name} ended badly: {node.process.said[-3:]}")
            if "no errors" not in self.good(f"pool check --quiet {node.pool}"):
                raise Failure(f"pool of {node.name} is damaged")
            self.good(f"replica snapshot {node.uri[8:]} rest {node.pool}")  # a replica itself serves who fenced it
            door = Process("n1", [self.mayastor, "export", "nbd", "--socket", f"{self.dir}/door", "--pool", node.pool,
                                  "--uri", node.uri[:-1] + "rest"])
            while door.line() != "ready":
                pass
            sums.append(self.digest(f"{self.dir}/door"))
            door.end()
        return len(set(sums)) == 1

    def digest(self, path):
        import hashlib
        from load import Nbd, READ
        digest = hashlib.sha1()
        nbd = Nbd(path, "", SECONDS)
        for at in range(0, self.size, MIB):
            digest.update(nbd.do(READ, at, MIB))
        nbd.close()
        return digest.hexdigest()

    def close(self):
        for node in self.storage:
            if node.process:
                node.process.kill()
        self.proxy.kill()
        self.proxy.wait()
        shutil.rmtree(self.dir)
