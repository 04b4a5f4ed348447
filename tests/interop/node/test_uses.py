#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_uses - what stands on something keeps it from going: bdevs, shares, pools and nexuses on nexuses, replicas and pools.

  test_uses.py MAYASTOR PROTO

Each refusal names who is in the way, nothing of what is refused has begun, and a stop in any of these states is a clean one.
"""
import sys
import time
import uuid

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node
except ImportError as error:
    tap.skip("node_uses", error)

MAYASTOR, PROTO = sys.argv[1:3]
MIB = 1 << 20


class World(node.World):
    def prepare(self):
        self.node.start()
        self.count = 0
        self.pool = self.call("PoolRpc/CreatePool", name="p", disks=[self.room.disk("disk", 256 * MIB)]).uuid

    def refuses(self, code, names, path, **fields):
        words = self.fails(code, path, **fields)
        assert all(name in words for name in names), f"{path} {fields}: {words}"

    def share(self, bdev):
        self.call("ShareRpc/CreateShare", name="door", bdev=bdev)

    def unshare(self):
        self.call("ShareRpc/DestroyShare", name="door")

    def name(self, word):
        self.count += 1
        return f"{word}{self.count}", str(uuid.UUID(int=(0xabd << 64) + self.count, version=4))

    def replica(self, **fields):
        name, ident = self.name("r")
        return self.call("ReplicaRpc/CreateReplica", name=name, uuid=ident, pooluuid="p", size=8 * MIB, thin=True, **fields)

    def nexus(self):
        name, ident = self.name("n")
        return self.call("NexusRpc/CreateNexus", name=name, uuid=ident, size=8 * MIB, children=[self.replica().uri]).nexus

    def state(self, nexus):
        return self.call("NexusRpc/ListNexus", uuid=nexus.uuid).nexus_list[0]


def on_nexus(nexus):
    return [f"nexus:///{nexus.name}", f"nexus:///{nexus.uuid}", f"delay:///?ns=1000&on=nexus:///{nexus.uuid}",
            f"fault:///?on=delay%3A%2F%2F%2F%3Fns%3D1000%26on%3Dnexus%3A%2F%2F%2F{nexus.uuid}"]


@tap.case
def a_nexus_with_a_bdev_on_it_stays(w):
    nexus = w.nexus()
    for uri in on_nexus(nexus):
        is_view = uri.startswith("nexus")  # others claim it for themselves
        w.call("NexusRpc/PublishNexus" if is_view else "NexusRpc/UnpublishNexus", uuid=nexus.uuid, **({"share": 1} if is_view else {}))
        w.call("BdevRpc/Create", uri=uri)
        before = w.state(nexus)
        for path in ("NexusRpc/DestroyNexus", "NexusRpc/ShutdownNexus"):
            w.refuses("FAILED_PRECONDITION", [nexus.name, uri], path, uuid=nexus.uuid)
        assert w.state(nexus) == before, w.state(nexus)
        w.call("BdevRpc/Destroy", uri=uri)
    w.call("NexusRpc/ShutdownNexus", uuid=nexus.uuid)
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


@tap.case
def a_nexus_that_is_opened_through_its_own_door_stays(w):
    nexus = w.nexus()
    uri = w.call("NexusRpc/PublishNexus", uuid=nexus.uuid, share=1).nexus.device_uri
    w.call("BdevRpc/Create", uri=uri)
    w.refuses("FAILED_PRECONDITION", [nexus.name, uri], "NexusRpc/DestroyNexus", uuid=nexus.uuid)
    w.refuses("FAILED_PRECONDITION", [nexus.name, uri], "NexusRpc/ShutdownNexus", uuid=nexus.uuid)
    w.call("BdevRpc/Destroy", uri=uri)
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


@tap.case
def a_nexus_shared_by_nbd_is_shut_down_and_not_destroyed(w):
    nexus = w.nexus()
    for bdev in (nexus.name, *on_nexus(nexus)):
        w.share(bdev)
        w.refuses("FAILED_PRECONDITION", [nexus.name, "share", "door"], "NexusRpc/DestroyNexus", uuid=nexus.uuid)
        w.unshare()
    w.share(on_nexus(nexus)[2])
    assert w.call("NexusRpc/ShutdownNexus", uuid=nexus.uuid).nexus.state == 5
    w.refuses("FAILED_PRECONDITION", ["door"], "NexusRpc/DestroyNexus", uuid=nexus.uuid)
    w.unshare()
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


@tap.case
def nothing_is_built_on_a_nexus_of_its_own_node(w):
    nexus = w.nexus()
    uris = [*on_nexus(nexus), w.call("NexusRpc/PublishNexus", uuid=nexus.uuid, share=1).nexus.device_uri]
    for uri in uris:
        name, ident = w.name("n")
        w.refuses("INVALID_ARGUMENT", [uri, nexus.name], "PoolRpc/CreatePool", name="q", disks=[uri])
        w.refuses("INVALID_ARGUMENT", [uri, nexus.name], "PoolExtraRpc/AddDisk", pool="p", disk=uri)
        w.refuses("INVALID_ARGUMENT", [uri, nexus.name], "NexusRpc/CreateNexus", name=name, uuid=ident, size=4 * MIB, children=[uri])
        w.refuses("INVALID_ARGUMENT", [uri, nexus.name], "NexusRpc/AddChildNexus", uuid=nexus.uuid, uri=uri)
    w.refuses("INVALID_ARGUMENT", ["pool 'p'"], "PoolRpc/CreatePool", name="q", disks=[f"pool:///p/{w.replica().name}"])
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


@tap.case
def a_replica_in_use_stays_and_so_does_its_share(w):
    made = w.replica(share=1)
    others = {"bdev": f"pool:///p/{made.uuid}", "own door": made.uri}
    for what, uri in others.items():
        w.call("BdevRpc/Create", uri=uri)
        w.refuses("FAILED_PRECONDITION", [made.name, uri], "ReplicaRpc/DestroyReplica", uuid=made.uuid)
        w.refuses("FAILED_PRECONDITION", ["'p'", uri] if what == "bdev" else ["'p'"], "PoolRpc/ExportPool", name="p")
        w.call("BdevRpc/Destroy", uri=uri)
    other = w.replica()
    w.share(other.name)
    w.refuses("FAILED_PRECONDITION", [other.name, "door"], "ReplicaRpc/DestroyReplica", uuid=other.uuid)
    w.unshare()
    w.call("ReplicaRpc/DestroyReplica", uuid=other.uuid)
    nexus = w.nexus()
    child = nexus.children[0].uri.split("uuid=")[1]
    w.refuses("FAILED_PRECONDITION", [nexus.name], "ReplicaRpc/DestroyReplica", uuid=child)
    w.refuses("FAILED_PRECONDITION", ["'p'", "nexus"], "PoolRpc/ExportPool", name="p")
    assert w.call("ReplicaRpc/ListReplicas", uuid=made.uuid).replicas[0] == made
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)
    w.call("ReplicaRpc/DestroyReplica", uuid=made.uuid)
    w.call("ReplicaRpc/DestroyReplica", uuid=child)


@tap.case
def a_pool_leaves_under_its_doors_and_they_come_back(w):
    disk = w.room.disk("other", 64 * MIB)
    w.call("PoolRpc/CreatePool", name="o", disks=[disk])
    ident = w.name("r")[1]
    w.call("ReplicaRpc/CreateReplica", name="mine", uuid=ident, pooluuid="o", size=4 * MIB, thin=True)
    w.share("mine")
    w.refuses("FAILED_PRECONDITION", ["replicas"], "PoolRpc/DestroyPool", name="o")
    w.call("PoolRpc/ExportPool", name="o")
    w.call("PoolRpc/ImportPool", name="o", disks=[disk])
    w.refuses("FAILED_PRECONDITION", ["door"], "ReplicaRpc/DestroyReplica", uuid=ident)
    w.unshare()
    w.call("ReplicaRpc/DestroyReplica", uuid=ident)
    w.call("PoolRpc/DestroyPool", name="o")


@tap.case
def a_bdev_in_use_stays(w):
    w.call("BdevRpc/Create", uri="malloc:///m?size_mb=16")
    w.share("m")
    w.refuses("FAILED_PRECONDITION", ["malloc:///m"], "BdevRpc/Destroy", uri="malloc:///m?size_mb=16")
    w.unshare()
    name, ident = w.name("n")
    w.call("NexusRpc/CreateNexus", name=name, uuid=ident, size=8 * MIB, children=["malloc:///m?size_mb=16"])
    w.refuses("FAILED_PRECONDITION", ["malloc:///m"], "BdevRpc/Destroy", uri="malloc:///m?size_mb=16")
    w.call("NexusRpc/DestroyNexus", uuid=ident)
    w.call("BdevRpc/Destroy", uri="malloc:///m?size_mb=16")


@tap.case
def one_thing_has_one_claim_however_it_is_spelled(w):
    nexus = w.nexus()
    child = nexus.children[0].uri.split("uuid=")[1]
    for bdev in (child, f"pool:///p/{child}", f"pool:///{w.pool}/{child}"):
        try:
            w.share(bdev)
            raise AssertionError(f"{bdev}: the nexus has it")
        except node.Failed as failed:
            assert failed.code == "FAILED_PRECONDITION" and nexus.name in failed.words, failed
    for uri in (f"delay:///?on=pool:///p/{child}", f"delay:///?on=nexus:///{nexus.name}"):
        w.refuses("INVALID_ARGUMENT", ["within another URI"], "BdevRpc/Create", uri=uri)
    w.call("NexusRpc/PublishNexus", uuid=nexus.uuid, share=1)
    made = w.call("BdevRpc/Create", uri=f"nexus:///{nexus.name}").bdev
    assert made.uri == f"nexus:///{nexus.name}" and made.uuid == nexus.uuid, made
    w.refuses("FAILED_PRECONDITION", ["claimed"], "BdevRpc/Share", name=made.uri, protocol=1)
    w.call("NexusRpc/UnpublishNexus", uuid=nexus.uuid)
    w.call("BdevRpc/Share", name=made.uri, protocol=1)
    w.refuses("FAILED_PRECONDITION", ["claimed"], "NexusRpc/PublishNexus", uuid=nexus.uuid, share=1)
    w.call("BdevRpc/Unshare", name=made.uri)
    w.call("BdevRpc/Destroy", uri=made.uri)
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


@tap.case
def a_stop_with_everything_on_everything_is_clean(w):
    nexus, other = w.nexus(), w.nexus()
    w.call("NexusRpc/PublishNexus", uuid=nexus.uuid, share=1)
    for uri in (*on_nexus(nexus)[:2], *on_nexus(other)[1:3]):
        w.call("BdevRpc/Create", uri=uri)
    w.share(nexus.name)
    w.call("BdevRpc/Share", name=on_nexus(other)[2], protocol=1)
    w.node.stop()
    assert "must" not in w.node.words() and "not exported" not in w.node.words(), w.node.words()
    w.node.start()
    assert w.call("PoolRpc/ListPools", name="p").pools[0].state == 1
    until = time.monotonic() + 60
    while any(b.uri.startswith(("delay", "nexus:///n")) and not b.num_blocks for b in w.call("BdevRpc/List").bdevs):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert w.call("BdevRpc/List", name=on_nexus(other)[2]).bdevs[0].share_uri


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
