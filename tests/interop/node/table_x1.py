# SPDX-License-Identifier: Apache-2.0
"""table_x1 - the rows of test_table.py for mayastor.x1: what is ours."""
import time
import uuid

MIB = 1 << 20
NBD, NVMF = 0, 1
LIST = "a list of none is an answer"
MAKES_NOTHING = "it makes nothing that could exist"
ALWAYS = "it is possible in every state"
NO_BAD = "each value of its arguments is good"
FRIEND = "nqn.2014-08.org.nvmexpress:friend"


# ---- shares ------------------------------------------------------------------------------------------------------

def with_share(w, check, door, **more):
    made = w.call("ShareRpc/CreateShare", name="s", bdev="malloc:///s?size_mb=4", door=door, **more)
    check(made)
    w.call("ShareRpc/DestroyShare", name="s", door=door)


def share_ok(w):
    def nbd(made):
        assert made == w.call("ShareRpc/CreateShare", name="s", bdev="malloc:///s?size_mb=4", read_only=True)
        assert made.uri.startswith("nbd+unix:///s?socket="), made

    def nvmf(made):
        assert made.uri.endswith(":share:s") and list(made.allowed_hosts) == [FRIEND] and made.description == "x", made
    with_share(w, nbd, NBD, read_only=True)
    with_share(w, nvmf, NVMF, allowed_hosts=[FRIEND], description="x")


def share_exists(w):
    for door in (NBD, NVMF):
        with_share(w, lambda _, door=door: w.fails("ALREADY_EXISTS", "ShareRpc/CreateShare", name="s", door=door,
                                                   bdev="malloc:///other?size_mb=4"), door)


def share_invalid(w):
    for fields in ({"name": "", "bdev": "x"}, {"name": "a/b", "bdev": "x"}, {"name": "a", "bdev": ""}, {"name": "a", "bdev": "b" * 2000},
                   {"name": "a", "bdev": "nonsense:///x"}, {"name": "a", "bdev": "malloc:///x?size_mb=4", "door": 2},
                   {"name": "a", "bdev": "malloc:///x?size_mb=4", "allowed_hosts": [FRIEND]},
                   {"name": "a b", "bdev": "malloc:///x?size_mb=4", "door": NVMF}):
        w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", **fields)


def share_precondition(w):
    nexus = w.nexus()
    child = nexus.children[0].uri.split("uuid=")[1]
    w.fails("FAILED_PRECONDITION", "ShareRpc/CreateShare", name="s", bdev=child)  # the nexus has it
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


def unshare_ok(w):
    share_ok(w)
    assert not w.call("ShareRpc/ListShares").shares


def shares_ok(w):
    def listed(made):
        assert list(w.call("ShareRpc/ListShares").shares) == [made] == list(w.call("ShareRpc/ListShares", name="s").shares)
        assert not w.call("ShareRpc/ListShares", name="t").shares
    with_share(w, listed, NBD)


# ---- nexuses --------------------------------------------------------------------------------------------------------

def with_nexus(w, check, **fields):
    nexus = w.nexus(**fields)
    check(nexus)
    w.call("NexusRpc/DestroyNexus", uuid=nexus.uuid)


def detail_ok(w):
    def told(nexus):
        found = w.call("NexusExtraRpc/GetNexusDetail", nexus=nexus.uuid)
        assert found == w.call("NexusExtraRpc/GetNexusDetail", nexus=nexus.name) and found.state == "serving", found
        assert [(c.state, c.is_local) for c in found.children] == [("in-sync", True)] * 2, found
    with_nexus(w, told, children=2)


def limits_ok(w):
    def limited(nexus):
        assert w.call("NexusExtraRpc/SetRebuildLimits", nexus=nexus.name, limits={"bytes_per_s": 1 << 30}).bytes_per_s == 1 << 30
        assert w.call("NexusExtraRpc/GetNexusDetail", nexus=nexus.uuid).limits.bytes_per_s == 1 << 30
    with_nexus(w, limited)


def limits_invalid(w):
    with_nexus(w, lambda nexus: (w.fails("INVALID_ARGUMENT", "NexusExtraRpc/SetRebuildLimits", nexus=nexus.uuid),
                                 w.fails("INVALID_ARGUMENT", "NexusExtraRpc/SetRebuildLimits", nexus=nexus.uuid, limits={"tasks": 2})))


def limits_precondition(w):
    def shut(nexus):
        w.call("NexusRpc/ShutdownNexus", uuid=nexus.uuid)
        w.fails("FAILED_PRECONDITION", "NexusExtraRpc/SetRebuildLimits", nexus=nexus.uuid, limits={"bytes_per_s": 1})
    with_nexus(w, shut)


# ---- pools ------------------------------------------------------------------------------------------------------------

def add_ok(w):
    disks = [w.room.disk(f"more{i}", 64 * MIB) for i in range(2)]
    w.call("PoolRpc/CreatePool", name="m", disks=disks[:1])
    for _ in range(2):
        found = w.call("PoolExtraRpc/AddDisk", pool="m", disk=disks[1])
        assert list(found.disks) == disks and found.capacity_bytes > 64 * MIB, found
    w.call("PoolRpc/DestroyPool", name="m")


def add_precondition(w):
    words = w.fails("FAILED_PRECONDITION", "PoolExtraRpc/AddDisk", pool="p", disk=f"file://{w.disk}")
    assert "'p'" in words, words
    disk = w.room.disk("bears", 64 * MIB)
    with open(disk, "r+b") as file:
        file.write(b"XFSB" + bytes(4092))
    w.fails("FAILED_PRECONDITION", "PoolExtraRpc/AddDisk", pool="p", disk=disk)


