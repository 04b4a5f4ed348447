# SPDX-License-Identifier: Apache-2.0
"""
kill_model - what a node has acknowledged, and what it lists: test_kill.py compares the two.

KM1. A size of None is "4 or 8 MiB": a volume that was growing may have grown some of its replicas. So it is with those of one that
     has grown: a member that was away grows when it comes back.
KM2. Of a child is told whether it is away by wish; whether it is in sync at this moment is not a promise.
"""
import copy
import time

MIB = 1 << 20
SIZES = (4 * MIB, 8 * MIB)
OPEN_S = 60
UNKNOWN, SHUTDOWN, BY_CLIENT = 0, 5, 7


def uri_of(ident, facts):
    """As the child of a nexus."""
    return f"bdev:///{facts['name']}?uuid={ident}"


class Model:
    """{kind: {uuid: facts}}."""

    def __init__(self):
        self.pools, self.replicas, self.snapshots, self.nexuses, self.bdevs, self.doors = {}, {}, {}, {}, {}, {}

    def listing(self):
        return {name: dict(sorted(value.items())) for name, value in vars(self).items()}

    def changed(self, change):
        done = copy.deepcopy(self)
        change(done)
        return done

    def loosen(self):
        """KM1."""
        grown = {uri for x in self.nexuses.values() if x["size"] == SIZES[1] for uri in x["children"]}
        for ident, facts in self.replicas.items():
            if uri_of(ident, facts) in grown:
                facts["size"] = None

    def settled(self, found):
        """This model with what it leaves open as it was found (KM1); it may still differ."""
        done = copy.deepcopy(self)
        done.loosen()
        for ident, facts in done.replicas.items():
            if facts["size"] is None and found["replicas"].get(ident, {}).get("size") in SIZES:
                facts["size"] = found["replicas"][ident]["size"]
        return done


def nexuses(node):
    """When all are open, but those that are shut down."""
    end = time.monotonic() + OPEN_S
    while True:
        told = node.call("NexusRpc/ListNexus").nexus_list
        away = [x.name for x in told if x.state != SHUTDOWN and (x.state == UNKNOWN or closed(x))]
        if not away:
            return told
        assert time.monotonic() < end, f"not open after {OPEN_S} s: {away}"
        time.sleep(0.02)


def closed(nexus):
    """Listed by what the node remembers of it: nobody has opened it yet."""
    return all(c.state_reason == 2 for c in nexus.children)


def listed(node, doors):
    m = Model()
    for p in node.call("PoolRpc/ListPools").pools:
        assert p.state == 1, f"pool {p.name} is not online"
        m.pools[p.name] = tuple(p.disks)
    for x in nexuses(node):
        children = {c.uri: None if x.state == SHUTDOWN else c.state_reason == BY_CLIENT for c in x.children}
        m.nexuses[x.uuid] = {"name": x.name, "size": x.size, "children": children, "shut": x.state == SHUTDOWN,
                             "published": bool(x.device_uri), "hosts": list(x.allowed_hosts)}
    for r in node.call("ReplicaRpc/ListReplicas").replicas:
        m.replicas[r.uuid] = {"name": r.name, "pool": r.poolname, "size": r.size, "thin": r.thin, "share": r.share,
                              "hosts": list(r.allowed_hosts), "entity": r.entity_id, "of": r.snapshot_uuid}
        assert r.uri.startswith("nvmf://" if r.share else "bdev:///"), r.uri
    for s in node.call("SnapshotRpc/ListSnapshot").snapshots:
        m.snapshots[s.snapshot_uuid] = (s.snapshot_name, s.source_uuid, s.entity_id, s.txn_id)
    for b in node.call("BdevRpc/List").bdevs:
        if b.uri.startswith("malloc:"):
            m.bdevs[b.uri] = bool(b.share_uri)
    m.doors = {name: bdev for name, (bdev, _) in doors.items()}
    return m.listing()
