#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_events - mayastor.x1.EventRpc as gRPC's own client sees it, and `mayactl events`.

  test_events.py MAYASTOR MAYACTL PROTO

PROTO is the folder proto/ of the sources.
"""
import json
import subprocess
import sys
import time

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import grpc
    import nbd
    import node
except ImportError as error:
    tap.skip("node_events", error)

MAYASTOR, MAYACTL, PROTO = sys.argv[1:4]
MIB = 1 << 20
RING, WATCHERS = 1024, 64
R1, R2, NEXUS, SNAP, CLONE = (f"11111111-1111-4111-8111-11111111111{i}" for i in "12345")


class World(node.World):
    def watch(self, **fields):
        fields.setdefault("timeout", 60)
        timeout = fields.pop("timeout")
        path, ask, event, _ = self.node.find("EventRpc/WatchEvents")
        function = self.node.channel.unary_stream(path, request_serializer=ask.SerializeToString, response_deserializer=event.FromString)
        return function(ask(**fields), timeout=timeout)

    def all(self, since=0):
        return list(self.watch(since=since, no_follow=True))

    def last(self):
        return self.all()[-1].number

    def ctl(self, *words, code=0):
        done = subprocess.run([MAYACTL, "--node", self.node.addrs["grpc"], *words], capture_output=True, text=True,
                              timeout=60)
        assert done.returncode == code, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
        return done.stdout if code == 0 else done.stderr


def told(events):
    return [(e.kind, e.what, e.name) for e in events]


@tap.case
def what_is_done_is_told_in_order(w):
    before = w.last()
    call = w.node.call
    disk = w.room.disk("disk")
    call("PoolRpc/CreatePool", name="p", disks=[disk])
    call("ReplicaRpc/CreateReplica", name="r", uuid=R1, pooluuid="p", size=16 * MIB, thin=True)
    call("ReplicaRpc/CreateReplica", name="r", uuid=R1, pooluuid="p", size=16 * MIB, thin=True)  # nothing new
    call("ReplicaRpc/ShareReplica", uuid=R1, share=1)
    call("ReplicaRpc/ResizeReplica", uuid=R1, requested_size=32 * MIB)
    call("ReplicaRpc/UnshareReplica", uuid=R1)
    call("SnapshotRpc/CreateReplicaSnapshot", replica_uuid=R1, snapshot_uuid=SNAP, snapshot_name="s", entity_id="e",
         txn_id="t")
    call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=SNAP, clone_name="c", clone_uuid=CLONE)
    call("ReplicaRpc/DestroyReplica", uuid=CLONE)
    call("SnapshotRpc/DestroySnapshot", snapshot_uuid=SNAP)
    call("ReplicaRpc/DestroyReplica", uuid=R1)
    call("BdevRpc/Create", uri="malloc:///m?size_mb=4")
    call("BdevRpc/Destroy", uri="malloc:///m?size_mb=4")
    call("PoolRpc/ExportPool", name="p")
    call("PoolRpc/ImportPool", name="p", disks=[disk])
    call("PoolRpc/DestroyPool", name="p")
    events = w.all(before)
    assert told(events) == [
        ("pool", "created", "p"), ("replica", "created", "r"), ("replica", "shared", "r"), ("replica", "resized", "r"),
        ("replica", "unshared", "r"), ("snapshot", "created", "s"), ("replica", "created", "c"),
        ("replica", "destroyed", "c"), ("snapshot", "destroyed", "s"), ("replica", "destroyed", "r"),
        ("bdev", "created", "malloc:///m?size_mb=4"), ("bdev", "destroyed", "malloc:///m?size_mb=4"),
        ("pool", "exported", "p"), ("pool", "imported", "p"), ("pool", "destroyed", "p")], told(events)
    assert [e.number for e in events] == list(range(before + 1, before + 16)) and not any(e.missed for e in events)
    assert events[1].uuid == R1 and events[1].text == "in pool 'p'" and events[0].time.seconds > 1e9, events[1]


@tap.case
def a_nexus_tells_of_its_children_and_their_rebuilds(w):
    call = w.node.call
    call("PoolRpc/CreatePool", name="q", disks=[w.room.disk("q", 256 * MIB)])
    uris = [call("ReplicaRpc/CreateReplica", name=f"r{u[-1]}", uuid=u, pooluuid="q", size=16 * MIB, thin=True).uri
            for u in (R1, R2)]
    stream = w.watch(since=w.last())
    call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=16 * MIB, children=uris[:1])
    call("NexusRpc/AddChildNexus", uuid=NEXUS, uri=uris[1])
    seen = []
    for event in stream:  # until the rebuild is over
        seen.append(event)
        if (event.kind, event.what) == ("rebuild", "end"):
            break
    stream.cancel()
    names = told(seen)
    for one in (("nexus", "serving", "n"), ("nexus", "created", "n"), ("child", "in-sync", "pool:///q/r1"),
                ("child", "added", "pool:///q/r2"), ("rebuild", "begin", "pool:///q/r2"),
                ("child", "in-sync", "pool:///q/r2")):
        assert names.count(one) == 1, (one, names)
    assert names[-1] == ("rebuild", "end", "pool:///q/r2") and names.index(("rebuild", "begin", "pool:///q/r2")) > 0
    assert {e.uuid for e in seen if e.kind in ("nexus", "child", "rebuild")} == {NEXUS}, seen
    since = w.last()
    call("NexusRpc/PublishNexus", uuid=NEXUS, share=1)
    call("NexusRpc/UnpublishNexus", uuid=NEXUS)
    call("NexusRpc/RemoveChildNexus", uuid=NEXUS, uri=uris[1])
    call("NexusRpc/DestroyNexus", uuid=NEXUS)
    names = told(w.all(since))
    at = [names.index(one) for one in (("nexus", "published", "n"), ("nexus", "unpublished", "n"),
                                       ("child", "removed", "pool:///q/r2"), ("nexus", "destroyed", "n"))]
    assert at == sorted(at), names


@tap.case
def a_pool_tells_that_it_fills_up_and_is_relieved(w):
    since = w.last()
    for i in range(4):
        w.node.call("ReplicaRpc/CreateReplica", name=f"thick{i}", uuid=f"22222222-2222-4222-8222-22222222222{i}",
                    pooluuid="q", size=54 * MIB, thin=False)
    for i in range(4):
        w.node.call("ReplicaRpc/DestroyReplica", uuid=f"22222222-2222-4222-8222-22222222222{i}")
    names = []
    for event in w.watch(since=since, timeout=30):  # space comes back in the background
        names.append((event.kind, event.what))
        if names[-1] == ("pool", "relieved"):
            break
    assert ("pool", "watermark-80") in names, names


@tap.case
def a_rebuild_tells_how_far_it_is(w):
    call = w.node.call
    first = call("ReplicaRpc/ListReplicas", uuid=R1).replicas[0].uri
    call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=16 * MIB, children=[first])
    share = w.call("ShareRpc/CreateShare", name="v", bdev="n")
    disk = nbd.NBD()
    disk.connect_uri(share.uri)
    for offset in range(0, 8 * MIB, MIB):
        disk.pwrite(b"x" * MIB, offset)
    disk.shutdown()
    w.call("ShareRpc/DestroyShare", name="v")
    w.call("NexusExtraRpc/SetRebuildLimits", nexus="n",
          limits={"bytes_per_s": 3 * MIB})
    since = w.last()
    assert told(w.all(since - 40))[-40:].count(("share", "created", "v")) == 1
    second = call("ReplicaRpc/ListReplicas", uuid=R2).replicas[0].uri
    call("NexusRpc/AddChildNexus", uuid=NEXUS, uri=second)
    steps = []
    for event in w.watch(since=since):
        if event.kind == "rebuild":
            steps.append((event.what, event.text))
            if event.what == "progress" and len(steps) == 2:  # while it rests it is as far as it was
                call("NexusRpc/PauseRebuild", nexus_uuid=NEXUS, uri=second)
                time.sleep(2.5)
                call("NexusRpc/ResumeRebuild", nexus_uuid=NEXUS, uri=second)
        if steps and steps[-1][0] in ("end", "failed"):
            break
    middle = [int(text.split(": ")[1].split(" %")[0]) for what, text in steps if what == "progress"]
    assert steps[0][0] == "begin" and steps[-1][0] == "end" and len(steps) == len(middle) + 2, steps
    assert middle and middle == sorted(set(middle)) and 10 <= middle[0] and middle[-1] <= 90, steps
    call("NexusRpc/DestroyNexus", uuid=NEXUS)


@tap.case
def a_stream_ends_with_its_client_and_its_place_is_free_again(w):
    many = [w.watch(since=1 << 60) for _ in range(WATCHERS)]
    for stream in many:
        next(stream)
    try:
        next(w.watch())
        raise AssertionError("one more could watch")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "watch the events" in error.details(), error
    for stream in many:
        stream.cancel()
    for _ in range(500):
        try:
            assert w.all()
            return
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error
    raise AssertionError("no place is free again")


@tap.case
def who_comes_too_late_is_told_how_many_it_missed(w):
    since = w.last()
    for _ in range(RING // 2 + 10):
        w.node.call("BdevRpc/Create", uri="malloc:///m?size_mb=4")
        w.node.call("BdevRpc/Destroy", uri="malloc:///m?size_mb=4")
    events = w.all(since)
    assert len(events) == RING and events[0].missed == 20, (len(events), events[0])
    assert [e.number for e in events] == list(range(since + 21, since + 21 + RING))
    assert not any(e.missed for e in events[1:])


@tap.case
def mayactl_lists_and_follows(w):
    number = w.last()
    table = w.ctl("events", "--since", str(number - 2)).splitlines()
    assert len(table) == 3 and table[0].split() == ["NUMBER", "TIME", "KIND", "WHAT", "NAME", "TEXT"], table
    assert [line.split()[0] for line in table[1:]] == [str(number - 1), str(number)], table
    rows = json.loads(w.ctl("events", "list", "-o", "json", "--since", str(number - 1)))
    assert [(row["number"], row["kind"], row["what"]) for row in rows] == [(number, "bdev", "destroyed")], rows
    lines = w.ctl("events", "watch", "--no-follow", "-o", "json", "--since", str(number - 2)).splitlines()
    assert [json.loads(line)["number"] for line in lines] == [number - 1, number], lines
    assert w.ctl("events", "--since", str(number)) == "no events\n"
    assert "remembered no more" in w.ctl("events", "watch", "--no-follow", "--since", "1")
    assert "--since is 'x'" in w.ctl("events", "--since", "x", code=64)
    follow = subprocess.Popen([MAYACTL, "--node", w.node.addrs["grpc"], "events", "--follow", "--since", str(number)],
                              stdout=subprocess.PIPE, text=True)
    w.node.call("BdevRpc/Create", uri="malloc:///f?size_mb=4")
    assert follow.stdout.readline().split()[2:5] == ["bdev", "created", "malloc:///f?size_mb=4"]
    follow.kill()
    follow.wait()


@tap.case
def a_node_that_began_anew_tells_all_it_remembers(w):
    number = w.last()
    w.node.kill()
    w.node.start()
    events = w.all(number)
    assert (events[0].number, events[0].kind, events[0].what) == (1, "node", "started"), events[0]
    assert ("pool", "imported", "q") in told(events), told(events)


@tap.case
def a_node_that_stops_ends_the_streams(w):
    stream = w.watch()
    next(stream)
    channel, w.node.channel = w.node.channel, None  # the node ends, not its client
    w.node.stop()
    try:
        for _ in stream:
            pass
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED), error
    channel.close()
    assert "calls did not end" not in w.node.words()  # nobody waits for them
    w.node.start()


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
