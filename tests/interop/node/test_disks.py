#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_disks - one more disk for a pool, by mayastor.x1 and by mayactl: asked again, refused, and after a crash in between.

  test_disks.py MAYASTOR MAYACTL PROTO
"""
import json
import os
import shutil
import subprocess
import sys
import uuid

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node
except ImportError as error:
    tap.skip("node_disks", error)

MAYASTOR, MAYACTL, PROTO = sys.argv[1:4]
MIB = 1 << 20
R = "11111111-1111-4111-8111-111111111111"
DISKS_MAX = 32


class World(node.World):
    def prepare(self):
        self.node.start()
        self.first = self.room.disk("first", 64 * MIB)
        self.pool = self.node.call("PoolRpc/CreatePool", name="p", disks=[self.first])

    def add(self, disk, pool="p", force=False):
        return self.call("PoolExtraRpc/AddDisk", pool=pool, disk=disk, force=force)

    def refuses(self, code, disk, pool="p", force=False):
        """The words; and nothing is changed."""
        before = self.call("PoolRpc/ListPools")
        words = self.fails(code, "PoolExtraRpc/AddDisk", pool=pool, disk=disk, force=force)
        after = self.call("PoolRpc/ListPools")
        assert after == before, (before, after)
        return words

    def disks(self):
        return list(self.node.call("PoolRpc/ListPools", name="p").pools[0].disks)

    def state(self):
        with open(os.path.join(self.node.state, "node.json"), encoding="utf-8") as file:
            return json.load(file)

    def set_state(self, state):
        with open(os.path.join(self.node.state, "node.json"), "w", encoding="utf-8") as file:
            json.dump(state, file)

    def note(self, disk):
        """What the state has from the moment on in which a disk begins to join."""
        return {"what": "disk", "uuid": str(uuid.uuid4()), "pool": self.pool.uuid, "name": "p", "disks": [disk]}


@tap.case
def a_pool_takes_one_more_disk_and_says_so_again(w):
    before = w.node.call("PoolRpc/ListPools").pools[0]
    second = w.room.disk("second", 64 * MIB)
    found = w.add(second)
    assert list(found.disks) == [w.first, second] and found.capacity_bytes > 1.9 * before.capacity, found
    assert list(w.add(second, pool=w.pool.uuid).disks) == [w.first, second]
    # what one disk would not hold
    w.node.call("ReplicaRpc/CreateReplica", name="r", uuid=R, pooluuid="p", size=90 * MIB, thin=False)
    w.node.kill()
    w.node.start()
    after = w.node.call("PoolRpc/ListPools").pools[0]
    assert after.state == 1 and list(after.disks) == [w.first, second], after
    assert w.node.call("ReplicaRpc/ListReplicas").replicas[0].size == 90 * MIB
    w.node.call("PoolRpc/ExportPool", name="p")
    assert w.node.call("PoolRpc/CreatePool", name="p", disks=[w.first, second]).uuid == w.pool.uuid


@tap.case
def wrong_disks_are_refused_and_nothing_is_changed(w):
    blank = w.room.disk("blank", 64 * MIB)
    w.refuses("NOT_FOUND", blank, pool="nobody")
    w.refuses("NOT_FOUND", "/nowhere/disk")
    assert "is missing" in w.refuses("INVALID_ARGUMENT", "")
    w.refuses("INVALID_ARGUMENT", "nonsense://x")
    w.refuses("INVALID_ARGUMENT", f"pool:///p/{R}")
    assert "longer than 1023" in w.refuses("INVALID_ARGUMENT", "/" + "x" * 1100)
    w.refuses("RESOURCE_EXHAUSTED", w.room.disk("small", MIB))
    alias = w.room.dir + "/../" + os.path.basename(w.room.dir) + "/first"
    os.symlink(w.first, w.first + ".link")
    for name in (f"file://{w.first}", alias, w.first + ".link"):
        for force in (False, True):
            w.refuses("FAILED_PRECONDITION", name, force=force)
    other = w.room.disk("other", 64 * MIB)
    w.node.call("PoolRpc/CreatePool", name="o", disks=[other])
    for force in (False, True):
        w.refuses("FAILED_PRECONDITION", other, force=force)  # in use
    w.node.call("PoolRpc/ExportPool", name="o")
    assert "'o'" in w.refuses("FAILED_PRECONDITION", other)
    w.node.call("PoolRpc/ImportPool", name="o", disks=[other])
    w.node.call("PoolRpc/DestroyPool", name="o")
    with open(other, "r+b") as file:
        file.write(b"XFSB" + bytes(4092))
    w.refuses("FAILED_PRECONDITION", other)
    assert other in w.add(other, force=True).disks
    assert not w.state()["making"]


@tap.case
def mayactl_adds_a_disk(w):
    def run(*words):
        return subprocess.run([MAYACTL, "--node", w.node.addrs["grpc"], "pool", "add-disk", *words], capture_output=True, text=True,
                              timeout=60, check=False)
    third = w.room.disk("third", 64 * MIB)
    done = run("p", third, "-o", "json")
    assert done.returncode == 0 and third in json.loads(done.stdout)["disks"], done
    done = run("p", third)
    assert done.returncode == 0 and third in done.stdout, done
    done = run("nobody", third)
    assert done.returncode == 3 and "nobody" in done.stderr, done
    with open(w.room.disk("ext", 64 * MIB), "r+b") as file:
        file.write(b"XFSB" + bytes(4092))
    done = run("p", w.room.dir + "/ext")
    assert done.returncode == 2 and "xfs" in done.stderr.lower(), done


@tap.case
def a_disk_that_joined_before_a_crash_is_listed(w):
    disk = w.room.disk("joined", 64 * MIB)
    w.add(disk)
    w.node.stop()
    state = w.state()
    state["pools"][0]["disks"].remove(disk)
    state["making"].append(w.note(disk))
    w.set_state(state)
    w.node.start()
    pool = w.node.call("PoolRpc/ListPools").pools[0]
    assert pool.state == 1 and disk in pool.disks, pool
    assert not w.state()["making"] and disk in w.state()["pools"][0]["disks"]


@tap.case
def a_disk_that_did_not_join_bears_nothing_afterwards(w):
    disk = w.room.disk("late", 64 * MIB)
    w.node.stop()
    kept = [w.first, *[d for d in w.state()["pools"][0]["disks"] if d != w.first]]
    state = w.state()
    for path in kept:
        shutil.copyfile(path, path + ".kept")
    w.node.start()
    w.add(disk)
    w.node.stop()
    for path in kept:  # the pool has not heard of it, its label is written
        os.replace(path + ".kept", path)
    state["making"].append(w.note(disk))
    w.set_state(state)
    w.node.start()
    assert disk not in w.disks() and w.node.call("PoolRpc/ListPools").pools[0].state == 1
    assert not w.state()["making"]
    assert disk in w.add(disk).disks  # not by force


@tap.case
def a_note_never_costs_a_pool_its_disk(w):
    """The disk that was noted is one of the pool's by another name, or bears another pool, or is away."""
    w.node.stop()
    alias = w.first + ".alias"
    os.symlink(w.first, alias)
    other = w.room.disk("foreign", 64 * MIB)
    state = w.state()
    state["making"] += [w.note(alias), w.note("/nowhere/disk"), w.note(other)]
    w.set_state(state)
    with open(w.first, "rb") as file:
        head = file.read(MIB)
    w.node.start()
    assert w.node.call("PoolRpc/ListPools").pools[0].state == 1
    w.node.stop()
    with open(w.first, "rb") as file:
        assert file.read(4096) == head[:4096]
    w.node.start()
    assert w.node.call("PoolRpc/ListPools").pools[0].state == 1
    assert w.node.call("ReplicaRpc/ListReplicas").replicas[0].size == 90 * MIB


@tap.case
def a_pool_has_at_most_so_many_disks(w):
    disks = [w.room.disk(f"many{number}", 64 * MIB) for number in range(DISKS_MAX + 1)]
    w.node.call("PoolRpc/CreatePool", name="many", disks=disks[:DISKS_MAX - 1])
    assert len(w.add(disks[DISKS_MAX - 1], pool="many").disks) == DISKS_MAX
    assert f"has {DISKS_MAX} disks" in w.refuses("RESOURCE_EXHAUSTED", disks[DISKS_MAX], pool="many")
    w.node.call("PoolRpc/DestroyPool", name="many")


@tap.case
def a_pool_that_is_not_here_takes_none(w):
    disk = w.room.disk("away", 64 * MIB)
    w.node.call("PoolRpc/CreatePool", name="away", disks=[disk])
    w.node.stop()
    os.rename(disk, disk + ".elsewhere")
    w.node.start()
    assert "not imported" in w.refuses("UNAVAILABLE", w.room.disk("another", 64 * MIB), pool="away")


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
