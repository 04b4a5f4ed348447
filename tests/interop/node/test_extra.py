#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_extra - mayastor.x1, what is ours: NBD shares, details of nexuses and pools, latencies, records, the check.

  test_extra.py MAYASTOR PROTO

PROTO is the folder proto/ of the sources.
"""
import importlib
import shutil
import subprocess
import sys
import time
import traceback

try:
    import grpc
    import node
except ImportError as error:
    print(f"1..1\nok 1 - node_extra # SKIP {error}")
    sys.exit(0)

MAYASTOR, PROTO = sys.argv[1:3]
MIB = 1 << 20
REPLICA, NEXUS, NOBODY = (f"11111111-1111-4111-8111-11111111111{i}" for i in "129")
cases = []


def case(fn):
    cases.append(fn)
    return fn


class World:
    def __init__(self):
        self.room = node.Room()
        self.node = node.Node(MAYASTOR, self.room).start()
        names = [f"mayastor/x1/{name}.proto" for name in ("share", "nexus", "pool", "latency", "volume", "event")]
        subprocess.run(["protoc", f"-I{PROTO}", "-I/usr/include", f"--python_out={self.room.dir}", *names], check=True)
        self.pb = {name.split("/")[2][:-6]: importlib.import_module(name[:-6].replace("/", ".") + "_pb2") for name in names}
        self.node.call("PoolRpc/CreatePool", name="p", disks=[self.room.disk("disk")])
        made = self.node.call("ReplicaRpc/CreateReplica", name="r", uuid=REPLICA, pooluuid="p", size=16 * MIB, thin=True)
        self.node.call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=16 * MIB, children=[made.uri])

    def call(self, path, file, ask, reply, streams=False, **fields):
        make = self.node.channel.unary_stream if streams else self.node.channel.unary_unary
        kind = getattr(self.pb[file], ask)
        function = make(f"/mayastor.x1.{path}", request_serializer=kind.SerializeToString,
                        response_deserializer=getattr(self.pb[file], reply).FromString if reply else lambda x: x)
        try:
            answer = function(kind(**fields), timeout=20)
            return list(answer) if streams else answer
        except grpc.RpcError as error:
            raise node.Failed(error) from None

    def fails(self, code, *args, **fields):
        try:
            answer = self.call(*args, **fields)
        except node.Failed as failed:
            assert failed.code == code and failed.words, f"{args} {fields}: {failed}, expected {code}"
            return
        raise AssertionError(f"{args} {fields}: {answer}")

    def share(self, **fields):
        return self.call("ShareRpc/CreateShare", "share", "CreateShareRequest", "Share", **fields)

    def shares(self):
        return self.call("ShareRpc/ListShares", "share", "ListSharesRequest", "ListSharesResponse").shares


@case
def a_nexus_is_offered_by_nbd_also_after_a_kill(w):
    made = w.share(name="v", bdev="n")
    assert made == w.share(name="v", bdev="n") and made.uri.startswith("nbd+unix:///v?socket="), made
    if shutil.which("nbdinfo"):
        size = subprocess.run(["nbdinfo", "--size", made.uri], capture_output=True, text=True, check=True).stdout
        assert int(size) == 16 * MIB, size
    w.node.kill()
    w.node.start()
    assert [s.uri for s in w.shares()] == [made.uri]
    w.call("ShareRpc/DestroyShare", "share", "DestroyShareRequest", None, name="v")
    assert not w.shares()


@case
def shares_are_refused_with_words(w):
    share = "ShareRpc/CreateShare", "share", "CreateShareRequest", "Share"
    w.share(name="v", bdev="malloc:///m?size_mb=4", read_only=True)
    w.fails("ALREADY_EXISTS", *share, name="v", bdev="n")
    w.fails("NOT_FOUND", *share, name="x", bdev="nobody")
    w.fails("INVALID_ARGUMENT", *share, name="", bdev="n")
    w.fails("INVALID_ARGUMENT", *share, name="x", bdev="")
    w.fails("INVALID_ARGUMENT", *share, name="x", bdev="n", door=1)
    w.fails("INVALID_ARGUMENT", *share, name="x", bdev="n", allowed_hosts=["nqn.a"])
    w.fails("FAILED_PRECONDITION", *share, name="x", bdev="r")  # the nexus has it
    w.fails("NOT_FOUND", "ShareRpc/DestroyShare", "share", "DestroyShareRequest", None, name="x")
    w.call("ShareRpc/DestroyShare", "share", "DestroyShareRequest", None, name="v")


@case
def a_nexus_tells_what_it_is_made_of(w):
    detail = "NexusExtraRpc/GetNexusDetail", "nexus", "NexusDetailRequest", "NexusDetail"
    until_open(w)
    found = w.call(*detail, nexus="n")
    assert found.uuid == NEXUS and found.state == "serving" and found.epoch >= 1, found
    assert [(c.state, c.is_local) for c in found.children] == [("in-sync", True)], found
    limits = "NexusExtraRpc/SetRebuildLimits", "nexus", "SetRebuildLimitsRequest", "RebuildLimits"
    assert w.call(*limits, nexus="n", limits={"bytes_per_s": 1 << 30}).bytes_per_s == 1 << 30
    assert w.call(*detail, nexus=NEXUS).limits.bytes_per_s == 1 << 30
    w.fails("NOT_FOUND", *detail, nexus=NOBODY)
    w.fails("INVALID_ARGUMENT", *detail, nexus="")
    w.fails("INVALID_ARGUMENT", *limits, nexus="n")
    w.fails("INVALID_ARGUMENT", *limits, nexus="n", limits={"tasks": 2})


def until_open(w):
    end = time.monotonic() + 30
    while w.node.call("NexusRpc/ListNexus", uuid=NEXUS).nexus_list[0].state != 1:
        assert time.monotonic() < end
        time.sleep(0.02)


@case
def a_pool_tells_more_and_its_disks_are_checked(w):
    detail = "PoolExtraRpc/GetPoolDetail", "pool", "PoolDetailRequest", "PoolDetail"
    found = w.call(*detail, pool="p")
    assert found.state == "online" and found.replicas == 1 and found.committed_bytes == 16 * MIB, found
    w.fails("NOT_FOUND", *detail, pool=NOBODY)
    check = "PoolExtraRpc/CheckPool", "pool", "CheckPoolRequest", "CheckPoolResponse", True
    other = w.room.disk("other", 64 * MIB)
    w.fails("NOT_FOUND", *check, disks=[other])
    w.fails("INVALID_ARGUMENT", *check, disks=[])
    w.node.call("PoolRpc/CreatePool", name="o", disks=[other])
    w.node.call("PoolRpc/ExportPool", name="o")
    last = w.call(*check, disks=[other])[-1]
    assert last.done and last.errors == 0 and last.pages > 0, last


@case
def latencies_and_records_are_told(w):
    latency = "LatencyRpc/GetLatency", "latency", "GetLatencyRequest", "GetLatencyResponse"
    w.call(*latency)
    w.fails("NOT_FOUND", *latency, bdev="nobody")
    volumes = "VolumeRpc/ListVolumes", "volume", "ListVolumesRequest", "ListVolumesResponse"
    found = w.call(*volumes).volumes
    assert [(v.uuid, v.name, v.size_bytes) for v in found] == [(NEXUS, "n", 16 * MIB)], found
    assert [(m.uri, m.state, m.replica_uuid) for m in found[0].members] == [("pool:///p/r", "in-sync", REPLICA)], found
    assert not w.call(*volumes, volume=NOBODY).volumes
    w.fails("INVALID_ARGUMENT", *volumes, volume="x")


def main():
    print(f"1..{len(cases)}")
    world, failed = World(), False
    try:
        for number, check in enumerate(cases, 1):
            try:
                check(world)
                print(f"ok {number} - {check.__name__}", flush=True)
            except Exception:
                failed = True
                print(f"not ok {number} - {check.__name__}")
                print("# " + (traceback.format_exc() + world.node.words()[-1500:]).replace("\n", "\n# "), flush=True)
        world.node.stop()
    finally:
        if world.node.child.poll() is None:
            world.node.kill()
        world.room.close()
    return failed


sys.exit(main())
