#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_table - every RPC that a node serves, called by a client nobody here wrote: RPC x {ok, not found, exists,
invalid, precondition}.

  test_table.py MAYASTOR PROTO [--js BUILD] [CASE...]

The client is python3-grpcio, or (--js; its modules are fetched into BUILD) @grpc/grpc-js. PROTO is the folder proto/ of the sources.

A cell is a check, or the reason why it cannot happen; an RPC without all five cells is a failed test, and so is one
that is served and not in the table, or published, not served, and not UNIMPLEMENTED in so many words.
"""
import fcntl
import os
import sys
import time
import uuid

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node
    import published
    import table_x1
except ImportError as error:
    tap.skip("node_table", error)

MAYASTOR, PROTO = sys.argv[1:3]
JS = os.path.abspath(sys.argv[4]) if sys.argv[3:4] == ["--js"] else None
MIB = 1 << 20
COLUMNS = ("ok", "not_found", "exists", "invalid", "precondition")
LATER = {"SnapshotRpc/CreateNexusSnapshot",
         *(f"{service}/{name}" for service in ("TestRpc", "JsonRpc", "SnapshotRebuildRpc")
           for name in published.SERVICES[service])}
ELSEWHERE = {f"Registration/{name}" for name in published.SERVICES["Registration"]}  # the control plane serves it
NOTHING = str(uuid.UUID(int=0xdead, version=4))
ANY = "it has no arguments"
LIST = "a list of none is an answer"
MAKES_NOTHING = "it makes nothing that could exist"
ALWAYS = "it is possible in every state"
NO_BAD = "each value of its arguments is good"
TABLE = {}


def row(path, **cells):
    assert path not in TABLE, path
    TABLE[path] = cells


class World(node.World):
    def prepare(self):
        if JS:
            self.room.js = node.Js(modules(), self.room)
        self.node.start()
        self.count, self.lock, self.has_rebuilt = 0, None, False
        self.disk = self.room.disk("pool", 512 * MIB)
        self.call("PoolRpc/CreatePool", name="p", disks=[self.disk])

    def last_words(self):
        return self.node.words()[-9000:]

    def end(self, is_well):
        if self.room.js:
            self.room.js.end()
        super().end(is_well)

    def name(self, word="x"):
        self.count += 1
        return f"{word}{self.count}", str(uuid.UUID(int=(0xabc << 64) + self.count, version=4))

    def replica(self, size=8 * MIB, **fields):
        name, ident = self.name("r")
        return self.call("ReplicaRpc/CreateReplica", name=name, uuid=ident, pooluuid="p", size=size, thin=True, **fields)

    def snapshot(self, replica=None):
        name, ident = self.name("s")
        replica = replica or self.replica()
        return self.call("SnapshotRpc/CreateReplicaSnapshot", replica_uuid=replica.uuid, snapshot_uuid=ident,
                         snapshot_name=name, entity_id="e", txn_id="7").snapshot

    def nexus(self, children=1, size=8 * MIB):
        name, ident = self.name("n")
        uris = [self.replica(size).uri for _ in range(children)]
        return self.call("NexusRpc/CreateNexus", name=name, uuid=ident, size=size, children=uris).nexus

    def bdev(self):
        name, _ = self.name("m")
        return self.call("BdevRpc/Create", uri=f"malloc:///{name}?size_mb=8").bdev

    def gone(self, path, field, **fields):
        """Not found by an unknown uuid, and not by an unknown name."""
        for value in (NOTHING, "nobody"):
            self.fails("NOT_FOUND", path, **{field: value}, **fields)


# ---- pools ---------------------------------------------------------------------------------------------------

def pool_ok(w):
    disk = w.room.disk("ok", 64 * MIB)
    first = w.call("PoolRpc/CreatePool", name="ok", disks=[disk], uuid=w.name()[1])
    assert first.name == "ok" and list(first.disks) == [disk] and first.state == 1 and first.capacity > 32 * MIB, first
    assert first == w.call("PoolRpc/CreatePool", name="ok", disks=[disk], uuid=first.uuid)
    w.call("PoolRpc/DestroyPool", name="ok")
    size = w.call("PoolRpc/CreatePool", name="ok", disks=[f"file://{disk}"], cluster_size=131072).cluster_size
    assert size == 131072, size
    w.call("PoolRpc/ExportPool", name="ok")
    again = w.call("PoolRpc/CreatePool", name="ok", disks=[disk])  # the disk bears this very pool
    assert again.cluster_size == 131072, again
    w.call("PoolRpc/DestroyPool", name=again.uuid)


def pool_exists(w):
    other = w.room.disk("other", 64 * MIB)
    w.fails("ALREADY_EXISTS", "PoolRpc/CreatePool", name="p", disks=[other])
    w.fails("ALREADY_EXISTS", "PoolRpc/CreatePool", name="p", disks=[w.disk], uuid=NOTHING)
    w.fails("ALREADY_EXISTS", "PoolRpc/CreatePool", name="q", disks=[other], uuid=w.call("PoolRpc/ListPools").pools[0].uuid)


def pool_invalid(w):
    disk = w.room.disk("bad", 64 * MIB)
    for fields in ({"name": "", "disks": [disk]}, {"name": "a/b", "disks": [disk]}, {"name": "a", "disks": []},
                   {"name": "a", "disks": ["nonsense://x"]}, {"name": "a", "disks": [disk], "uuid": "1234"},
                   {"name": "a", "disks": [disk], "cluster_size": 12345}, {"name": "a", "disks": [disk], "pooltype": 1},
                   {"name": "a", "disks": [disk, disk]}, {"name": "n" * 65, "disks": [disk]}):
        w.fails("INVALID_ARGUMENT", "PoolRpc/CreatePool", **fields)
    w.fails("RESOURCE_EXHAUSTED", "PoolRpc/CreatePool", name="a", disks=[w.room.disk("small", MIB)])


def pool_precondition(w):
    words = w.fails("FAILED_PRECONDITION", "PoolRpc/CreatePool", name="q", disks=[w.disk])
    assert "p" in words, words
    disk = w.room.disk("xfs", 64 * MIB)
    with open(disk, "r+b") as file:
        file.write(b"XFSB" + bytes(4092))
    w.fails("FAILED_PRECONDITION", "PoolRpc/CreatePool", name="q", disks=[disk])


row("PoolRpc/CreatePool", ok=pool_ok, exists=pool_exists, invalid=pool_invalid, precondition=pool_precondition,
    not_found=lambda w: w.fails("NOT_FOUND", "PoolRpc/CreatePool", name="q", disks=["/nowhere/disk"]))


def import_ok(w):
    disk = w.room.disk("import", 64 * MIB)
    made = w.call("PoolRpc/CreatePool", name="i", disks=[disk])
    w.call("PoolRpc/ExportPool", name="i", uuid=made.uuid)
    assert "i" not in [pool.name for pool in w.call("PoolRpc/ListPools").pools]
    assert w.call("PoolRpc/ImportPool", name="i", disks=[disk]).uuid == made.uuid
    assert w.call("PoolRpc/ImportPool", name="i", disks=[disk], uuid=made.uuid).uuid == made.uuid
    w.call("PoolRpc/DestroyPool", name="i")


def import_precondition(w):
    w.fails("FAILED_PRECONDITION", "PoolRpc/ImportPool", name="q", disks=[w.disk])  # it is p's


row("PoolRpc/ImportPool", ok=import_ok, precondition=import_precondition,
    not_found=lambda w: w.fails("NOT_FOUND", "PoolRpc/ImportPool", name="q", disks=[w.room.disk("blank", 64 * MIB)]),
    exists=lambda w: w.fails("ALREADY_EXISTS", "PoolRpc/ImportPool", name="p", disks=[w.room.disk("blank", 64 * MIB)]),
    invalid=lambda w: w.fails("INVALID_ARGUMENT", "PoolRpc/ImportPool", name="q", disks=[]))


def export_ok(w):
    disk = w.room.disk("export", 64 * MIB)
    w.call("PoolRpc/CreatePool", name="e", disks=[disk])
    name, ident = w.name("r")
    w.call("ReplicaRpc/CreateReplica", name=name, uuid=ident, pooluuid="e", size=4 * MIB, thin=True, share=1)
    w.call("PoolRpc/ExportPool", name="e")
    assert not [r for r in w.call("ReplicaRpc/ListReplicas").replicas if r.poolname == "e"]
    w.call("PoolRpc/ImportPool", name="e", disks=[disk])
    assert w.call("ReplicaRpc/ListReplicas", poolname="e").replicas[0].share == 1
    w.call("ReplicaRpc/DestroyReplica", uuid=ident)
    w.call("PoolRpc/DestroyPool", name="e")


def pool_busy(w, path):
    nexus = w.nexus()
    w.fails("FAILED_PRECONDITION", path, name="p")
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)
    assert w.call("PoolRpc/ListPools", name="p").pools[0].state == 1


row("PoolRpc/ExportPool", ok=export_ok, not_found=lambda w: w.gone("PoolRpc/ExportPool", "name"), exists=MAKES_NOTHING,
    invalid=lambda w: w.fails("INVALID_ARGUMENT", "PoolRpc/ExportPool", name="p", uuid="1234"),
    precondition=lambda w: pool_busy(w, "PoolRpc/ExportPool"))


def destroy_ok(w):
    disk = w.room.disk("destroy", 64 * MIB)
    made = w.call("PoolRpc/CreatePool", name="d", disks=[disk])
    w.fails("NOT_FOUND", "PoolRpc/DestroyPool", name="d", uuid=NOTHING)
    w.call("PoolRpc/DestroyPool", name="d", uuid=made.uuid)
    w.fails("NOT_FOUND", "PoolRpc/ImportPool", name="d", disks=[disk])


row("PoolRpc/DestroyPool", ok=destroy_ok, not_found=lambda w: w.gone("PoolRpc/DestroyPool", "name"),
    exists=MAKES_NOTHING, precondition=lambda w: pool_busy(w, "PoolRpc/DestroyPool"),
    invalid=lambda w: w.fails("INVALID_ARGUMENT", "PoolRpc/DestroyPool", name="p", uuid="1234"))


def pools_ok(w):
    pools = w.call("PoolRpc/ListPools").pools
    assert [pool.name for pool in pools] == ["p"], pools
    assert w.call("PoolRpc/ListPools", name="p").pools[0].uuid == pools[0].uuid
    assert w.call("PoolRpc/ListPools", uuid=pools[0].uuid).pools[0].name == "p"
    assert not w.call("PoolRpc/ListPools", name="q").pools and not w.call("PoolRpc/ListPools", pooltype={"value": 1}).pools


row("PoolRpc/ListPools", ok=pools_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS)


def grow_ok(w):
    disk = w.room.disk("grow", 64 * MIB)
    w.call("PoolRpc/CreatePool", name="g", disks=[disk])
    os.truncate(disk, 96 * MIB)
    grown = w.call("PoolRpc/GrowPool", name="g")
    assert grown.current_pool.capacity - grown.previous_pool.capacity == 32 * MIB, grown
    w.call("PoolRpc/DestroyPool", name="g")


row("PoolRpc/GrowPool", ok=grow_ok, not_found=lambda w: w.gone("PoolRpc/GrowPool", "name"), exists=MAKES_NOTHING,
    invalid=lambda w: w.fails("INVALID_ARGUMENT", "PoolRpc/GrowPool", name="p", uuid="1234"),
    precondition="a pool that has not grown stays as it is")


# ---- replicas --------------------------------------------------------------------------------------------------

def replica_ok(w):
    name, ident = w.name("r")
    ask = dict(name=name, uuid=ident, pooluuid="p", size=5 * MIB - 1, thin=True, share=1,
               allowed_hosts=["nqn.2014-08.org.nvmexpress:uuid:a"], entity_id="vol")
    made = w.call("ReplicaRpc/CreateReplica", **ask)
    assert made.size == 5 * MIB and made.thin and made.share == 1 and made.entity_id == "vol", made
    assert made.uri.startswith("nvmf://127.0.0.1:") and made.uri.endswith(
        f"/nqn.2019-05.io.openebs:{name}?uuid={ident}"), made.uri
    assert list(made.allowed_hosts) == ask["allowed_hosts"]
    assert made == w.call("ReplicaRpc/CreateReplica", **ask)
    ask["pooluuid"] = made.pooluuid
    assert made == w.call("ReplicaRpc/CreateReplica", **ask)
    name, ident = w.name("r")
    thick = w.call("ReplicaRpc/CreateReplica", name=name, uuid=ident, pooluuid="p", size=4 * MIB)
    assert not thick.thin and thick.usage.allocated_bytes == 4 * MIB, thick
    assert thick.uri == f"bdev:///{name}?uuid={ident}", thick.uri


def replica_exists(w):
    made = w.replica()
    name, ident = w.name("r")
    good = dict(name=made.name, uuid=made.uuid, pooluuid="p", size=made.size, thin=True)
    for change in ({"size": 9 * MIB}, {"thin": False}, {"name": name}, {"uuid": ident}, {"share": 1}, {"entity_id": "x"}):
        w.fails("ALREADY_EXISTS", "ReplicaRpc/CreateReplica", **{**good, **change})
    snap = w.snapshot(made)
    w.fails("ALREADY_EXISTS", "ReplicaRpc/CreateReplica", **{**good, "name": snap.snapshot_name, "uuid": snap.snapshot_uuid})
    w.call("SnapshotRpc/DestroySnapshot", snapshot_uuid=snap.snapshot_uuid)


def replica_invalid(w):
    name, ident = w.name("r")
    good = dict(name=name, uuid=ident, pooluuid="p", size=MIB)
    for change in ({"name": ""}, {"uuid": ""}, {"uuid": "12"}, {"size": 0}, {"name": "a/b"}, {"share": 2}, {"share": 9},
                   {"share": 1, "allowed_hosts": ["me"]}, {"size": 1 << 60}, {"entity_id": "e" * 64}):
        w.fails("INVALID_ARGUMENT", "ReplicaRpc/CreateReplica", **{**good, **change})
    w.fails("RESOURCE_EXHAUSTED", "ReplicaRpc/CreateReplica", **{**good, "size": 1 << 40})
    assert not w.call("ReplicaRpc/ListReplicas", name=name).replicas


row("ReplicaRpc/CreateReplica", ok=replica_ok, exists=replica_exists, invalid=replica_invalid,
    not_found=lambda w: w.gone("ReplicaRpc/CreateReplica", "pooluuid", name="r", uuid=w.name()[1], size=MIB),
    precondition="what a pool cannot hold is RESOURCE_EXHAUSTED, which is tried among the invalid")


def replica_destroy_ok(w):
    for fields in ({}, {"pool_name": "p"}, {"pool_uuid": w.call("PoolRpc/ListPools").pools[0].uuid}):
        made = w.replica(share=1)
        w.call("ReplicaRpc/DestroyReplica", uuid=made.uuid, **fields)
        assert not w.call("ReplicaRpc/ListReplicas", uuid=made.uuid).replicas


def replica_destroy_not_found(w):
    w.gone("ReplicaRpc/DestroyReplica", "uuid")
    w.fails("NOT_FOUND", "ReplicaRpc/DestroyReplica", uuid=w.replica().uuid, pool_name="q")


def replica_destroy_precondition(w):
    nexus = w.nexus()
    child = nexus.children[0].uri.split("uuid=")[1]
    w.fails("FAILED_PRECONDITION", "ReplicaRpc/DestroyReplica", uuid=child)
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)
    w.call("ReplicaRpc/DestroyReplica", uuid=child)


def invalid_replica(w, path, **fields):
    snap = w.snapshot()
    w.fails("INVALID_ARGUMENT", path, uuid=snap.snapshot_uuid, **fields)
    w.fails("INVALID_ARGUMENT", path, uuid="", **fields)


row("ReplicaRpc/DestroyReplica", ok=replica_destroy_ok, not_found=replica_destroy_not_found, exists=MAKES_NOTHING,
    invalid=lambda w: invalid_replica(w, "ReplicaRpc/DestroyReplica"), precondition=replica_destroy_precondition)


def replicas_ok(w):
    made, snap = w.replica(), w.snapshot()
    clone = w.call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snap.snapshot_uuid, clone_name=w.name("c")[0],
                   clone_uuid=w.name()[1])
    names = {r.name for r in w.call("ReplicaRpc/ListReplicas").replicas}
    assert made.name in names and clone.name in names and snap.snapshot_name not in names, names
    kinds = [{r.name for r in w.call("ReplicaRpc/ListReplicas", query={kind: True}).replicas}
             for kind in ("replica", "snapshot", "clone")]
    assert [made.name in kinds[0], snap.snapshot_name in kinds[1], clone.name in kinds[2]] == [True] * 3, kinds
    assert not kinds[0] & kinds[1] and not kinds[1] & kinds[2] and not kinds[0] & kinds[2], kinds
    for fields in ({"name": made.name}, {"uuid": made.uuid}, {"name": made.name, "pooluuid": made.pooluuid}):
        assert [r.uuid for r in w.call("ReplicaRpc/ListReplicas", **fields).replicas] == [made.uuid], fields
    assert not w.call("ReplicaRpc/ListReplicas", poolname="q").replicas
    assert not w.call("ReplicaRpc/ListReplicas", pooltypes=[1]).replicas


row("ReplicaRpc/ListReplicas", ok=replicas_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS)


def share_ok(w):
    made = w.replica()
    shared = w.call("ReplicaRpc/ShareReplica", uuid=made.uuid, share=1)
    assert shared.share == 1 and shared.uri.startswith("nvmf://"), shared
    assert shared == w.call("ReplicaRpc/ShareReplica", uuid=made.name, share=1)
    hosts = ["nqn.2014-08.org.nvmexpress:uuid:b", "nqn.2014-08.org.nvmexpress:uuid:c"]
    assert list(w.call("ReplicaRpc/ShareReplica", uuid=made.uuid, share=1, allowed_hosts=hosts).allowed_hosts) == hosts


def share_invalid(w):
    made = w.replica()
    invalid_replica(w, "ReplicaRpc/ShareReplica", share=1)
    for fields in ({"share": 0}, {"share": 2}, {"share": 7}, {"share": 1, "allowed_hosts": ["x"]},
                   {"share": 1, "allowed_hosts": ["nqn." + "n" * 220]}, {"share": 1, "allowed_hosts": ["nqn.a"] * 65}):
        w.fails("INVALID_ARGUMENT", "ReplicaRpc/ShareReplica", uuid=made.uuid, **fields)


row("ReplicaRpc/ShareReplica", ok=share_ok, not_found=lambda w: w.gone("ReplicaRpc/ShareReplica", "uuid", share=1),
    exists="a share that is there is changed to what is asked for", invalid=share_invalid,
    precondition="one in use may be shared: its fence decides who writes")


def unshare_ok(w):
    made = w.replica(share=1)
    for _ in range(2):
        plain = w.call("ReplicaRpc/UnshareReplica", uuid=made.uuid)
        assert plain.share == 0 and plain.uri.startswith("bdev:///"), plain


row("ReplicaRpc/UnshareReplica", ok=unshare_ok, not_found=lambda w: w.gone("ReplicaRpc/UnshareReplica", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: invalid_replica(w, "ReplicaRpc/UnshareReplica"),
    precondition="what is not shared stays so")


def resize_ok(w):
    made = w.replica(share=1)
    assert w.call("ReplicaRpc/ResizeReplica", uuid=made.uuid, requested_size=16 * MIB).size == 16 * MIB
    assert w.call("ReplicaRpc/ResizeReplica", uuid=made.name, requested_size=16 * MIB).size == 16 * MIB


def resize_invalid(w):
    made = w.replica()
    invalid_replica(w, "ReplicaRpc/ResizeReplica", requested_size=MIB)
    w.fails("INVALID_ARGUMENT", "ReplicaRpc/ResizeReplica", uuid=made.uuid, requested_size=0)
    w.fails("INVALID_ARGUMENT", "ReplicaRpc/ResizeReplica", uuid=made.uuid, requested_size=1 << 60)
    w.fails("RESOURCE_EXHAUSTED", "ReplicaRpc/ResizeReplica", uuid=made.uuid, requested_size=1 << 40)


row("ReplicaRpc/ResizeReplica", ok=resize_ok, exists=MAKES_NOTHING, invalid=resize_invalid,
    not_found=lambda w: w.gone("ReplicaRpc/ResizeReplica", "uuid", requested_size=MIB),
    precondition="what a pool cannot hold is RESOURCE_EXHAUSTED, which is tried among the invalid")


def entity_ok(w):
    made = w.replica()
    assert not made.HasField("entity_id")
    assert w.call("ReplicaRpc/SetReplicaEntityId", uuid=made.uuid, entity_id="me").entity_id == "me"


def entity_invalid(w):
    invalid_replica(w, "ReplicaRpc/SetReplicaEntityId", entity_id="a")
    w.fails("INVALID_ARGUMENT", "ReplicaRpc/SetReplicaEntityId", uuid=w.replica().uuid, entity_id="e" * 64)


row("ReplicaRpc/SetReplicaEntityId", ok=entity_ok, exists=MAKES_NOTHING, invalid=entity_invalid, precondition=ALWAYS,
    not_found=lambda w: w.gone("ReplicaRpc/SetReplicaEntityId", "uuid", entity_id="a"))


# ---- snapshots ------------------------------------------------------------------------------------------------

def snapshot_ok(w):
    made = w.replica()
    name, ident = w.name("s")
    ask = dict(replica_uuid=made.uuid, snapshot_uuid=ident, snapshot_name=name, entity_id="vol", txn_id="5")
    first = w.call("SnapshotRpc/CreateReplicaSnapshot", **ask)
    snap = first.snapshot
    assert (snap.snapshot_uuid, snap.source_uuid, snap.txn_id, snap.entity_id) == (ident, made.uuid, "5", "vol"), snap
    assert snap.source_size == made.size and snap.timestamp.seconds > 1e9 and snap.ready_as_source, snap
    assert first == w.call("SnapshotRpc/CreateReplicaSnapshot", **ask)


def snapshot_exists(w):
    snap, made = w.snapshot(), w.replica()
    good = dict(replica_uuid=snap.source_uuid, snapshot_uuid=snap.snapshot_uuid, snapshot_name=snap.snapshot_name,
                entity_id="e", txn_id="7")
    for change in ({"replica_uuid": made.uuid}, {"snapshot_name": "other"}, {"txn_id": "8"}, {"entity_id": "f"},
                   {"snapshot_uuid": made.uuid}, {"snapshot_uuid": w.name()[1]}):
        w.fails("ALREADY_EXISTS", "SnapshotRpc/CreateReplicaSnapshot", **{**good, **change})


def snapshot_invalid(w):
    good = dict(replica_uuid=w.replica().uuid, snapshot_uuid=w.name()[1], snapshot_name="z", entity_id="e", txn_id="1")
    for change in ({"replica_uuid": ""}, {"snapshot_uuid": ""}, {"snapshot_uuid": "4"}, {"snapshot_name": ""},
                   {"snapshot_name": "a/b"}, {"txn_id": "t" * 27}, {"entity_id": "e" * 63}):
        w.fails("INVALID_ARGUMENT", "SnapshotRpc/CreateReplicaSnapshot", **{**good, **change})
    w.fails("INVALID_ARGUMENT", "SnapshotRpc/CreateReplicaSnapshot", **{**good, "replica_uuid": w.snapshot().snapshot_uuid})


row("SnapshotRpc/CreateReplicaSnapshot", ok=snapshot_ok, exists=snapshot_exists, invalid=snapshot_invalid,
    not_found=lambda w: w.gone("SnapshotRpc/CreateReplicaSnapshot", "replica_uuid", snapshot_uuid=w.name()[1],
                               snapshot_name="z"), precondition=ALWAYS)


def snapshots_ok(w):
    made = w.replica()
    first, second = w.snapshot(made), w.snapshot(made)
    uuids = [s.snapshot_uuid for s in w.call("SnapshotRpc/ListSnapshot", source_uuid=made.uuid).snapshots]
    assert uuids == [first.snapshot_uuid, second.snapshot_uuid], uuids
    one = w.call("SnapshotRpc/ListSnapshot", snapshot_uuid=second.snapshot_uuid).snapshots
    assert [s.snapshot_name for s in one] == [second.snapshot_name]
    assert len(w.call("SnapshotRpc/ListSnapshot").snapshots) >= 2
    assert not w.call("SnapshotRpc/ListSnapshot", query={"discarded": True}).snapshots
    assert not w.call("SnapshotRpc/ListSnapshot", query={"invalid": True}).snapshots


row("SnapshotRpc/ListSnapshot", ok=snapshots_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS)


def snapshot_destroy_ok(w):
    snap = w.snapshot()
    w.call("SnapshotRpc/DestroySnapshot", snapshot_uuid=snap.snapshot_uuid, pool_name="p")
    assert not w.call("SnapshotRpc/ListSnapshot", snapshot_uuid=snap.snapshot_uuid).snapshots
    snap, clone = w.snapshot(), w.name("c")
    w.call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snap.snapshot_uuid, clone_name=clone[0], clone_uuid=clone[1])
    for _ in range(2):
        w.call("SnapshotRpc/DestroySnapshot", snapshot_uuid=snap.snapshot_uuid)
    left = w.call("SnapshotRpc/ListSnapshot", query={"discarded": True}).snapshots
    assert [s.snapshot_uuid for s in left] == [snap.snapshot_uuid] and left[0].num_clones == 1, left
    w.call("ReplicaRpc/DestroyReplica", uuid=clone[1])
    assert not w.call("SnapshotRpc/ListSnapshot", snapshot_uuid=snap.snapshot_uuid).snapshots


def snapshot_destroy_invalid(w):
    w.fails("INVALID_ARGUMENT", "SnapshotRpc/DestroySnapshot", snapshot_uuid="")
    w.fails("INVALID_ARGUMENT", "SnapshotRpc/DestroySnapshot", snapshot_uuid=w.replica().uuid)


def clone_of_discarded(w):
    snap, clone = w.snapshot(), w.name("c")
    w.call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snap.snapshot_uuid, clone_name=clone[0], clone_uuid=clone[1])
    w.call("SnapshotRpc/DestroySnapshot", snapshot_uuid=snap.snapshot_uuid)
    w.fails("INVALID_ARGUMENT", "SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snap.snapshot_uuid, clone_name="cc",
            clone_uuid=w.name()[1])
    w.call("ReplicaRpc/DestroyReplica", uuid=clone[1])


row("SnapshotRpc/DestroySnapshot", ok=snapshot_destroy_ok, exists=MAKES_NOTHING, invalid=snapshot_destroy_invalid,
    not_found=lambda w: w.gone("SnapshotRpc/DestroySnapshot", "snapshot_uuid"),
    precondition="with clones it is discarded, and goes with the last of them")


def clone_ok(w):
    snap, (name, ident) = w.snapshot(), w.name("c")
    ask = dict(snapshot_uuid=snap.snapshot_uuid, clone_name=name, clone_uuid=ident)
    made = w.call("SnapshotRpc/CreateSnapshotClone", **ask)
    assert made.is_clone and made.snapshot_uuid == snap.snapshot_uuid and made.size == snap.source_size, made
    assert made == w.call("SnapshotRpc/CreateSnapshotClone", **ask)
    assert w.call("ReplicaRpc/ShareReplica", uuid=ident, share=1).share == 1


def clone_exists(w):
    snap, other, (name, ident) = w.snapshot(), w.snapshot(), w.name("c")
    good = dict(snapshot_uuid=snap.snapshot_uuid, clone_name=name, clone_uuid=ident)
    w.call("SnapshotRpc/CreateSnapshotClone", **good)
    for change in ({"snapshot_uuid": other.snapshot_uuid}, {"clone_name": "else"}, {"clone_uuid": w.name()[1]}):
        w.fails("ALREADY_EXISTS", "SnapshotRpc/CreateSnapshotClone", **{**good, **change})


def clone_invalid(w):
    good = dict(snapshot_uuid=w.snapshot().snapshot_uuid, clone_name="k", clone_uuid=w.name()[1])
    for change in ({"snapshot_uuid": ""}, {"clone_name": ""}, {"clone_name": "a b"}, {"clone_uuid": ""},
                   {"clone_uuid": "x"}, {"snapshot_uuid": w.replica().uuid}):
        w.fails("INVALID_ARGUMENT", "SnapshotRpc/CreateSnapshotClone", **{**good, **change})
    clone_of_discarded(w)


row("SnapshotRpc/CreateSnapshotClone", ok=clone_ok, exists=clone_exists, invalid=clone_invalid, precondition=ALWAYS,
    not_found=lambda w: w.gone("SnapshotRpc/CreateSnapshotClone", "snapshot_uuid", clone_name="k", clone_uuid=w.name()[1]))


def clones_ok(w):
    snap, (name, ident) = w.snapshot(), w.name("c")
    w.call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snap.snapshot_uuid, clone_name=name, clone_uuid=ident)
    of = w.call("SnapshotRpc/ListSnapshotClone", snapshot_uuid=snap.snapshot_uuid).replicas
    assert [r.uuid for r in of] == [ident], of
    assert ident in [r.uuid for r in w.call("SnapshotRpc/ListSnapshotClone").replicas]


row("SnapshotRpc/ListSnapshotClone", ok=clones_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD,
    precondition=ALWAYS)


# ---- bdevs -----------------------------------------------------------------------------------------------------------

def bdev_ok(w):
    name, _ = w.name("m")
    uri = f"malloc:///{name}?size_mb=8&blk_size=4096"
    made = w.call("BdevRpc/Create", uri=uri)
    assert made.bdev.blk_size == 4096 and made.bdev.num_blocks == 2048 and made.bdev.uri == uri, made
    assert made == w.call("BdevRpc/Create", uri=uri)
    w.call("BdevRpc/Destroy", uri=uri)


def bdev_invalid(w):
    for uri in ("", "nonsense", "nowhere://x", "malloc:///x", "malloc:///x?size_mb=8&tea=1", "malloc:///x?size_mb=none"):
        w.fails("INVALID_ARGUMENT", "BdevRpc/Create", uri=uri)


def locked(w):
    """A disk that another process has."""
    path = w.room.disk("locked", 8 * MIB)
    if not w.lock:
        w.lock = open(path, "r+b")
        fcntl.flock(w.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return path


def bdev_exists(w):
    made = w.bdev()
    w.fails("ALREADY_EXISTS", "BdevRpc/Create", uri=made.uri.replace("=8", "=16"))


row("BdevRpc/Create", ok=bdev_ok, exists=bdev_exists, invalid=bdev_invalid,
    not_found=lambda w: w.fails("NOT_FOUND", "BdevRpc/Create", uri="file:///nowhere/disk"),
    precondition=lambda w: w.fails("FAILED_PRECONDITION", "BdevRpc/Create", uri=f"file://{locked(w)}"))


def bdev_destroy_ok(w):
    made = w.bdev()
    w.call("BdevRpc/Destroy", uri=made.uri)
    w.fails("NOT_FOUND", "BdevRpc/Destroy", uri=made.uri)


def bdev_destroy_precondition(w):
    made = w.bdev()
    w.call("BdevRpc/Share", name=made.name, protocol=1)
    w.fails("FAILED_PRECONDITION", "BdevRpc/Destroy", uri=made.uri)
    w.call("BdevRpc/Unshare", name=made.name)
    w.call("BdevRpc/Destroy", uri=made.name)
    name, _ = w.name("m")
    uri = w.call("BdevRpc/Create", uri=f"malloc:///{name}?size_mb=64").bdev.uri
    w.call("PoolRpc/CreatePool", name="onbdev", disks=[uri])
    w.fails("FAILED_PRECONDITION", "BdevRpc/Destroy", uri=uri)
    w.call("PoolRpc/DestroyPool", name="onbdev")
    w.call("BdevRpc/Destroy", uri=uri)


row("BdevRpc/Destroy", ok=bdev_destroy_ok, not_found=lambda w: w.fails("NOT_FOUND", "BdevRpc/Destroy", uri="malloc:///no"),
    exists=MAKES_NOTHING, invalid=lambda w: w.fails("INVALID_ARGUMENT", "BdevRpc/Destroy", uri=""),
    precondition=bdev_destroy_precondition)


def bdevs_ok(w):
    made, replica = w.bdev(), w.replica()
    names = {b.name: b for b in w.call("BdevRpc/List").bdevs}
    assert made.name in names and names[replica.name].uuid == replica.uuid, names
    assert [b.uri for b in w.call("BdevRpc/List", name=made.name).bdevs] == [made.uri]
    assert [b.name for b in w.call("BdevRpc/List", name=replica.uuid).bdevs] == [replica.name]


row("BdevRpc/List", ok=bdevs_ok, not_found=lambda w: w.gone("BdevRpc/List", "name"), exists=MAKES_NOTHING,
    invalid=NO_BAD, precondition=ALWAYS)


def bdev_share_ok(w):
    made = w.bdev()
    shared = w.call("BdevRpc/Share", name=made.name, protocol=1).bdev
    assert shared.share_uri.startswith("nvmf://127.0.0.1:") and shared.claimed, shared
    assert shared == w.call("BdevRpc/Share", name=made.uri, protocol=1).bdev
    w.call("BdevRpc/Unshare", name=made.name)


def bdev_share_invalid(w):
    made = w.bdev()
    for fields in ({"protocol": 0}, {"protocol": 2}, {"protocol": 1, "allowed_hosts": ["x"]}):
        w.fails("INVALID_ARGUMENT", "BdevRpc/Share", name=made.name, **fields)


def bdev_share_precondition(w):
    w.fails("FAILED_PRECONDITION", "BdevRpc/Share", name=w.replica().name, protocol=1)
    name, _ = w.name("m")
    uri = w.call("BdevRpc/Create", uri=f"malloc:///{name}?size_mb=64").bdev.uri
    w.call("PoolRpc/CreatePool", name="onbdev", disks=[uri])
    w.fails("FAILED_PRECONDITION", "BdevRpc/Share", name=uri, protocol=1)
    w.call("PoolRpc/DestroyPool", name="onbdev")


row("BdevRpc/Share", ok=bdev_share_ok, not_found=lambda w: w.gone("BdevRpc/Share", "name", protocol=1),
    exists="a share that is there is changed to what is asked for", invalid=bdev_share_invalid,
    precondition=bdev_share_precondition)


def bdev_unshare_ok(w):
    made = w.bdev()
    w.call("BdevRpc/Share", name=made.name, protocol=1)
    for _ in range(2):
        w.call("BdevRpc/Unshare", name=made.name)
    assert not w.call("BdevRpc/List", name=made.name).bdevs[0].share_uri


row("BdevRpc/Unshare", ok=bdev_unshare_ok, not_found=lambda w: w.gone("BdevRpc/Unshare", "name"), exists=MAKES_NOTHING,
    invalid=NO_BAD, precondition="what is not shared stays so")


# ---- nexuses ---------------------------------------------------------------------------------------------------------

def nexus_ok(w):
    name, ident = w.name("n")
    uris = [w.replica().uri, w.replica(share=1).uri]
    ask = dict(name=name, uuid=ident, size=8 * MIB, children=uris, minCntlId=1, maxCntlId=0xffef, resvKey=0x12345678,
               preemptKey=0, nexusInfoKey="k", resvType=5, preemptPolicy=1)
    first = w.call("NexusRpc/CreateNexus", **ask).nexus
    assert first.state == 1 and [c.uri for c in first.children] == uris and not first.device_uri, first
    assert [c.state for c in first.children] == [1, 1] and first.size == 8 * MIB, first
    assert first == w.call("NexusRpc/CreateNexus", **ask).nexus
    w.call("NexusRpc/DestroyNexus", uuid=ident)


def nexus_exists(w):
    made, more, (name, ident) = w.nexus(), w.replica(), w.name("n")
    good = dict(name=made.name, uuid=made.uuid, size=made.size, children=[c.uri for c in made.children])
    for change in ({"name": name}, {"uuid": ident}, {"size": 4 * MIB}, {"children": [more.uri]}):
        w.fails("ALREADY_EXISTS", "NexusRpc/CreateNexus", **{**good, **change})
    w.call("NexusRpc/DestroyNexus", uuid=made.uuid)


def nexus_invalid(w):
    name, ident = w.name("n")
    child = w.replica()
    good = dict(name=name, uuid=ident, size=8 * MIB, children=[child.uri])
    for change in ({"name": ""}, {"uuid": ""}, {"uuid": "1"}, {"size": 0}, {"size": 9 * MIB}, {"children": []},
                   {"children": ["nonsense"]}, {"children": [child.uri, child.uri]}, {"name": "n" * 64},
                   {"children": [f"bdev:///{i}" for i in range(9)]}, {"size": 8 * MIB - 1}):
        w.fails("INVALID_ARGUMENT", "NexusRpc/CreateNexus", **{**good, **change})
    assert not w.call("NexusRpc/ListNexus", uuid=ident).nexus_list


def nexus_precondition(w):
    made, (name, ident) = w.nexus(), w.name("n")
    w.fails("FAILED_PRECONDITION", "NexusRpc/CreateNexus", name=name, uuid=ident, size=8 * MIB,
            children=[c.uri for c in made.children])
    w.call("NexusRpc/DestroyNexus", uuid=made.uuid)


row("NexusRpc/CreateNexus", ok=nexus_ok, exists=nexus_exists, invalid=nexus_invalid, precondition=nexus_precondition,
    not_found=lambda w: w.fails("NOT_FOUND", "NexusRpc/CreateNexus", name="n", uuid=w.name()[1], size=MIB,
                                children=[f"bdev:///none?uuid={NOTHING}"]))


def nexus_destroy_ok(w):
    made = w.nexus()
    w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1)
    w.call("NexusRpc/DestroyNexus", uuid=made.uuid)
    assert not w.call("NexusRpc/ListNexus", uuid=made.uuid).nexus_list
    w.call("ReplicaRpc/DestroyReplica", uuid=made.children[0].uri.split("uuid=")[1])


def nexus_uuid_invalid(w, path, **fields):
    w.fails("INVALID_ARGUMENT", path, uuid="", **fields)


row("NexusRpc/DestroyNexus", ok=nexus_destroy_ok, not_found=lambda w: w.gone("NexusRpc/DestroyNexus", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: nexus_uuid_invalid(w, "NexusRpc/DestroyNexus"), precondition=ALWAYS)


def with_nexus(w, fn, children=1):
    """fn(nexus), on one that is destroyed afterwards."""
    made = w.nexus(children)
    try:
        fn(made)
    finally:
        w.call("NexusRpc/DestroyNexus", uuid=made.uuid)


def shut(w, path, field="uuid", children=1, child=False, **fields):
    """FAILED_PRECONDITION on a nexus that is shut down."""
    def check(made):
        w.call("NexusRpc/ShutdownNexus", uuid=made.uuid)
        more = {"uri": made.children[0].uri} if child else {}
        w.fails("FAILED_PRECONDITION", path, **{field: made.uuid}, **more, **fields)
    with_nexus(w, check, children)


def nexus_resize_ok(w):
    def check(made):
        child = made.children[0].uri.split("uuid=")[1]
        w.call("ReplicaRpc/ResizeReplica", uuid=child, requested_size=16 * MIB)
        assert w.call("NexusRpc/ResizeNexus", uuid=made.uuid, requested_size=16 * MIB).nexus.size == 16 * MIB
        w.call("NexusRpc/ResizeNexus", uuid=made.name, requested_size=16 * MIB)
    with_nexus(w, check)


def nexus_resize_invalid(w):
    nexus_uuid_invalid(w, "NexusRpc/ResizeNexus", requested_size=MIB)
    with_nexus(w, lambda made: [w.fails("INVALID_ARGUMENT", "NexusRpc/ResizeNexus", uuid=made.uuid, requested_size=size)
                                for size in (0, 4 * MIB, 8 * MIB + 1)])


row("NexusRpc/ResizeNexus", ok=nexus_resize_ok, exists=MAKES_NOTHING, invalid=nexus_resize_invalid,
    not_found=lambda w: w.gone("NexusRpc/ResizeNexus", "uuid", requested_size=MIB),
    precondition=lambda w: shut(w, "NexusRpc/ResizeNexus", requested_size=16 * MIB))


def nexuses_ok(w):
    def check(made):
        for fields in ({}, {"name": made.name}, {"uuid": made.uuid}):
            assert [n.uuid for n in w.call("NexusRpc/ListNexus", **fields).nexus_list] == [made.uuid], fields
        assert not w.call("NexusRpc/ListNexus", uuid=NOTHING).nexus_list
    with_nexus(w, check)


row("NexusRpc/ListNexus", ok=nexuses_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS)


def child_add_ok(w):
    def check(made):
        uri = w.replica().uri
        for _ in range(2):
            nexus = w.call("NexusRpc/AddChildNexus", uuid=made.uuid, uri=uri).nexus
            assert [c.uri for c in nexus.children] == [made.children[0].uri, uri], nexus
        settled(w, made)
    with_nexus(w, check)


def settled(w, made):
    """Until every child is online."""
    until = time.monotonic() + 30
    while True:
        nexus = w.call("NexusRpc/ListNexus", uuid=made.uuid).nexus_list[0]
        if nexus.state == 1:
            return nexus
        assert time.monotonic() < until, nexus
        time.sleep(0.05)


def child_add_invalid(w):
    with_nexus(w, lambda made: [w.fails("INVALID_ARGUMENT", "NexusRpc/AddChildNexus", uuid=made.uuid, uri=uri)
                                for uri in ("", "nonsense", "nowhere://x")])


def child_not_found(w, path, field="uuid", **fields):
    w.gone(path, field, uri="bdev:///x", **fields)
    with_nexus(w, lambda made: w.fails("NOT_FOUND", path, **{field: made.uuid}, uri=f"bdev:///none?uuid={NOTHING}", **fields))


row("NexusRpc/AddChildNexus", ok=child_add_ok, not_found=lambda w: child_not_found(w, "NexusRpc/AddChildNexus"),
    exists="a child that is there stays: the same answer", invalid=child_add_invalid,
    precondition=lambda w: shut(w, "NexusRpc/AddChildNexus", child=True))


def child_remove_ok(w):
    def check(made):
        nexus = w.call("NexusRpc/RemoveChildNexus", uuid=made.uuid, uri=made.children[1].uri).nexus
        assert [c.uri for c in nexus.children] == [made.children[0].uri], nexus
    with_nexus(w, check, 2)


def last_child(w, path, field="uuid", **fields):
    with_nexus(w, lambda made: w.fails("FAILED_PRECONDITION", path, **{field: made.uuid}, uri=made.children[0].uri, **fields))


def child_invalid(w, path, field="uuid", **fields):
    w.fails("INVALID_ARGUMENT", path, **{field: ""}, uri="bdev:///x", **fields)
    with_nexus(w, lambda made: w.fails("INVALID_ARGUMENT", path, **{field: made.uuid}, uri="", **fields))


row("NexusRpc/RemoveChildNexus", ok=child_remove_ok, exists=MAKES_NOTHING,
    not_found=lambda w: child_not_found(w, "NexusRpc/RemoveChildNexus"),
    invalid=lambda w: child_invalid(w, "NexusRpc/RemoveChildNexus"),
    precondition=lambda w: last_child(w, "NexusRpc/RemoveChildNexus"))


def child_fault_ok(w):
    def check(made):
        nexus = w.call("NexusRpc/FaultNexusChild", uuid=made.uuid, uri=made.children[1].uri).nexus
        assert nexus.state == 2 and nexus.children[1].state != 1 and nexus.children[1].state_reason == 7, nexus
    with_nexus(w, check, 2)


row("NexusRpc/FaultNexusChild", ok=child_fault_ok, exists=MAKES_NOTHING,
    not_found=lambda w: child_not_found(w, "NexusRpc/FaultNexusChild"),
    invalid=lambda w: child_invalid(w, "NexusRpc/FaultNexusChild"),
    precondition=lambda w: last_child(w, "NexusRpc/FaultNexusChild"))


def child_op_ok(w):
    def check(made):
        uri = made.children[1].uri
        for action in (0, 2, 3):
            w.call("NexusRpc/ChildOperation", nexus_uuid=made.uuid, uri=uri, action=action)
            assert w.call("NexusRpc/ChildOperation", nexus_uuid=made.uuid, uri=uri, action=1).nexus.uuid == made.uuid
            settled(w, made)
    with_nexus(w, check, 2)


row("NexusRpc/ChildOperation", ok=child_op_ok, exists=MAKES_NOTHING,
    not_found=lambda w: child_not_found(w, "NexusRpc/ChildOperation", "nexus_uuid"),
    invalid=lambda w: (child_invalid(w, "NexusRpc/ChildOperation", "nexus_uuid"),
                       w.fails("INVALID_ARGUMENT", "NexusRpc/ChildOperation", nexus_uuid=NOTHING, uri="a", action=4)),
    precondition=lambda w: last_child(w, "NexusRpc/ChildOperation", "nexus_uuid"))


def shutdown_ok(w):
    def check(made):
        w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1)
        for _ in range(2):
            assert w.call("NexusRpc/ShutdownNexus", uuid=made.uuid).nexus.state == 5
    with_nexus(w, check)


row("NexusRpc/ShutdownNexus", ok=shutdown_ok, not_found=lambda w: w.gone("NexusRpc/ShutdownNexus", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: nexus_uuid_invalid(w, "NexusRpc/ShutdownNexus"),
    precondition="one that is shut down stays so")


def publish_ok(w):
    def check(made):
        nexus = w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1, key="").nexus
        assert nexus.device_uri.endswith(f"/nqn.2019-05.io.openebs:{made.uuid}") and nexus.ana_state == 1, nexus
        assert nexus == w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1).nexus
        hosts = ["nqn.2014-08.org.nvmexpress:uuid:x"]
        nexus = w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1, allowed_hosts=hosts).nexus
        assert list(nexus.allowed_hosts) == hosts, nexus
    with_nexus(w, check)


def publish_invalid(w):
    nexus_uuid_invalid(w, "NexusRpc/PublishNexus", share=1)
    for fields in ({"share": 0}, {"share": 2}, {"share": 1, "allowed_hosts": ["x"]}):
        w.fails("INVALID_ARGUMENT", "NexusRpc/PublishNexus", uuid=NOTHING, **fields)


row("NexusRpc/PublishNexus", ok=publish_ok, not_found=lambda w: w.gone("NexusRpc/PublishNexus", "uuid", share=1),
    exists="one that is published is published as asked for", invalid=publish_invalid,
    precondition=lambda w: shut(w, "NexusRpc/PublishNexus", share=1))


def unpublish_ok(w):
    def check(made):
        w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1)
        for _ in range(2):
            assert not w.call("NexusRpc/UnpublishNexus", uuid=made.uuid).nexus.device_uri
    with_nexus(w, check)


row("NexusRpc/UnpublishNexus", ok=unpublish_ok, not_found=lambda w: w.gone("NexusRpc/UnpublishNexus", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: nexus_uuid_invalid(w, "NexusRpc/UnpublishNexus"),
    precondition="one that is not published stays so")


def ana_ok(w):
    def check(made):
        w.call("NexusRpc/PublishNexus", uuid=made.uuid, share=1)
        for state in (2, 3, 1):
            assert w.call("NexusRpc/SetNvmeAnaState", uuid=made.uuid, ana_state=state).nexus.ana_state == state
            assert w.call("NexusRpc/GetNvmeAnaState", uuid=made.uuid).ana_state == state
    with_nexus(w, check)


def not_published(w, path, **fields):
    with_nexus(w, lambda made: w.fails("FAILED_PRECONDITION", path, uuid=made.uuid, **fields))


row("NexusRpc/GetNvmeAnaState", ok=ana_ok, not_found=lambda w: w.gone("NexusRpc/GetNvmeAnaState", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: nexus_uuid_invalid(w, "NexusRpc/GetNvmeAnaState"),
    precondition=lambda w: not_published(w, "NexusRpc/GetNvmeAnaState"))
row("NexusRpc/SetNvmeAnaState", ok=ana_ok, exists=MAKES_NOTHING,
    not_found=lambda w: w.gone("NexusRpc/SetNvmeAnaState", "uuid", ana_state=1),
    invalid=lambda w: [w.fails("INVALID_ARGUMENT", "NexusRpc/SetNvmeAnaState", uuid=NOTHING, ana_state=state)
                       for state in (0, 4, 15)],
    precondition=lambda w: not_published(w, "NexusRpc/SetNvmeAnaState", ana_state=1))


# ---- rebuilds --------------------------------------------------------------------------------------------------------

def rebuild_start_ok(w):
    def check(made):
        uri = made.children[1].uri
        w.call("NexusRpc/StartRebuild", nexus_uuid=made.uuid, uri=uri)  # in sync: nothing to do
        w.call("NexusRpc/ChildOperation", nexus_uuid=made.uuid, uri=uri, action=0)
        w.call("NexusRpc/ChildOperation", nexus_uuid=made.uuid, uri=uri, action=1)
        w.call("NexusRpc/StartRebuild", nexus_uuid=made.uuid, uri=uri)
        settled(w, made)
    with_nexus(w, check, 2)


def rebuild_offline(w):
    def check(made):
        uri = made.children[1].uri
        w.call("NexusRpc/ChildOperation", nexus_uuid=made.uuid, uri=uri, action=0)
        w.fails("FAILED_PRECONDITION", "NexusRpc/StartRebuild", nexus_uuid=made.uuid, uri=uri)
    with_nexus(w, check, 2)


def rebuild_held(w, fn):
    """fn(nexus, uri) while a rebuild is held: so slow that it does not end by itself."""
    def check(made):
        added = w.call("NexusRpc/AddChildNexus", uuid=made.uuid, uri=slow_child(w), norebuild=False).nexus
        fn(made, added.children[1].uri)
    made = w.nexus(1, 8 * MIB)
    try:
        check(made)
    finally:
        w.call("NexusRpc/DestroyNexus", uuid=made.uuid)


def slow_child(w):
    """Each of its requests takes 50 ms."""
    name, _ = w.name("slow")
    return f"delay:///?ns=50000000&on=malloc:///{name}?size_mb=16"


def rebuild_states(w):
    def check(made, uri):
        ask = dict(nexus_uuid=made.uuid, uri=uri)
        states = {"init", "running", "paused", "stopped"}
        state = w.call("NexusRpc/GetRebuildState", **ask).state
        assert state in states, state
        stats = w.call("NexusRpc/GetRebuildStats", **ask)
        assert stats.block_size == 512 and stats.progress <= 100 and stats.start_time.seconds > 1e9, stats
        until_running(w, ask)
        w.call("NexusRpc/PauseRebuild", **ask)
        assert w.call("NexusRpc/GetRebuildState", **ask).state == "paused"
        w.fails("FAILED_PRECONDITION", "NexusRpc/PauseRebuild", **ask)
        w.call("NexusRpc/ResumeRebuild", **ask)
        w.fails("FAILED_PRECONDITION", "NexusRpc/ResumeRebuild", **ask)
        w.call("NexusRpc/StopRebuild", **ask)
        assert w.call("NexusRpc/GetRebuildState", **ask).state == "stopped"
        w.fails("FAILED_PRECONDITION", "NexusRpc/StopRebuild", **ask)
        # what was stopped before it copied anything has no history
        history = w.call("NexusRpc/GetRebuildHistory", uuid=made.uuid)
        assert history.name == made.name and all(r.state == 2 for r in history.records), history
        assert made.uuid in w.call("NexusRpc/ListRebuildHistory", count=1).histories
    rebuild_held(w, check)


def rebuild_once(w):
    """One story tells of all of them."""
    if not w.has_rebuilt:
        rebuild_states(w)
    w.has_rebuilt = True


def until_running(w, ask):
    until = time.monotonic() + 30
    while w.call("NexusRpc/GetRebuildState", **ask).state != "running":
        assert time.monotonic() < until
        time.sleep(0.01)


def rebuild_row(name, precondition, ok=rebuild_once):
    path = f"NexusRpc/{name}"
    row(path, ok=ok, not_found=lambda w: child_not_found(w, path, "nexus_uuid"), exists=MAKES_NOTHING,
        invalid=lambda w: child_invalid(w, path, "nexus_uuid"), precondition=precondition)


rebuild_row("StartRebuild", rebuild_offline, rebuild_start_ok)
for verb in ("StopRebuild", "PauseRebuild", "ResumeRebuild", "GetRebuildState", "GetRebuildStats"):
    rebuild_row(verb, lambda w, path=f"NexusRpc/{verb}": last_child(w, path, "nexus_uuid"))


row("NexusRpc/GetRebuildHistory", ok=rebuild_once, not_found=lambda w: w.gone("NexusRpc/GetRebuildHistory", "uuid"),
    exists=MAKES_NOTHING, invalid=lambda w: nexus_uuid_invalid(w, "NexusRpc/GetRebuildHistory"),
    precondition=lambda w: shut(w, "NexusRpc/GetRebuildHistory"))
row("NexusRpc/ListRebuildHistory", ok=rebuild_once, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD,
    precondition=ALWAYS)


# ---- figures, the host -----------------------------------------------------------------------------------------------

def stats_ok(w):
    pool = w.call("StatsRpc/GetPoolIoStats", name="p").stats
    assert len(pool) == 1 and pool[0].num_write_ops > 0 and pool[0].bytes_written > 0 and pool[0].tick_rate, pool
    made = w.replica(entity_id="vol")
    found = {s.stats.name: s for s in w.call("StatsRpc/GetReplicaIoStats").stats}
    assert found[made.name].entity_id == "vol" and found[made.name].stats.uuid == made.uuid, found
    with_nexus(w, lambda nexus: w.call("StatsRpc/GetNexusIoStats", name=nexus.name).stats[0].uuid == nexus.uuid or 1 / 0)


def reset_ok(w):
    w.call("StatsRpc/ResetIoStats")
    assert w.call("StatsRpc/GetPoolIoStats", name="p").stats[0].num_read_ops == 0


for kind in ("Pool", "Replica", "Nexus"):
    row(f"StatsRpc/Get{kind}IoStats", ok=stats_ok, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS,
        not_found=lambda w, path=f"StatsRpc/Get{kind}IoStats": w.fails("NOT_FOUND", path, name="nobody"))
row("StatsRpc/ResetIoStats", ok=reset_ok, not_found=ANY, exists=MAKES_NOTHING, invalid=ANY, precondition=ALWAYS)


def info_ok(w):
    info = w.call("HostRpc/GetMayastorInfo")
    assert info.version and info.registration_info.id == "node", info
    assert info.registration_info.grpc_endpoint == w.node.addrs["grpc"] and list(info.registration_info.api_version) == [1]
    assert info.registration_info.hostnqn.value == "nqn.2019-05.io.openebs:node-name:node", info
    assert uuid.UUID(info.registration_info.instance_uuid.value).version == 4, info


def devices_ok(w):
    every = w.call("HostRpc/ListBlockDevices", all=True).devices
    usable = w.call("HostRpc/ListBlockDevices").devices
    assert all(d.available for d in usable) and len(usable) <= len(every)
    assert {d.devname for d in usable} <= {d.devname for d in every}
    names = set(os.listdir("/sys/class/block"))
    assert {d.devname for d in every} == {f"/dev/{name}" for name in names}, every


def usage_ok(w):
    assert w.call("HostRpc/GetMayastorResourceUsage").usage.soft_faults > 0


for path, check in (("GetMayastorInfo", info_ok), ("ListBlockDevices", devices_ok), ("GetMayastorResourceUsage", usage_ok)):
    row(f"HostRpc/{path}", ok=check, not_found=ANY, exists=MAKES_NOTHING, invalid=ANY, precondition=ALWAYS)


def with_far(w, check):
    """A replica of another node, as a bdev of ours: through a controller there."""
    far = node.Node(MAYASTOR, w.room, f"far{w.name()[0]}").start()
    try:
        far.call("PoolRpc/CreatePool", name="f", disks=[w.room.disk("far", 128 * MIB)])
        uri = far.call("ReplicaRpc/CreateReplica", name="far", uuid=w.name()[1], pooluuid="f", size=72 * MIB, thin=True, share=1).uri
        w.call("BdevRpc/Create", uri=uri)
        check(far, uri.split("?")[0].removeprefix("nvmf://"), uri)
        w.call("BdevRpc/Destroy", uri=uri)
        far.stop()
    finally:
        if far.child.poll() is None:
            far.kill()
    os.remove(os.path.join(w.room.dir, "far"))


def is_in_state(w, name, state):
    until = time.monotonic() + 60
    while [(c.name, c.state) for c in w.call("HostRpc/ListNvmeControllers").controllers] != [(name, state)]:
        assert time.monotonic() < until, w.call("HostRpc/ListNvmeControllers")
        time.sleep(0.02)


def controllers_ok(w):
    def check(far, name, _):
        found = w.call("HostRpc/ListNvmeControllers").controllers
        assert [(c.name, c.state, c.size, c.blk_size) for c in found] == [(name, 2, 72 * MIB, 512)], found
        far.kill()
        is_in_state(w, name, 1)  # lost, and tried again
        far.start()
        is_in_state(w, name, 2)
    assert not w.call("HostRpc/ListNvmeControllers").controllers
    with_far(w, check)
    assert not w.call("HostRpc/ListNvmeControllers").controllers


def controller_stats_ok(w):
    def check(_, name, uri):
        before = w.call("HostRpc/StatNvmeController", name=f"nvmf://{name}").stats
        w.call("PoolRpc/CreatePool", name="over", disks=[uri])
        after = w.call("HostRpc/StatNvmeController", name=name).stats
        assert after.num_write_ops > before.num_write_ops and after.bytes_written >= 4096 and after.bytes_read, (before, after)
        w.call("PoolRpc/DestroyPool", name="over")
    with_far(w, check)


row("HostRpc/ListNvmeControllers", ok=controllers_ok, not_found=ANY, exists=MAKES_NOTHING, invalid=ANY, precondition=ALWAYS)
row("HostRpc/StatNvmeController", ok=controller_stats_ok, exists=MAKES_NOTHING, precondition=ALWAYS,
    not_found=lambda w: w.fails("NOT_FOUND", "HostRpc/StatNvmeController", name="127.0.0.1:8420/nqn.nobody"),
    invalid=lambda w: w.fails("INVALID_ARGUMENT", "HostRpc/StatNvmeController"))


table_x1.rows(row)


# ---- the table -------------------------------------------------------------------------------------------------------

def is_complete(w):
    served = {f"{service}/{name}" for services in (published.SERVICES, w.room.own) for service, methods in services.items()
              for name in methods}
    served -= LATER | ELSEWHERE
    assert served == set(TABLE), f"not in the table: {served - set(TABLE)}, not served: {set(TABLE) - served}"
    for path, cells in TABLE.items():
        assert set(cells) == set(COLUMNS), f"{path}: {set(COLUMNS) ^ set(cells)}"
    tried = sum(callable(cell) for cells in TABLE.values() for cell in cells.values())
    print(f"# {len(TABLE)} RPCs, {len(TABLE) * len(COLUMNS)} cells filled: {tried} tried, the others cannot be")


def is_unimplemented(w):
    for path in sorted(LATER):
        w.fails("UNIMPLEMENTED", path)


def health(w):
    """grpc.health.v1, as a probe asks: an empty request; the reply is 08 01, SERVING."""
    call = w.node.channel.unary_unary("/grpc.health.v1.Health/Check", request_serializer=lambda x: x,
                                      response_deserializer=lambda x: x)
    assert call(b"", timeout=10) == b"\x08\x01"


def leaves_nothing(w):
    """All that the cells made is listed again after a stop, and the state names nothing half made."""
    def listing():
        return (sorted(str(p) for p in w.call("PoolRpc/ListPools").pools),
                sorted(str(r) for r in w.call("ReplicaRpc/ListReplicas", query={"replica": True, "clone": True}).replicas),
                sorted(str(s) for s in w.call("SnapshotRpc/ListSnapshot").snapshots),
                sorted(b.uri for b in w.call("BdevRpc/List").bdevs))
    before = listing()
    seconds = w.node.stop()
    print(f"# stopped in {seconds:.3f} s")
    w.node.start()
    after = listing()
    assert before[1:] == after[1:], (before, after)
    with open(os.path.join(w.node.state, "node.json"), encoding="utf-8") as file:
        assert '"making":[\n  ]' in file.read()


def modules():
    """Of grpc-js, or the end: skipped, and why."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "grpc"))
    import gate
    import test_js
    try:
        return test_js.modules(JS)
    except gate.Skip as skip:
        tap.skip("node_table_js", skip)


def row_case(path, cells):
    def check(w):
        for column in COLUMNS:
            if callable(cells[column]):
                try:
                    cells[column](w)
                except Exception as error:
                    raise AssertionError(f"{column}: {error}") from error
    return path.replace("/", "_"), check


def add_cases():
    found = [("every_served_rpc_is_in_the_table", is_complete)]
    found += [row_case(path, cells) for path, cells in TABLE.items()]
    found += [("what_is_not_served_says_so", is_unimplemented), ("health_is_told", health), ("a_stop_keeps_everything", leaves_nothing)]
    only = sys.argv[5 if JS else 3:]
    for name, fn in found:
        if not only or name in only:
            tap.add(name, fn)


add_cases()
sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
