#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_metrics - the metrics of a node as Prometheus' own client library reads them, over curl and raw sockets.

  test_metrics.py MAYASTOR MAYACTL PROTO

PROTO is the folder proto/ of the sources.
"""
import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import urllib.request

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import nbd
    import node
    from prometheus_client.parser import text_string_to_metric_families
except ImportError as error:
    tap.skip("node_metrics", error)

MAYASTOR, MAYACTL, PROTO = sys.argv[1:4]
MIB = 1 << 20
ODD = 'n"odd"\\\u00fc'  # a nexus may be called so
R1, R2, NEXUS, ENTITY, FAR = (f"11111111-1111-4111-8111-11111111111{i}" for i in "12345")
SAMPLES = 100
CPU_S_MAX = 0.05  # of a scrape of 100 replicas, with sanitizers and all: a gross mistake is found


class World(node.World):
    def prepare(self):
        self.node.start()
        self.url = f"http://{self.node.addrs['metrics']}/metrics"
        call = self.node.call
        call("PoolRpc/CreatePool", name="p", disks=[self.room.disk("disk", 1024 * MIB)])
        for name, uuid in (("r1", R1), ("r2", R2)):
            call("ReplicaRpc/CreateReplica", name=name, uuid=uuid, pooluuid="p", size=16 * MIB, thin=True, share=1,
                 entity_id=ENTITY if name == "r1" else "")
        self.peer = self.make_node("peer").start()
        self.peer.call("PoolRpc/CreatePool", name="q", disks=[self.room.disk("peer.disk")])
        far = self.peer.call("ReplicaRpc/CreateReplica", name="far", uuid=FAR, pooluuid="q", size=16 * MIB, thin=True,
                             share=1)
        self.children = [f"bdev:///r1?uuid={R1}", far.uri]  # one here, one over NVMe/TCP
        call("NexusRpc/CreateNexus", name=ODD, uuid=NEXUS, size=16 * MIB, children=self.children)

    def text(self):
        with urllib.request.urlopen(self.url) as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return answer.read().decode()

    def families(self):
        return {family.name: family for family in text_string_to_metric_families(self.text())}

    def addr(self):
        host, port = self.node.addrs["metrics"].rsplit(":", 1)
        return host, int(port)

    def write_and_read(self, writes, reads):
        """Through the nexus, over NBD."""
        disk = nbd.NBD()
        disk.connect_uri(self.call("ShareRpc/CreateShare", name="v", bdev=NEXUS).uri)
        for i in range(writes):
            disk.pwrite(bytes([i]) * 4096, i * 4096)
        for i in range(reads):
            assert disk.pread(4096, i * 4096) == bytes([i]) * 4096
        disk.shutdown()

    def say(self, text):
        """What is answered until the node closes."""
        with socket.create_connection(self.addr(), timeout=60) as sock:
            sock.sendall(text)
            heard = b""
            while more := sock.recv(65536):
                heard += more
            return heard.decode()


def one(family, sample=None, **labels):
    found = [s.value for s in family.samples if (sample is None or s.name == sample)
             and all(s.labels.get(k) == v for k, v in labels.items())]
    assert len(found) == 1, (family.name, sample, labels, family.samples)
    return found[0]


@tap.case
def names_and_labels_are_the_published_ones(w):
    found = w.families()
    for name in ("status", "total_size_bytes", "used_size_bytes", "committed_size_bytes", "disk_capacity_bytes",
                 "io_error_count", "num_read_ops", "bytes_read", "num_write_ops", "bytes_written", "read_latency_us",
                 "write_latency_us"):
        family = found[f"diskpool_{name}"]
        assert family.type == "gauge" and [s.labels for s in family.samples] == [{"node": "node", "name": "p"}], family
    for name in ("num_read_ops", "bytes_read", "num_write_ops", "bytes_written", "read_latency_us", "write_latency_us"):
        family = found[f"replica_{name}"]
        assert family.type == "gauge" and {s.labels["name"] for s in family.samples} == {"r1", "r2"}, family
        assert set(family.samples[0].labels) == {"node", "name", "pv_name", "pool_name", "pool_uuid"}, family
        assert {s.labels["pv_name"] for s in family.samples} == {f"pvc-{ENTITY}", ""}, family
        family = found[f"volume_{name}"]
        assert family.type == "gauge" and [s.labels for s in family.samples] == [{"node": "node", "pv_name": "pvc-" + ODD}]
    assert one(found["diskpool_status"]) == 1 and one(found["diskpool_committed_size_bytes"]) == 32 * MIB
    assert one(found["diskpool_num_write_ops"]) > 0
    assert [s.labels for s in found["mayastor_node_online"].samples] == [{"node_id": "node"}]


@tap.case
def ours_tell_of_replicas_nexuses_and_children(w):
    found = w.families()
    assert one(found["mayastor_replica_size_bytes"], name="r1") == 16 * MIB
    assert one(found["mayastor_nexus_state"], name=ODD, state="online") == 1
    assert one(found["mayastor_nexus_size_bytes"], name=ODD) == 16 * MIB
    for uri in w.children:
        assert one(found["mayastor_child_state"], nexus=ODD, name=uri, state="in-sync") == 1
    assert one(found["mayastor_events"], kind="replica") == 2  # the parser takes _total away
    assert one(found["mayastor_grpc_calls"], "mayastor_grpc_calls_total", code="OK") >= 4


@tap.case
def every_hop_of_a_request_has_a_histogram(w):
    w.write_and_read(100, 50)
    found = w.families()
    latency = found["mayastor_io_latency_seconds"]
    assert latency.type == "histogram"
    hops = [("nexus", ODD, ""), ("child", w.children[0], ODD), ("child", w.children[1], ODD), ("replica", "r1", "p"),
            ("disk", "p", "")]
    for hop, name, of in hops:
        labels = {"hop": hop, "name": name, "of": of, "op": "write"}
        buckets = [(float(s.labels["le"]), s.value) for s in latency.samples if s.name.endswith("_bucket")
                   and all(s.labels[k] == v for k, v in labels.items())]
        assert len(buckets) == 24 and buckets == sorted(buckets), (hop, name, buckets)
        counts = [count for _, count in buckets]
        assert counts == sorted(counts) and counts[-1] == one(latency, "mayastor_io_latency_seconds_count", **labels)
        assert counts[-1] >= 100 and one(latency, "mayastor_io_latency_seconds_sum", **labels) > 0, (hop, name, counts)
        assert one(found["mayastor_io_errors"], **labels) == 0
    reads = {"hop": "nexus", "name": ODD, "op": "read"}
    assert one(latency, "mayastor_io_latency_seconds_count", **reads) == one(found["volume_num_read_ops"]) >= 50
    assert one(found["volume_bytes_written"]) >= 100 * 4096


@tap.case
def mayactl_tells_the_same(w):
    def ctl(*words):
        return subprocess.run([MAYACTL, "--node", w.node.addrs["grpc"], *words], capture_output=True, text=True, check=True,
                              timeout=60).stdout

    rows = json.loads(ctl("stats", "latency", ODD, "-o", "json"))
    hops = [(row["hop"], row["bdev"], row["of"]) for row in rows if row["op"] == "write"]
    assert hops == [("nexus", ODD, ""), *(("child", uri, ODD) for uri in w.children)], hops
    latency = w.families()["mayastor_io_latency_seconds"]
    for row in rows:
        assert sum(bucket["count"] for bucket in row["buckets"]) == row["count"], row
        uppers = [bucket["upper_ns"] for bucket in row["buckets"]]
        assert uppers == sorted(uppers) and uppers[-1] >= row["max_ns"] and row["sum_ns"] <= row["max_ns"] * row["count"]
        labels = {"hop": row["hop"], "name": row["bdev"], "op": row["op"]}
        assert one(latency, "mayastor_io_latency_seconds_count", **labels) == row["count"], row
        bound = 1 << 20  # 1 ms, in both
        assert one(latency, "mayastor_io_latency_seconds_bucket", le="0.001048576", **labels) == \
            sum(bucket["count"] for bucket in row["buckets"] if bucket["upper_ns"] < bound), row
    assert {row["hop"] for row in json.loads(ctl("stats", "latency", "-o", "json"))} == {"nexus", "child", "replica", "disk"}
    head, line = ctl("stats", "nexus").splitlines()
    assert head.split() == ["NAME", "READS", "READ", "EACH", "WRITES", "WRITTEN", "EACH"] and line.split()[-1] in ("us", "ms")
    pool = ctl("stats", "pool", "-o", "wide").splitlines()[0].split()
    assert pool[-3:] == ["UNMAPS", "UNMAPPED", "UUID"], pool


@tap.case
def a_scrape_leaves_no_trace(w):
    before = w.families()
    for _ in range(20):
        after = w.families()
    for name, family in before.items():
        if name.startswith(("diskpool_", "replica_", "volume_", "mayastor_io", "mayastor_nexus", "mayastor_child")):
            assert [s.value for s in family.samples] == [s.value for s in after[name].samples], name


@tap.case
def a_nexus_that_is_being_changed_holds_up_nobody(w):
    with socket.create_server(("127.0.0.1", 0)) as mute, concurrent.futures.ThreadPoolExecutor(1) as aside:
        mute.settimeout(30)  # a child that is connected to, and says nothing
        uri = f"nvmf://127.0.0.1:{mute.getsockname()[1]}/nqn.2019-05.io.openebs:mute"
        adding = aside.submit(w.node.call, "NexusRpc/AddChildNexus", uuid=NEXUS, uri=uri)
        peer, _ = mute.accept()
        found = w.families()
        assert not adding.done(), adding.result()
        assert one(found["mayastor_nexus_state"], name=ODD) == 1 and "volume_num_read_ops" not in found
        peer.close()
        mute.close()
        assert isinstance(adding.exception(60), node.Failed), "a mute child was added"
    assert "volume_num_read_ops" in w.families()


@tap.case
def curl_is_answered_and_refused_properly(w):
    def curl(*words):
        return subprocess.run(["curl", "-s", "-m", "60", "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\n", *words],
                              capture_output=True, text=True).stdout.splitlines()

    if subprocess.run(["curl", "--version"], capture_output=True).returncode:
        return
    other = w.url.replace("/metrics", "/other")
    assert curl(w.url) == ["200 1"] and curl("-I", w.url) == ["200 1"] and curl("--http1.0", w.url) == ["200 1"]
    assert curl(w.url, "-o", "/dev/null", w.url) == ["200 1", "200 0"], "the connection stays"
    assert curl(other) == ["404 1"] and curl("-d", "x=y", w.url) == ["405 1"] and curl("-X", "DELETE", w.url) == ["405 1"]
    assert curl("-H", "X: " + "y" * 9000, w.url) == ["431 1"] and curl("--http2-prior-knowledge", w.url) != ["200 1"]


@tap.case
def what_is_no_http_is_told_so_and_dropped(w):
    assert w.say(b"\x16\x03\x01\x00\x05hello\r\n\r\n").startswith("HTTP/1.1 400 Bad Request\r\n")
    assert w.say(b"GET /metrics HTTP/1.1\r\n\r\n").startswith("HTTP/1.1 400 ")
    assert w.say(b"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").count("HTTP/1.1 200") == 1
    both = w.say(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert both.count("HTTP/1.1 404 Not Found\r\n") == 2, both
    with socket.create_connection(w.addr()) as sock:  # whoever leaves in the middle
        sock.sendall(b"GET /metr")
    assert w.families()


@tap.case
def a_scrape_of_many_replicas_costs_little(w):
    for i in range(100):
        w.node.call("ReplicaRpc/CreateReplica", name=f"m{i}", uuid=f"33333333-3333-4333-8333-{i:012}", pooluuid="p",
                    size=4 * MIB, thin=True, share=1)
    ticks = os.sysconf("SC_CLK_TCK")

    def cpu_s():
        with open(f"/proc/{w.node.child.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    start = cpu_s()
    for _ in range(SAMPLES):
        text = w.text()
    cost = (cpu_s() - start) / SAMPLES
    print(f"# 100 replicas: {len(text)} bytes, {cost * 1000:.2f} ms of a core for a scrape")
    assert text.count("\nreplica_num_read_ops{") == 102 and cost < CPU_S_MAX, cost


@tap.case
def it_is_off_if_it_is_not_asked_for_and_refused_if_it_cannot_be(w):
    other = node.Node(MAYASTOR, w.room, name="other").start()
    assert "metrics" not in other.addrs and other.stop() < 30
    wrong = subprocess.run([MAYASTOR, "daemon", "--metrics-endpoint", "somewhere"], capture_output=True, text=True)
    assert wrong.returncode == 64 and "--metrics-endpoint 'somewhere': expected ADDR" in wrong.stderr, wrong


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO, ["--metrics-endpoint", "127.0.0.1:0"])))