def add_not_found(w):
    w.gone("PoolExtraRpc/AddDisk", "pool", disk=w.disk)
    w.fails("NOT_FOUND", "PoolExtraRpc/AddDisk", pool="p", disk="/nowhere/disk")


def add_invalid(w):
    for disk in ("", "nonsense://x", "/" + "x" * 2000):
        w.fails("INVALID_ARGUMENT", "PoolExtraRpc/AddDisk", pool="p", disk=disk)


def check_ok(w):
    disk = w.room.disk("checked", 64 * MIB)
    w.call("PoolRpc/CreatePool", name="c", disks=[disk])
    w.call("PoolRpc/ExportPool", name="c")
    last = w.call("PoolExtraRpc/CheckPool", disks=[disk])[-1]
    assert last.done and last.errors == 0 and last.pages > 0, last
    w.call("PoolRpc/ImportPool", name="c", disks=[disk])
    w.call("PoolRpc/DestroyPool", name="c")


# ---- what is told -----------------------------------------------------------------------------------------------------

def latency_ok(w):
    made = w.replica(share=1)
    w.call("LatencyRpc/GetLatency")
    w.call("LatencyRpc/GetLatency", bdev=made.name)
    w.call("ReplicaRpc/DestroyReplica", uuid=made.uuid)


def volumes_ok(w):
    def recorded(nexus):
        found = w.call("VolumeRpc/ListVolumes", volume=nexus.uuid).volumes
        assert [(v.name, v.size_bytes, len(v.members)) for v in found] == [(nexus.name, nexus.size, 1)], found
        assert nexus.uuid in [v.uuid for v in w.call("VolumeRpc/ListVolumes").volumes]
    with_nexus(w, recorded)


def events_ok(w):
    made = w.replica()
    with_nexus(w, lambda nexus: None)
    w.call("ReplicaRpc/DestroyReplica", uuid=made.uuid)
    until = time.monotonic() + 30
    while not any(event.kind == "nexus" for event in w.call("EventRpc/WatchEvents", no_follow=True)):
        assert time.monotonic() < until
        time.sleep(0.05)


def rows(row):
    def gone(w, path, field, **fields):
        w.gone(path, field, **fields)
    row("ShareRpc/CreateShare", ok=share_ok, exists=share_exists, invalid=share_invalid, precondition=share_precondition,
        not_found=lambda w: w.fails("NOT_FOUND", "ShareRpc/CreateShare", name="s", bdev="nobody"))
    row("ShareRpc/DestroyShare", ok=unshare_ok, not_found=lambda w: w.fails("NOT_FOUND", "ShareRpc/DestroyShare", name="nobody"),
        exists=MAKES_NOTHING, invalid=lambda w: w.fails("INVALID_ARGUMENT", "ShareRpc/DestroyShare", name="s", door=2),
        precondition=ALWAYS)
    row("ShareRpc/ListShares", ok=shares_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS)
    row("NexusExtraRpc/GetNexusDetail", ok=detail_ok, not_found=lambda w: gone(w, "NexusExtraRpc/GetNexusDetail", "nexus"),
        exists=MAKES_NOTHING, invalid=lambda w: w.fails("INVALID_ARGUMENT", "NexusExtraRpc/GetNexusDetail"),
        precondition="a nexus that is shut down is told of, too")
    row("NexusExtraRpc/SetRebuildLimits", ok=limits_ok, exists=MAKES_NOTHING, invalid=limits_invalid, precondition=limits_precondition,
        not_found=lambda w: gone(w, "NexusExtraRpc/SetRebuildLimits", "nexus", limits={"bytes_per_s": 1}))
    row("PoolExtraRpc/AddDisk", ok=add_ok, not_found=add_not_found, exists="a disk of the pool is the same answer", invalid=add_invalid,
        precondition=add_precondition)
    row("PoolExtraRpc/GetPoolDetail", not_found=lambda w: gone(w, "PoolExtraRpc/GetPoolDetail", "pool"), exists=MAKES_NOTHING,
        invalid=NO_BAD, precondition=ALWAYS,
        ok=lambda w: w.call("PoolExtraRpc/GetPoolDetail", pool="p").state == "online" or 1 / 0)
    row("PoolExtraRpc/CheckPool", ok=check_ok, exists=MAKES_NOTHING,
        not_found=lambda w: w.fails("NOT_FOUND", "PoolExtraRpc/CheckPool", disks=[w.room.disk("blank", 64 * MIB)]),
        invalid=lambda w: w.fails("INVALID_ARGUMENT", "PoolExtraRpc/CheckPool"),
        precondition="what is imported meanwhile may be looked at: nothing is written")
    row("LatencyRpc/GetLatency", ok=latency_ok, exists=MAKES_NOTHING, invalid=NO_BAD, precondition=ALWAYS,
        not_found=lambda w: w.fails("NOT_FOUND", "LatencyRpc/GetLatency", bdev="nobody"))
    row("VolumeRpc/ListVolumes", ok=volumes_ok, not_found=lambda w: list(
        w.call("VolumeRpc/ListVolumes", volume=str(uuid.UUID(int=7, version=4))).volumes) and 1 / 0, exists=MAKES_NOTHING,
        invalid=lambda w: w.fails("INVALID_ARGUMENT", "VolumeRpc/ListVolumes", volume="x"), precondition=ALWAYS)
    row("EventRpc/WatchEvents", ok=events_ok, not_found=LIST, exists=MAKES_NOTHING, invalid=NO_BAD,
        precondition="watching waits for nothing but events")
