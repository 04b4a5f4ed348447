# SPDX-License-Identifier: Apache-2.0
"""
node_mix - mixed calls of a storage node at a rate, each with the answer that is right (bench/node).

A worker lives through the same story again and again, on things of its own: a replica that is shared and not, grows, has
a snapshot, a clone, is the child of a nexus that is published and not; a disk; and, in between, lists, figures, and calls
that must be refused with a certain code. The workers share one pace.

MX1. An answer that is not the one expected ends the run, and so does a call without an answer.
"""
import itertools
import threading
import time
import uuid

import grpc
import node

MIB = 1 << 20
NOBODY = "99999999-9999-4999-8999-999999999999"
WORKERS = 12
ANSWER_S = 30


class Pace:
    """So many calls a second of all workers together; pauses are not made up for."""

    def __init__(self, rate):
        self.step, self.due, self.lock = 1 / rate, time.monotonic(), threading.Lock()

    def wait(self):
        with self.lock:
            now = time.monotonic()
            self.due = max(self.due + self.step, now - 0.1)
            due = self.due
        if due > now:
            time.sleep(due - now)


class Worker:
    def __init__(self, mix, number):
        self.mix, self.node, self.number = mix, mix.node, number
        self.calls = self.refused = 0
        self.methods = {}

    def ident(self, what, turn):
        return str(uuid.UUID(int=(self.number << 96) + (turn << 32) + what, version=4))

    def call(self, path, refused=None, **fields):
        """The answer; or its refusal, which must be this one."""
        self.mix.pace.wait()
        if self.mix.stopping.is_set():
            raise StopIteration
        try:
            answer = self.node.call(path, timeout=ANSWER_S, **fields)
            assert not refused, f"{path} {fields} was not refused with {refused}: {answer}"
        except node.Failed as failed:
            assert failed.code == refused and failed.words, f"{path} {fields}: {failed}, expected {refused or 'an answer'}"
            self.refused += 1
            answer = None
        self.calls += 1
        return answer

    def looks(self, turn, uri):
        """Lists and figures, and what is refused: one of them."""
        look = turn % 10
        if look == 0:
            assert [p.name for p in self.call("PoolRpc/ListPools").pools] == self.mix.pools
        elif look == 1:
            assert any(r.uri == uri for r in self.call("ReplicaRpc/ListReplicas").replicas), uri
        elif look == 2:
            assert self.mix.volume in [x.name for x in self.call("NexusRpc/ListNexus").nexus_list]
        elif look == 3:
            self.call("ReplicaRpc/DestroyReplica", refused="NOT_FOUND", uuid=NOBODY)
        elif look == 4:
            assert self.call("HostRpc/GetMayastorInfo").version
        elif look == 5:
            self.call("ReplicaRpc/CreateReplica", refused="INVALID_ARGUMENT", name="x", uuid="no uuid", pooluuid=self.mix.pools[0], size=MIB)
        elif look == 6:
            self.call("BdevRpc/List")
        elif look == 7:
            assert len(self.call("StatsRpc/GetPoolIoStats").stats) == len(self.mix.pools)
        elif look == 8:
            self.call("NexusRpc/PublishNexus", refused="NOT_FOUND", uuid=NOBODY, share=1)
        else:
            self.call("PoolRpc/DestroyPool", refused="FAILED_PRECONDITION", name=self.mix.pools[0])

    def story(self, turn):
        name, looks = f"w{self.number}-{turn}", itertools.count(turn)
        replica, snapshot, clone, nexus = (self.ident(what, turn) for what in range(4))
        made = self.call("ReplicaRpc/CreateReplica", name=name, uuid=replica, pooluuid=self.mix.work, size=4 * MIB, thin=True)
        assert made.uuid == replica and made.size == 4 * MIB and made.uri == f"bdev:///{name}?uuid={replica}", made
        for _ in range(4):
            self.looks(next(looks), made.uri)
        shared = self.call("ReplicaRpc/ShareReplica", uuid=replica, share=1)
        assert shared.uri.startswith("nvmf://") and shared.share == 1, shared
        for _ in range(4):
            self.looks(next(looks), shared.uri)
        assert self.call("ReplicaRpc/UnshareReplica", uuid=replica).uri == made.uri
        snap = self.call("SnapshotRpc/CreateReplicaSnapshot", replica_uuid=replica, snapshot_uuid=snapshot, snapshot_name=f"{name}-s",
                         entity_id="e", txn_id="1").snapshot
        assert snap.snapshot_uuid == snapshot and snap.source_uuid == replica, snap
        for _ in range(4):
            self.looks(next(looks), made.uri)
        copy = self.call("SnapshotRpc/CreateSnapshotClone", snapshot_uuid=snapshot, clone_name=f"{name}-c", clone_uuid=clone)
        assert copy.is_clone and copy.snapshot_uuid == snapshot, copy
        self.call("ReplicaRpc/DestroyReplica", uuid=clone)
        self.call("SnapshotRpc/DestroySnapshot", snapshot_uuid=snapshot)
        volume = self.call("NexusRpc/CreateNexus", name=f"{name}-n", uuid=nexus, size=4 * MIB, children=[made.uri]).nexus
        assert volume.state == 1 and [c.uri for c in volume.children] == [made.uri], volume
        self.call("ReplicaRpc/DestroyReplica", refused="FAILED_PRECONDITION", uuid=replica)
        assert self.call("NexusRpc/PublishNexus", uuid=nexus, share=1).nexus.device_uri.endswith(nexus)
        for _ in range(4):
            self.looks(next(looks), made.uri)
        assert not self.call("NexusRpc/UnpublishNexus", uuid=nexus).nexus.device_uri
        self.call("NexusRpc/DestroyNexus", uuid=nexus)
        self.call("ReplicaRpc/DestroyReplica", uuid=replica)
        disk = f"malloc:///{name}?size_mb=1"
        self.call("BdevRpc/Create", uri=disk)
        self.call("BdevRpc/Destroy", uri=disk)

    def main(self):
        try:
            for turn in itertools.count(1):
                self.story(turn)
        except StopIteration:
            pass
        except (AssertionError, grpc.RpcError, RuntimeError) as error:
            self.mix.failed(f"worker {self.number}: {error}")


class Mix:
    def __init__(self, one, pools, work, volume, rate):
        self.node, self.pools, self.work, self.volume = one, pools, work, volume
        self.pace, self.stopping, self.problem = Pace(rate), threading.Event(), None
        self.workers = [Worker(self, i + 1) for i in range(WORKERS)]

    def failed(self, words):
        self.problem = self.problem or words
        self.stopping.set()

    def start(self):
        self.threads = [threading.Thread(target=w.main, daemon=True) for w in self.workers]
        for thread in self.threads:
            thread.start()

    def calls(self):
        return sum(w.calls for w in self.workers)

    def refused(self):
        return sum(w.refused for w in self.workers)

    def stop(self):
        """Raises what went wrong. What the stories have left in the middle stays."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(2 * ANSWER_S)
            assert not thread.is_alive(), "a call was not answered"
        assert not self.problem, self.problem
