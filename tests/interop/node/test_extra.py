#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_extra - mayastor.x1, what is ours: NBD shares, details of nexuses and pools, latencies, records, the check.

  test_extra.py MAYASTOR PROTO

PROTO is the folder proto/ of the sources.
"""
import shutil
import subprocess
import sys
import time

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node
except ImportError as error:
    tap.skip("node_extra", error)

MAYASTOR, PROTO = sys.argv[1:3]
MIB = 1 << 20
REPLICA, NEXUS, NOBODY = (f"11111111-1111-4111-8111-11111111111{i}" for i in "129")


class World(node.World):
    def prepare(self):
        self.node.start()
        self.node.call("PoolRpc/CreatePool", name="p", disks=[self.room.disk("disk")])
        made = self.node.call("ReplicaRpc/CreateReplica", name="r", uuid=REPLICA, pooluuid="p", size=16 * MIB, thin=True)
        self.node.call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=16 * MIB, children=[made.uri])

    def share(self, **fields):
        return self.call("ShareRpc/CreateShare", **fields)

    def shares(self):
        return self.call("ShareRpc/ListShares").shares


@tap.case
def a_nexus_is_offered_by_nbd_also_after_a_kill(w):
    made = w.share(name="v", bdev="n")
    assert made == w.share(name="v", bdev="n") and made.uri.startswith("nbd+unix:///v?socket="), made
    if shutil.which("nbdinfo"):
        size = subprocess.run(["nbdinfo", "--size", made.uri], capture_output=True, text=True, check=True).stdout
        assert int(size) == 16 * MIB, size
    w.node.kill()
    w.node.start()
    assert [s.uri for s in w.shares()] == [made.uri]
    w.call("ShareRpc/DestroyShare", name="v")
    assert not w.shares()


@tap.case
def shares_are_refused_with_words(w):
    share = "ShareRpc/CreateShare"
    w.share(name="v", bdev="malloc:///m?size_mb=4", read_only=True)
    w.fails("ALREADY_EXISTS", share, name="v", bdev="n")
    w.fails("NOT_FOUND", share, name="x", bdev="nobody")
    w.fails("INVALID_ARGUMENT", share, name="", bdev="n")
    w.fails("INVALID_ARGUMENT", share, name="x", bdev="")
    w.fails("INVALID_ARGUMENT", share, name="x", bdev="n", door=1)
    w.fails("INVALID_ARGUMENT", share, name="x", bdev="n", allowed_hosts=["nqn.a"])
    w.fails("FAILED_PRECONDITION", share, name="x", bdev="r")  # the nexus has it
    w.fails("NOT_FOUND", "ShareRpc/DestroyShare", name="x")
    w.call("ShareRpc/DestroyShare", name="v")


@tap.case
def a_nexus_tells_what_it_is_made_of(w):
    detail = "NexusExtraRpc/GetNexusDetail"
    until_open(w)
    found = w.call(detail, nexus="n")
    assert found.uuid == NEXUS and found.state == "serving" and found.epoch >= 1, found
    assert [(c.state, c.is_local) for c in found.children] == [("in-sync", True)], found
    limits = "NexusExtraRpc/SetRebuildLimits"
    assert w.call(limits, nexus="n", limits={"bytes_per_s": 1 << 30}).bytes_per_s == 1 << 30
    assert w.call(detail, nexus=NEXUS).limits.bytes_per_s == 1 << 30
    w.fails("NOT_FOUND", detail, nexus=NOBODY)
    w.fails("INVALID_ARGUMENT", detail, nexus="")
    w.fails("INVALID_ARGUMENT", limits, nexus="n")
    w.fails("INVALID_ARGUMENT", limits, nexus="n", limits={"tasks": 2})


def until_open(w):
    end = time.monotonic() + 30
    while w.node.call("NexusRpc/ListNexus", uuid=NEXUS).nexus_list[0].state != 1:
        assert time.monotonic() < end
        time.sleep(0.02)


@tap.case
def a_pool_tells_more_and_its_disks_are_checked(w):
    detail = "PoolExtraRpc/GetPoolDetail"
    found = w.call(detail, pool="p")
    assert found.state == "online" and found.replicas == 1 and found.committed_bytes == 16 * MIB, found
    w.fails("NOT_FOUND", detail, pool=NOBODY)
    check = "PoolExtraRpc/CheckPool"
    other = w.room.disk("other", 64 * MIB)
    w.fails("NOT_FOUND", check, disks=[other])
    w.fails("INVALID_ARGUMENT", check, disks=[])
    w.node.call("PoolRpc/CreatePool", name="o", disks=[other])
    w.node.call("PoolRpc/ExportPool", name="o")
    last = w.call(check, disks=[other])[-1]
    assert last.done and last.errors == 0 and last.pages > 0, last


@tap.case
def latencies_and_records_are_told(w):
    latency = "LatencyRpc/GetLatency"
    w.call(latency)
    w.fails("NOT_FOUND", latency, bdev="nobody")
    volumes = "VolumeRpc/ListVolumes"
    found = w.call(volumes).volumes
    assert [(v.uuid, v.name, v.size_bytes) for v in found] == [(NEXUS, "n", 16 * MIB)], found
    assert [(m.uri, m.state, m.replica_uuid) for m in found[0].members] == [("pool:///p/r", "in-sync", REPLICA)], found
    assert not w.call(volumes, volume=NOBODY).volumes
    w.fails("INVALID_ARGUMENT", volumes, volume="x")


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
