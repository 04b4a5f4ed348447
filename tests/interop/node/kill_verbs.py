# SPDX-License-Identifier: Apache-2.0
"""
kill_verbs - what is done to a node that is going to be killed (test_kill.py).

A verb gives a Step, or None if it cannot be done now: the call, what it makes of the model, what is left open while it is
under way, and which refusals are in order: a child may be the last one in sync at this moment, and at the next it is not.
"""
import uuid

from kill_model import SIZES, uri_of

REPLICAS_MAX, NEXUSES_MAX, CHILDREN_MAX = 12, 4, 3
OFFLINE, ONLINE = 0, 1


class Step:
    def __init__(self, path, fields, change=lambda m: None, loosen=lambda m: None, refusals=()):
        self.path, self.fields, self.change, self.loosen, self.refusals = path, fields, change, loosen, refusals


class Verbs:
    """Needs rng, model, disks, remotes (replicas of another node: {uri: size})."""

    count = 0

    def ident(self):
        self.count += 1
        return str(uuid.UUID(int=(0xccc << 64) + self.count, version=4))

    def pick(self, things):
        return self.rng.choice(sorted(things)) if things else None

    # ---- pools, replicas, snapshots, disks

    def pool_create(self):
        i = self.pick([i for i in range(len(self.disks)) if f"pool{i}" not in self.model.pools])
        if i is None:
            return None
        return Step("PoolRpc/CreatePool", {"name": f"pool{i}", "disks": [self.disks[i]]},
                    lambda m: m.pools.update({f"pool{i}": (self.disks[i],)}))

    def pool_destroy(self):
        used = {r["pool"] for r in self.model.replicas.values()}
        name = self.pick([p for p in self.model.pools if p not in used])
        return name and Step("PoolRpc/DestroyPool", {"name": name}, lambda m: m.pools.pop(name))

    def replica_create(self):
        pool = self.pick(self.model.pools)
        if not pool or len(self.model.replicas) >= REPLICAS_MAX:
            return None
        ident, share, thin = self.ident(), self.rng.randrange(2), self.rng.random() < 0.7
        hosts = ["nqn.2014-08.org.nvmexpress:uuid:a"] if share and self.rng.randrange(2) else []
        facts = {"name": f"r-{ident[-4:]}", "pool": pool, "size": SIZES[0], "thin": thin, "share": share, "hosts": hosts,
                 "entity": self.rng.choice(["", "volume"]), "of": ""}
        fields = {"name": facts["name"], "uuid": ident, "pooluuid": pool, "size": facts["size"], "thin": thin, "share": share,
                  "allowed_hosts": hosts, "entity_id": facts["entity"]}
        return Step("ReplicaRpc/CreateReplica", fields, lambda m: m.replicas.update({ident: facts}))

    def uri(self, ident):
        return uri_of(ident, self.model.replicas[ident])

    def free_replicas(self):
        taken = {uri for x in self.model.nexuses.values() for uri in x["children"]}
        sources = {s[1] for s in self.model.snapshots.values()}
        return [i for i in self.model.replicas if self.uri(i) not in taken and i not in sources]

    def replica_destroy(self):
        ident = self.pick(self.free_replicas())
        return ident and Step("ReplicaRpc/DestroyReplica", {"uuid": ident}, lambda m: m.replicas.pop(ident))

    def replica_share(self):
        ident = self.pick(self.free_replicas())
        if not ident:
            return None
        if self.model.replicas[ident]["share"]:
            return Step("ReplicaRpc/UnshareReplica", {"uuid": ident}, lambda m: m.replicas[ident].update(share=0, hosts=[]))
        return Step("ReplicaRpc/ShareReplica", {"uuid": ident, "share": 1}, lambda m: m.replicas[ident].update(share=1, hosts=[]))

    def replica_resize(self):
        ident = self.pick([i for i in self.free_replicas() if self.model.replicas[i]["size"] == SIZES[0]])
        return ident and Step("ReplicaRpc/ResizeReplica", {"uuid": ident, "requested_size": SIZES[1]},
                              lambda m: m.replicas[ident].update(size=SIZES[1]))

    def replica_entity(self):
        ident = self.pick(self.model.replicas)
        entity = f"e{self.rng.randrange(9)}"
        return ident and Step("ReplicaRpc/SetReplicaEntityId", {"uuid": ident, "entity_id": entity},
                              lambda m: m.replicas[ident].update(entity=entity))

    def snapshot_create(self):
        source = self.pick(self.model.replicas)
        if not source or len(self.model.snapshots) >= REPLICAS_MAX:
            return None
        ident = self.ident()
        fields = {"replica_uuid": source, "snapshot_uuid": ident, "snapshot_name": f"s-{ident[-4:]}", "entity_id": "e", "txn_id": "1"}
        facts = (fields["snapshot_name"], source, "e", "1")
        return Step("SnapshotRpc/CreateReplicaSnapshot", fields, lambda m: m.snapshots.update({ident: facts}))

    def snapshot_destroy(self):
        sources = {r["of"] for r in self.model.replicas.values()}
        ident = self.pick([s for s in self.model.snapshots if s not in sources])
        return ident and Step("SnapshotRpc/DestroySnapshot", {"snapshot_uuid": ident}, lambda m: m.snapshots.pop(ident))

    def clone_create(self):
        snap = self.pick(self.model.snapshots)
        source = snap and self.model.replicas.get(self.model.snapshots[snap][1])
        if not source or len(self.model.replicas) >= REPLICAS_MAX:
            return None
        ident = self.ident()
        facts = {"name": f"c-{ident[-4:]}", "pool": source["pool"], "size": None, "thin": True, "share": 0, "hosts": [],
                 "entity": "", "of": snap}
        return Step("SnapshotRpc/CreateSnapshotClone", {"snapshot_uuid": snap, "clone_name": facts["name"], "clone_uuid": ident},
                    lambda m: m.replicas.update({ident: facts}))

    def bdev_create(self):
        uri = f"malloc:///m{self.rng.randrange(3)}?size_mb=4"
        if uri not in self.model.bdevs:
            return Step("BdevRpc/Create", {"uri": uri}, lambda m: m.bdevs.update({uri: False}))
        if self.model.bdevs[uri]:
            return Step("BdevRpc/Unshare", {"name": uri}, lambda m: m.bdevs.update({uri: False}))
        return Step("BdevRpc/Destroy", {"uri": uri}, lambda m: m.bdevs.pop(uri))

    def bdev_share(self):
        uri = self.pick([u for u, shared in self.model.bdevs.items() if not shared])
        return uri and Step("BdevRpc/Share", {"name": uri, "protocol": 1}, lambda m: m.bdevs.update({uri: True}))

    # ---- nexuses

    def candidates(self, size):
        """Children that a volume of this size could have: replicas of ours, and of the other node."""
        taken = {uri for x in self.model.nexuses.values() for uri in x["children"]}
        ours = [self.uri(i) for i in self.free_replicas()
                if not self.model.replicas[i]["share"] and self.model.replicas[i]["size"] == size]
        return ours + [uri for uri in self.remotes if uri not in taken]

    def nexus_create(self):
        free = sorted(self.candidates(SIZES[0]))
        if not free or len(self.model.nexuses) >= NEXUSES_MAX:
            return None
        chosen = self.rng.sample(free, min(len(free), 1 + self.rng.randrange(CHILDREN_MAX)))
        ident = self.ident()
        facts = {"name": f"n-{ident[-4:]}", "size": SIZES[0], "children": dict.fromkeys(chosen, False), "shut": False,
                 "published": False, "hosts": []}
        fields = {"name": facts["name"], "uuid": ident, "size": facts["size"], "children": chosen}
        return Step("NexusRpc/CreateNexus", fields, lambda m: m.nexuses.update({ident: facts}))

    def nexus(self, fits=lambda x: True):
        return self.pick([i for i, x in self.model.nexuses.items() if not x["shut"] and fits(x)])

    def nexus_destroy(self):
        ident = self.pick([i for i, x in self.model.nexuses.items() if x["name"] not in self.model.doors])
        return ident and Step("NexusRpc/DestroyNexus", {"uuid": ident}, lambda m: m.nexuses.pop(ident))

    def nexus_shutdown(self):
        ident = self.nexus(lambda x: not self.rng.randrange(3))

        def change(m):
            m.nexuses[ident].update(shut=True, children=dict.fromkeys(m.nexuses[ident]["children"]))

        return ident and Step("NexusRpc/ShutdownNexus", {"uuid": ident}, change)

    def nexus_publish(self):
        ident = self.nexus()
        if not ident:
            return None
        if self.model.nexuses[ident]["published"]:
            return Step("NexusRpc/UnpublishNexus", {"uuid": ident}, lambda m: m.nexuses[ident].update(published=False, hosts=[]))
        hosts = self.rng.choice([[], ["nqn.2014-08.org.nvmexpress:uuid:a"]])
        return Step("NexusRpc/PublishNexus", {"uuid": ident, "share": 1, "allowed_hosts": hosts},
                    lambda m: m.nexuses[ident].update(published=True, hosts=hosts))

    def nexus_resize(self):
        ident = self.nexus(lambda x: x["size"] == SIZES[0])
        if not ident:
            return None

        def loosen(m):
            for i in m.replicas:
                if self.uri(i) in m.nexuses[ident]["children"]:
                    m.replicas[i].update(size=None)

        def change(m):
            loosen(m)
            m.nexuses[ident].update(size=SIZES[1])

        return Step("NexusRpc/ResizeNexus", {"uuid": ident, "requested_size": SIZES[1]}, change, loosen,
                    ("FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"))

    def child_add(self):
        ident = self.nexus(lambda x: len(x["children"]) < CHILDREN_MAX)
        uri = ident and self.pick(self.candidates(self.model.nexuses[ident]["size"]))
        return uri and Step("NexusRpc/AddChildNexus", {"uuid": ident, "uri": uri, "norebuild": self.rng.random() < 0.2},
                            lambda m: m.nexuses[ident]["children"].update({uri: False}))

    def child(self, fits):
        """(nexus, uri) of one with company, so that it is not refused every time."""
        found = [(i, uri) for i, x in self.model.nexuses.items() for uri, away in x["children"].items()
                 if not x["shut"] and len(x["children"]) > 1 and fits(away)]
        return self.pick(found) or (None, None)

    def child_remove(self):
        ident, uri = self.child(lambda away: True)
        return uri and Step("NexusRpc/RemoveChildNexus", {"uuid": ident, "uri": uri},
                            lambda m: m.nexuses[ident]["children"].pop(uri), refusals=("FAILED_PRECONDITION",))

    def child_offline(self):
        ident, uri = self.child(lambda away: not away)
        if not uri:
            return None
        change = lambda m: m.nexuses[ident]["children"].update({uri: True})
        if self.rng.randrange(2):
            return Step("NexusRpc/FaultNexusChild", {"uuid": ident, "uri": uri}, change, refusals=("FAILED_PRECONDITION",))
        return Step("NexusRpc/ChildOperation", {"nexus_uuid": ident, "uri": uri, "action": OFFLINE}, change,
                    refusals=("FAILED_PRECONDITION",))

    def child_online(self):
        ident, uri = self.child(lambda away: away)
        return uri and Step("NexusRpc/ChildOperation", {"nexus_uuid": ident, "uri": uri, "action": ONLINE},
                            lambda m: m.nexuses[ident]["children"].update({uri: False}))

    def rebuild(self):
        """Whether one is under way, or could be, is a matter of the moment."""
        ident, uri = self.child(lambda away: True)
        verb = self.rng.choice(["Start", "Start", "Stop", "Pause", "Resume"])
        return uri and Step(f"NexusRpc/{verb}Rebuild", {"nexus_uuid": ident, "uri": uri},
                            refusals=("FAILED_PRECONDITION", "ALREADY_EXISTS", "NOT_FOUND"))

    def door(self):
        """A nexus is offered to NBD clients, or no more: before it is destroyed it must not be."""
        ident = self.pick(self.model.nexuses)
        name = ident and self.model.nexuses[ident]["name"]
        if not name or self.model.nexuses[ident]["shut"] and name not in self.model.doors:
            return None
        if name in self.model.doors and self.rng.randrange(2):
            return Step("ShareRpc/DestroyShare", {"name": name}, lambda m: m.doors.pop(name))
        return Step("ShareRpc/CreateShare", {"name": name, "bdev": name}, lambda m: m.doors.update({name: name}))

    VERBS = ("pool_create pool_create pool_destroy replica_create replica_create replica_create replica_destroy replica_share "
             "replica_resize replica_entity snapshot_create snapshot_destroy clone_create bdev_create bdev_share "
             "nexus_create nexus_create nexus_destroy nexus_shutdown nexus_publish nexus_publish nexus_resize child_add child_add "
             "child_add child_remove child_offline child_online child_online rebuild rebuild door door write write write write").split()
