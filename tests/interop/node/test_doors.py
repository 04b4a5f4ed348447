#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_doors - what a node offers over NVMe/TCP, on which port and to whom, as another node's initiator finds it.

  test_doors.py MAYASTOR MAYACTL PROTO
"""
import json
import subprocess
import sys

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import node
except ImportError as error:
    tap.skip("node_doors", error)

MAYASTOR, MAYACTL, PROTO = sys.argv[1:4]
MIB = 1 << 20
NBD, NVMF, VHOST = 0, 1, 2
FRIEND, FOE = "nqn.2014-08.org.nvmexpress:friend", "nqn.2014-08.org.nvmexpress:foe"
REPLICA, NEXUS = (f"11111111-1111-4111-8111-11111111111{i}" for i in "12")


class World(node.World):
    def prepare(self):
        self.node.start()
        self.far = self.make_node("far").start()
        self.node.call("PoolRpc/CreatePool", name="p", disks=[self.room.disk("disk")])

    def x1(self, method, **fields):
        return self.call(f"ShareRpc/{method}", **fields)

    def open(self, uri, host):
        """From the other node, as that host: blocks, or the words of the refusal."""
        uri = uri.split("?")[0] + f"?hostnqn={host}&connect_ms=2000"
        try:
            made = self.far.call("BdevRpc/Create", uri=uri).bdev
        except node.Failed as failed:
            return failed.words
        self.far.call("BdevRpc/Destroy", uri=uri)
        return made.num_blocks * made.blk_size

    def is_only_for_friends(self, uri, size):
        assert self.open(uri, FRIEND) == size, self.open(uri, FRIEND)
        words = self.open(uri, FOE)
        assert isinstance(words, str) and "Invalid Host" in words, words


def at(addr, nqn):
    return f"nvmf://{addr}/{nqn}"


@tap.case
def any_disk_is_offered_by_nvmf_to_who_may_come(w):
    made = w.x1("CreateShare", name="ram", bdev="malloc:///ram?size_mb=8", door=NVMF, allowed_hosts=[FRIEND], description="x")
    assert made.uri == at(w.node.addrs["replicas"], "nqn.2019-05.io.openebs:share:ram") and list(made.allowed_hosts) == [FRIEND], made
    assert made == w.x1("CreateShare", name="ram", bdev="malloc:///ram?size_mb=8", door=NVMF, allowed_hosts=[FRIEND])
    w.is_only_for_friends(made.uri, 8 * MIB)
    w.node.kill()
    w.node.start()
    assert list(w.x1("ListShares").shares) == [made]
    w.is_only_for_friends(made.uri, 8 * MIB)
    w.x1("DestroyShare", name="ram", door=NVMF)
    assert isinstance(w.open(made.uri, FRIEND), str) and not w.x1("ListShares").shares


@tap.case
def doors_of_both_kinds_and_a_bdev_by_name(w):
    w.node.call("BdevRpc/Create", uri="malloc:///m?size_mb=8")
    first = w.x1("CreateShare", name="m", bdev="m", door=NVMF)
    second = w.x1("CreateShare", name="m", bdev="m", door=NBD)
    assert first.uri != second.uri and len(w.x1("ListShares", name="m").shares) == 2
    assert w.open(first.uri, FOE) == 8 * MIB
    try:
        w.node.call("BdevRpc/Destroy", uri="m")
        raise AssertionError("it is in use")
    except node.Failed as failed:
        assert failed.code == "FAILED_PRECONDITION", failed
    w.x1("DestroyShare", name="m", door=NBD)
    assert w.open(first.uri, FOE) == 8 * MIB
    w.x1("DestroyShare", name="m", door=NVMF)
    w.node.call("BdevRpc/Destroy", uri="m")


@tap.case
def wrong_shares_are_refused(w):
    replica = w.node.call("ReplicaRpc/CreateReplica", name="r", uuid=REPLICA, pooluuid="p", size=16 * MIB, thin=True, share=1)
    w.node.call("BdevRpc/Create", uri="malloc:///child?size_mb=16")
    w.node.call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=8 * MIB, children=["malloc:///child?size_mb=16"])
    assert replica.uri
    w.x1("CreateShare", name="s", bdev="malloc:///s?size_mb=4", door=NVMF)
    w.fails("ALREADY_EXISTS", "ShareRpc/CreateShare", name="s", bdev="malloc:///t?size_mb=4", door=NVMF)
    w.fails("ALREADY_EXISTS", "ShareRpc/CreateShare", name="s", bdev="malloc:///s?size_mb=4", door=NVMF, allowed_hosts=[FRIEND])
    assert "ShareReplica" in w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name="x", bdev="r", door=NVMF)
    assert "PublishNexus" in w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name="x", bdev="n", door=NVMF)
    for name in ("", "a/b", "a b", "x" * 129):
        w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name=name, bdev="malloc:///t?size_mb=4", door=NVMF)
    w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name="x", bdev="malloc:///t?size_mb=4", door=NVMF, allowed_hosts=["friend"])
    w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name="x", bdev="malloc:///t?size_mb=4", door=VHOST)
    w.fails("INVALID_ARGUMENT", "ShareRpc/CreateShare", name="x", bdev="malloc:///t?sise=4m", door=NVMF)
    w.fails("NOT_FOUND", "ShareRpc/CreateShare", name="x", bdev="nobody", door=NVMF)
    w.fails("NOT_FOUND", "ShareRpc/DestroyShare", name="s", door=NBD)
    w.fails("NOT_FOUND", "ShareRpc/DestroyShare", name="x", door=NVMF)
    w.x1("DestroyShare", name="s", door=NVMF)
    w.node.call("ReplicaRpc/DestroyReplica", uuid=REPLICA)
    w.node.call("NexusRpc/DestroyNexus", uuid=NEXUS)


def one_way_in_at_a_time(w, nqn):
    """The same host (name and id) through the other port: not before the first connection has ended."""
    who = f"?hostnqn={FOE}&hostid={REPLICA}&connect_ms=2000"
    first, second = (at(w.node.addrs[port], nqn) + who for port in ("nexuses", "replicas"))
    w.far.call("BdevRpc/Create", uri=first)
    try:
        w.far.call("BdevRpc/Create", uri=second)
        raise AssertionError("there were two ways in")
    except node.Failed as failed:
        assert "Busy" in failed.words, failed
    w.far.call("BdevRpc/Destroy", uri=first)
    w.far.call("BdevRpc/Create", uri=second)
    w.far.call("BdevRpc/Destroy", uri=second)


@tap.case
def a_nexus_answers_on_both_ports_and_a_replica_on_its_own(w):
    made = w.node.call("ReplicaRpc/CreateReplica", name="r", uuid=REPLICA, pooluuid="p", size=16 * MIB, thin=True)
    w.node.call("NexusRpc/CreateNexus", name="n", uuid=NEXUS, size=16 * MIB, children=[made.uri])
    uri = w.node.call("NexusRpc/PublishNexus", uuid=NEXUS, share=1, allowed_hosts=[FRIEND]).nexus.device_uri
    nqn = uri.rsplit("/", 1)[1]
    assert uri == at(w.node.addrs["nexuses"], nqn), uri
    for port in ("nexuses", "replicas"):
        w.is_only_for_friends(at(w.node.addrs[port], nqn), 16 * MIB)
    w.node.call("NexusRpc/PublishNexus", uuid=NEXUS, share=1, allowed_hosts=[FOE])
    for port in ("nexuses", "replicas"):
        assert w.open(at(w.node.addrs[port], nqn), FOE) == 16 * MIB
        assert isinstance(w.open(at(w.node.addrs[port], nqn), FRIEND), str)
    one_way_in_at_a_time(w, nqn)
    w.node.call("NexusRpc/DestroyNexus", uuid=NEXUS)
    uri = w.node.call("ReplicaRpc/ShareReplica", uuid=REPLICA, share=1, allowed_hosts=[FRIEND]).uri.split("?")[0]
    w.is_only_for_friends(uri, 16 * MIB)
    assert isinstance(w.open(at(w.node.addrs["nexuses"], uri.rsplit("/", 1)[1]), FRIEND), str)
    w.node.call("ReplicaRpc/DestroyReplica", uuid=REPLICA)


@tap.case
def what_is_read_only_is_so_for_hosts(w):
    made = w.x1("CreateShare", name="ro", bdev="malloc:///ro?size_mb=64", door=NVMF, read_only=True)
    try:
        w.far.call("PoolRpc/CreatePool", name="q", disks=[made.uri])
        raise AssertionError("it was written to")
    except node.Failed as failed:
        assert failed.code == "FAILED_PRECONDITION" and "read-only" in failed.words, failed
    w.x1("DestroyShare", name="ro", door=NVMF)


@tap.case
def mayactl_offers_a_disk(w):
    def run(*words):
        return subprocess.run([MAYACTL, "--node", w.node.addrs["grpc"], *words], capture_output=True, text=True, timeout=60, check=False)
    done = run("share", "create", "nvmf", "malloc:///c?size_mb=4", "--name", "c", "--allow", FRIEND, "-o", "json")
    assert done.returncode == 0 and json.loads(done.stdout)["uri"].endswith("share:c"), done
    done = run("share", "list")
    assert "share:c" in done.stdout and "nvmf" in done.stdout, done
    assert run("share", "destroy", "nvmf", "c").returncode == 0
    assert run("share", "destroy", "nvmf", "c").returncode == 3


sys.exit(tap.main(lambda: World(MAYASTOR, PROTO)))
