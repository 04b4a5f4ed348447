#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_kill - kill -9 at random moments during pool, replica, snapshot and nexus operations: after the restart the listing
is what was acknowledged, and nothing half made remains.

  test_kill.py MAYASTOR [--long] [--seed N]

What was acknowledged is kept in a model beside the node. The one call in flight at the kill may have happened or not:
the listing is that of the model, with it or without, and never of something in between.
"""
import argparse
import copy
import os
import random
import sys
import threading
import time
import traceback
import uuid

try:
    import node
except ImportError as error:
    print(f"1..1\nok 1 - node_kill # SKIP {error}")
    sys.exit(0)

MIB = 1 << 20
KILLS, KILLS_LONG = 10, 200
DISKS, REPLICAS_MAX, NEXUSES_MAX = 3, 12, 4


class Model:
    """What was acknowledged: {kind: {uuid: facts}}."""

    def __init__(self):
        self.pools, self.replicas, self.snapshots, self.nexuses, self.bdevs = {}, {}, {}, {}, {}

    def listing(self):
        return {name: dict(sorted(value.items())) for name, value in vars(self).items()}


def listed(n):
    m = Model()
    for p in n.call("PoolRpc/ListPools").pools:
        assert p.state == 1, f"pool {p.name} is not online"
        m.pools[p.name] = tuple(p.disks)
    for r in n.call("ReplicaRpc/ListReplicas").replicas:
        m.replicas[r.uuid] = (r.name, r.poolname, r.size, r.thin, r.share, tuple(r.allowed_hosts), r.entity_id, r.snapshot_uuid)
        assert r.uri.startswith("nvmf://" if r.share else "bdev:///"), r.uri
    for s in n.call("SnapshotRpc/ListSnapshot").snapshots:
        m.snapshots[s.snapshot_uuid] = (s.snapshot_name, s.source_uuid, s.entity_id, s.txn_id)
    for x in n.call("NexusRpc/ListNexus").nexus_list:
        m.nexuses[x.uuid] = (x.name, x.size, tuple(sorted(c.uri for c in x.children)), bool(x.device_uri))
    for b in n.call("BdevRpc/List").bdevs:
        if b.uri.startswith("malloc:"):
            m.bdevs[b.uri] = bool(b.share_uri)
    return m.listing()


class World:
    def __init__(self, mayastor, seed):
        self.room = node.Room()
        self.rng = random.Random(seed)
        self.node = node.Node(mayastor, self.room)
        self.disks = [self.room.disk(f"disk{i}", 128 * MIB) for i in range(DISKS)]
        self.model, self.count, self.calls = Model(), 0, 0

    def ident(self):
        self.count += 1
        return str(uuid.UUID(int=(0xccc << 64) + self.count, version=4))

    def pick(self, things):
        return self.rng.choice(sorted(things)) if things else None

    # Each gives (path, fields, what it makes of the model), or None if it cannot be done now.

    def pool_create(self):
        free = [i for i in range(DISKS) if f"pool{i}" not in self.model.pools]
        if not free:
            return None
        i = self.rng.choice(free)
        return ("PoolRpc/CreatePool", {"name": f"pool{i}", "disks": [self.disks[i]]},
                lambda m: m.pools.update({f"pool{i}": (self.disks[i],)}))

    def pool_destroy(self):
        used = {r[1] for r in self.model.replicas.values()}
        name = self.pick([p for p in self.model.pools if p not in used])
        return name and ("PoolRpc/DestroyPool", {"name": name}, lambda m: m.pools.pop(name))

    def replica_create(self):
        pool = self.pick(self.model.pools)
        if not pool or len(self.model.replicas) >= REPLICAS_MAX:
            return None
        ident, share, thin = self.ident(), self.rng.randrange(2), self.rng.random() < 0.7
        hosts = ["nqn.2014-08.org.nvmexpress:uuid:a"] if share and self.rng.randrange(2) else []
        entity = self.rng.choice(["", "volume"])
        fields = {"name": f"r-{ident[-4:]}", "uuid": ident, "pooluuid": pool, "size": 4 * MIB, "thin": thin, "share": share,
                  "allowed_hosts": hosts, "entity_id": entity}
        facts = (fields["name"], pool, 4 * MIB, thin, share, tuple(hosts), entity, "")
        return "ReplicaRpc/CreateReplica", fields, lambda m: m.replicas.update({ident: facts})

    def in_nexus(self):
        return {uri for x in self.model.nexuses.values() for uri in x[2]}

    def free_replicas(self):
        taken = self.in_nexus()
        sources = {s[1] for s in self.model.snapshots.values()}
        return [i for i, r in self.model.replicas.items() if f"bdev:///{r[0]}?uuid={i}" not in taken and i not in sources]

    def replica_destroy(self):
        ident = self.pick(self.free_replicas())
        return ident and ("ReplicaRpc/DestroyReplica", {"uuid": ident}, lambda m: m.replicas.pop(ident))

    def replica_share(self):
        ident = self.pick(self.free_replicas())
        if not ident:
            return None
        old = self.model.replicas[ident]
        if old[4]:
            new = old[:4] + (0, ()) + old[6:]
            return "ReplicaRpc/UnshareReplica", {"uuid": ident}, lambda m: m.replicas.update({ident: new})
        new = old[:4] + (1, ()) + old[6:]
        return "ReplicaRpc/ShareReplica", {"uuid": ident, "share": 1}, lambda m: m.replicas.update({ident: new})

    def snapshot_create(self):
        source = self.pick(self.model.replicas)
        if not source or len(self.model.snapshots) >= REPLICAS_MAX:
            return None
        ident = self.ident()
        fields = {"replica_uuid": source, "snapshot_uuid": ident, "snapshot_name": f"s-{ident[-4:]}", "entity_id": "e", "txn_id": "1"}
        facts = (fields["snapshot_name"], source, "e", "1")
        return "SnapshotRpc/CreateReplicaSnapshot", fields, lambda m: m.snapshots.update({ident: facts})

    def snapshot_destroy(self):
        sources = {r[7] for r in self.model.replicas.values()}
        ident = self.pick([s for s in self.model.snapshots if s not in sources])
        return ident and ("SnapshotRpc/DestroySnapshot", {"snapshot_uuid": ident}, lambda m: m.snapshots.pop(ident))

    def clone_create(self):
        snap = self.pick(self.model.snapshots)
        if not snap or len(self.model.replicas) >= REPLICAS_MAX or self.model.snapshots[snap][1] not in self.model.replicas:
            return None
        ident = self.ident()
        source = self.model.replicas[self.model.snapshots[snap][1]]
        facts = (f"c-{ident[-4:]}", source[1], source[2], True, 0, (), "", snap)
        return ("SnapshotRpc/CreateSnapshotClone", {"snapshot_uuid": snap, "clone_name": facts[0], "clone_uuid": ident},
                lambda m: m.replicas.update({ident: facts}))

    def nexus_create(self):
        free = [i for i in self.free_replicas() if not self.model.replicas[i][4] and not self.model.replicas[i][7]]
        if not free or len(self.model.nexuses) >= NEXUSES_MAX:
            return None
        chosen = self.rng.sample(sorted(free), min(len(free), 1 + self.rng.randrange(2)))
        uris = [f"bdev:///{self.model.replicas[i][0]}?uuid={i}" for i in chosen]
        ident = self.ident()
        fields = {"name": f"n-{ident[-4:]}", "uuid": ident, "size": 4 * MIB, "children": uris}
        facts = (fields["name"], 4 * MIB, tuple(sorted(uris)), False)
        return "NexusRpc/CreateNexus", fields, lambda m: m.nexuses.update({ident: facts})

    def nexus_destroy(self):
        ident = self.pick(self.model.nexuses)
        return ident and ("NexusRpc/DestroyNexus", {"uuid": ident}, lambda m: m.nexuses.pop(ident))

    def nexus_publish(self):
        ident = self.pick(self.model.nexuses)
        if not ident:
            return None
        old = self.model.nexuses[ident]
        path = "NexusRpc/UnpublishNexus" if old[3] else "NexusRpc/PublishNexus"
        fields = {"uuid": ident} if old[3] else {"uuid": ident, "share": 1}
        return path, fields, lambda m: m.nexuses.update({ident: old[:3] + (not old[3],)})

    def bdev_create(self):
        uri = f"malloc:///m{self.rng.randrange(3)}?size_mb=4"
        if uri in self.model.bdevs:
            if self.model.bdevs[uri]:
                return "BdevRpc/Unshare", {"name": uri}, lambda m: m.bdevs.update({uri: False})
            return "BdevRpc/Destroy", {"uri": uri}, lambda m: m.bdevs.pop(uri)
        return "BdevRpc/Create", {"uri": uri}, lambda m: m.bdevs.update({uri: False})

    def bdev_share(self):
        uri = self.pick([u for u, shared in self.model.bdevs.items() if not shared])
        return uri and ("BdevRpc/Share", {"name": uri, "protocol": 1}, lambda m: m.bdevs.update({uri: True}))

    VERBS = ("pool_create pool_create pool_destroy replica_create replica_create replica_create replica_destroy replica_share "
             "snapshot_create snapshot_destroy clone_create nexus_create nexus_create nexus_destroy nexus_publish bdev_create "
             "bdev_share").split()

    def next(self):
        while True:
            found = getattr(self, self.rng.choice(self.VERBS))()
            if found:
                return found

    def round(self, seconds):
        """Calls until the node is killed from beside, after some seconds; the call in flight, or None."""
        killer = threading.Timer(seconds, lambda: self.node.child.kill())
        killer.start()
        try:
            while True:
                path, fields, change = self.next()
                try:
                    self.node.call(path, **fields)
                except node.Failed as failed:
                    if failed.code in ("UNAVAILABLE", "CANCELLED", "UNKNOWN") and self.is_dead():
                        return path, change
                    # the nexus's children may still be opening after a restart
                    if failed.code == "UNAVAILABLE":
                        time.sleep(0.02)
                        continue
                    raise AssertionError(f"{path} {fields}: {failed}") from None
                change(self.model)
                self.calls += 1
        finally:
            killer.join()

    def is_dead(self):
        try:
            self.node.child.wait(2)
        except Exception:
            return False
        return True

    def compare(self, flight):
        path, change = flight
        done = copy.deepcopy(self.model)
        change(done)
        found = listed(self.node)
        if found == done.listing():
            self.model = done
            return
        if found != self.model.listing():
            expected = self.model.listing()
            wrong = {k: (found[k], expected[k], done.listing()[k]) for k in found if found[k] != expected[k]}
            raise AssertionError(f"in flight {path}; listed, acknowledged, with the one in flight: {wrong}")
        path = os.path.join(self.node.state, "node.json")
        if not os.path.exists(path):  # killed before anything was kept
            return
        with open(path, encoding="utf-8") as file:
            text = file.read()
        assert '"making":[\n  ]' in text, f"in flight {path}: half made: {text}"

    def kill_and_compare(self):
        flight = self.round(self.rng.uniform(0.02, 0.4))
        self.node.end(9)
        self.node.start()
        self.compare(flight)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else (random.randrange(1 << 31) if args.long else 7)
    kills = KILLS_LONG if args.long else KILLS
    print(f"1..1\n# seed {seed}", flush=True)
    world, done = World(args.mayastor, seed), 0
    try:
        world.node.start()
        for done in range(kills):
            world.kill_and_compare()
        print(f"# {kills} kills, {world.calls} calls acknowledged")
        world.node.stop()
        print("ok 1 - what_was_acknowledged_is_there_after_a_kill")
        return 0
    except Exception:
        print("not ok 1 - what_was_acknowledged_is_there_after_a_kill")
        print("# " + (f"kill {done}\n" + traceback.format_exc() + world.node.words()[-3000:]).replace("\n", "\n# "))
        return 1
    finally:
        if world.node.child and world.node.child.poll() is None:
            world.node.kill()
        world.room.close()


sys.exit(main())
