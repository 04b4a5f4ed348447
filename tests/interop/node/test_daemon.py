#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_daemon - `mayastor daemon` as a service manager, an operator and a control plane see it: options, signals, state,
registration.

  test_daemon.py MAYASTOR
"""
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from concurrent import futures

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import grpc
    import node
except ImportError as error:
    tap.skip("node_daemon", error)

MAYASTOR = sys.argv[1]
MIB = 1 << 20


def refused(words, *options, code=64):
    done = subprocess.run([MAYASTOR, "daemon", *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == code and words in done.stderr and done.stderr.count("\n") == 1, (options, done)


@tap.case
def options_that_mean_what_is_not_had_are_refused(_):
    refused("etcd is not had", "-p", "etcd://etcd:2379")
    refused("etcd is not had", "--ps-endpoint=mayastor-etcd:2379")
    refused("--ps-endpoint 'mayastor-etcd:2379'", "-p=mayastor-etcd:2379")
    refused("--enable-rdma", "--enable-rdma")
    refused("V1", "--api-versions", "V0")
    refused("https", "-R", "https://agent:50051")
    refused("--tls-key", "--tls-cert", "a.pem")
    refused("--tls-cert", "--tls-ca", "a.pem")


@tap.case
def bad_options_are_one_line(_):
    for options, words in ((["--tea"], "--tea"), (["-N"], "-N"), (["-l", "a"], "--core-list"), (["-m", "0"], "--reactor-mask"),
                           (["-l", "5-1"], "--core-list"), (["--reactors", "65"], "1 to 64"), (["-g", "nowhere:x"], "--grpc-endpoint"),
                           (["-T", "name:eth0"], "--nvmf-tgt-interface"), (["--replica-port", "70000"], "65535"),
                           (["--state-dir", "here"], "--state-dir"), (["-N", "n" * 64], "--node-name")):
        refused(words, *options)


@tap.case
def options_of_the_published_engine_are_taken_and_noted(room):
    n = node.Node(MAYASTOR, room, "flags", ["-s", "1024", "-u", "-L", "info", "-l1,2", "-r", "/tmp/x", "-F", "compact",
                                           "--huge-dir=/dev/hugepages", "--tgt-crdt", "30", "-p", f"sqlite://{room.dir}/v.db",
                                           "--tgt-iface", "ip:127.0.0.1", "--api-versions=V1", "--ptpl-dir", "/x", "-y=/x/config.yaml",
                                           "--bdev-pool-size", "65535", "--nvme-ctl-pool-size", "65535", "--env-context=--iova-mode=pa"])
    n.start()
    assert n.call("HostRpc/GetMayastorInfo").registration_info.id == "flags"
    n.stop()
    for option in ("--mem-size", "--no-pci", "--rpc-address", "--huge-dir", "--tgt-crdt", "--mayastor-config", "--env-context"):
        assert f"option={option}" in n.words(), option
    assert os.path.exists(f"{room.dir}/v.db")


@tap.case
def the_service_manager_is_told(room):
    place = os.path.join(room.dir, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        manager.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = place
        try:
            n = node.Node(MAYASTOR, room, "told").start()
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert manager.recv(99) == b"READY=1"
        seconds = n.stop()
        assert manager.recv(99) == b"STOPPING=1"
    assert seconds < 10, seconds


@tap.case
def a_damaged_state_is_refused_and_left_as_it_is(room):
    n = node.Node(MAYASTOR, room, "damaged").start()
    n.call("BdevRpc/Create", uri="malloc:///m?size_mb=4")
    n.stop()
    path = os.path.join(n.state, "node.json")
    with open(path, encoding="utf-8") as file:
        good = file.read()
    for bad in ("", "[]", good[:-20], good.replace('"version":1', '"version":2'), good.replace('"uri"', '"url"'),
                good.replace('"shared":false', '"shared":7')):
        with open(path, "w", encoding="utf-8") as file:
            file.write(bad)
        refused("the node's state", "-g", "127.0.0.1:0", "--replica-port", "0", "--nexus-port", "0", "--state-dir", n.state, code=2)
        with open(path, encoding="utf-8") as file:
            assert file.read() == bad
    with open(path, "w", encoding="utf-8") as file:
        file.write(good)
    n.start()
    assert len(n.call("BdevRpc/List").bdevs) == 1
    n.stop()


@tap.case
def a_pool_whose_disk_is_away_comes_back_when_it_does(room):
    n = node.Node(MAYASTOR, room, "away").start()
    disk = room.disk("away-disk")
    n.call("PoolRpc/CreatePool", name="p", disks=[disk])
    made = n.call("ReplicaRpc/CreateReplica", name="r", uuid="11111111-1111-4111-8111-111111111111", pooluuid="p", size=MIB,
                  thin=True, share=1)
    n.stop()
    os.rename(disk, disk + ".hidden")
    n.start()
    pools = n.call("PoolRpc/ListPools").pools
    assert [(p.name, p.state) for p in pools] == [("p", 3)], pools
    try:
        n.call("ReplicaRpc/CreateReplica", name="s", uuid="11111111-1111-4111-8111-111111111112", pooluuid="p", size=MIB)
        raise AssertionError("it is not there")
    except node.Failed as failed:
        assert failed.code == "UNAVAILABLE" and "p" in failed.words, failed
    os.rename(disk + ".hidden", disk)
    until = time.monotonic() + 60
    while n.call("PoolRpc/ListPools").pools[0].state != 1:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert n.call("ReplicaRpc/ListReplicas").replicas[0] == made
    n.stop()


def states(n):
    return {nexus.name: nexus.state for nexus in n.call("NexusRpc/ListNexus").nexus_list}


UNKNOWN, ONLINE, CREW = 0, 1, 16
PATIENT = "connect_ms=600000&timeout_ms=600000&wait_ms=600000"  # longer than this test: no try of theirs ends


@tap.case
def nexuses_that_wait_for_a_peer_hold_up_no_other(room):
    far = node.Node(MAYASTOR, room, "far").start()
    n = node.Node(MAYASTOR, room, "near").start()
    far.call("PoolRpc/CreatePool", name="f", disks=[room.disk("far-disk")])
    n.call("PoolRpc/CreatePool", name="a", disks=[room.disk("near-disk")])

    def replica(at, pool, i):
        return at.call("ReplicaRpc/CreateReplica", name=f"{pool}{i}", uuid=f"22222222-2222-4222-8222-22222222{pool}{i:03}", pooluuid=pool,
                       size=8 * MIB, thin=True, share=1).uri

    def nexus(name, i, child):
        n.call("NexusRpc/CreateNexus", name=name, uuid=f"33333333-3333-4333-8333-333333333{i:03}", size=4 * MIB, children=[child])

    replica(n, "a", 0)
    slow = [f"slow{i}" for i in range(CREW + 3)]
    for i, name in enumerate(slow):
        if i == CREW - 1:
            nexus("here", 99, "pool:///a/a0")  # the last one of those that are tried first
        uri = replica(far, "f", i)
        nexus(name, i, f"{uri}{'&' if '?' in uri else '?'}{PATIENT}")
    n.kill()
    far.child.send_signal(signal.SIGSTOP)
    n.start()
    until = time.monotonic() + 60
    while states(n)["here"] != ONLINE:
        assert time.monotonic() < until, states(n)
        time.sleep(0.05)
    assert {states(n)[name] for name in slow} == {UNKNOWN}, states(n)
    n.stop()  # while they wait
    n.start()
    far.child.send_signal(signal.SIGCONT)
    while set(states(n).values()) != {ONLINE}:
        assert time.monotonic() < until, states(n)
        time.sleep(0.05)
    n.stop()
    far.stop()


@tap.case
def a_node_registers_and_says_goodbye(room):
    heard = queue.Queue()

    class Registrar(grpc.GenericRpcHandler):
        def service(self, details):
            def answer(request, context):
                heard.put((details.method.rsplit("/", 1)[1], request))
                return b""
            return grpc.unary_unary_rpc_method_handler(answer) if "Registration" in details.method else None

    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[Registrar()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    n = node.Node(MAYASTOR, room, "guest", ["-R", f"http://127.0.0.1:{port}"]).start()
    method, request = heard.get(timeout=60)
    told = room.pb.RegisterRequest.FromString(request)
    assert method == "Register" and told.id == "guest" and told.grpc_endpoint == n.addrs["grpc"], told
    assert list(told.api_version) == [1] and told.instance_uuid.value, told
    n.stop()
    method, request = heard.get(timeout=60)
    while method == "Register":
        method, request = heard.get(timeout=60)
    assert method == "Deregister" and room.pb.DeregisterRequest.FromString(request).id == "guest"
    server.stop(None)


def figures(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rsplit(")", 1)[1].split()
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK"), rss / 1024


@tap.case
def a_hundred_replicas_come_back(room):
    n = node.Node(MAYASTOR, room, "many").start()
    n.call("PoolRpc/CreatePool", name="p", disks=[room.disk("many-disk", 1024 * MIB)])
    for i in range(100):
        n.call("ReplicaRpc/CreateReplica", name=f"r{i}", uuid=f"11111111-1111-4111-8111-111111111{i:03}", pooluuid="p", size=MIB,
               thin=True, share=1)
    n.stop()
    started = time.monotonic()
    n.start()
    replicas = n.call("ReplicaRpc/ListReplicas").replicas
    serving = time.monotonic() - started
    assert len(replicas) == 100 and all(r.share == 1 for r in replicas)
    before, _ = figures(n.child.pid)
    time.sleep(2)
    after, rss = figures(n.child.pid)
    print(f"# 100 shared replicas: serving after {serving:.2f} s, idle {50 * (after - before):.1f} % of a core, {rss:.0f} MiB")
    n.stop()


sys.exit(tap.main(node.Room))
