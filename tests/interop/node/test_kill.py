#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
test_kill - kill -9 at random moments during pool, replica, snapshot and nexus operations: after the restart the listing
is what was acknowledged, and nothing half made remains.

  test_kill.py MAYASTOR [--long] [--kills N] [--seed N]

What was acknowledged is kept in a model beside the node. The one call in flight at the kill may have happened or not:
the listing is that of the model, with it or without, and never of something in between. A second node, which is not
killed, has replicas that the nexuses use over NVMe/TCP. What an NBD client was told is written is read back.

With TRACE in the environment every call is shown. At the end every volume becomes whole by itself, all is destroyed, and then the pools bear nothing.
"""
import argparse
import importlib
import os
import random
import subprocess
import sys
import threading
import time
import traceback

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

try:
    import kill_verbs
    import node
    from kill_model import MIB, OPEN_S, SHUTDOWN, Model, listed, nexuses
except ImportError as error:
    tap.skip("node_kill", error)
try:
    import nbd
except ImportError:
    nbd = None

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
KILLS, KILLS_LONG = 10, 200
DISKS, REMOTES = 3, 4
BLOCK, BLOCKS = 4096, 64
ENDED = ("UNAVAILABLE", "CANCELLED", "UNKNOWN")
ONLINE = 1


class World(kill_verbs.Verbs):
    def __init__(self, mayastor, seed):
        self.room = node.Room()
        self.rng = random.Random(seed)
        self.mayastor = mayastor
        self.node = node.Node(mayastor, self.room)
        self.other = node.Node(mayastor, self.room, "other")
        self.disks = [self.room.disk(f"disk{i}", 128 * MIB) for i in range(DISKS)]
        self.model, self.calls, self.refused, self.writes, self.kinds = Model(), 0, 0, 0, set()
        self.written = {}  # {nexus: {block: the values it may have}}
        self.remotes = {}
        self.share_pb = self.compiled("mayastor/x1/share.proto")
        self.nexus_pb = self.compiled("mayastor/x1/nexus.proto")

    def compiled(self, proto):
        subprocess.run(["protoc", f"-I{TOP}/proto", "-I/usr/include", f"--python_out={self.room.dir}", proto], check=True)
        return importlib.import_module(proto[:-6].replace("/", ".") + "_pb2")

    def start(self):
        self.other.start()
        self.other.call("PoolRpc/CreatePool", name="far", disks=[self.room.disk("far")])
        for i in range(REMOTES):
            ident = self.ident()
            made = self.other.call("ReplicaRpc/CreateReplica", name=f"far-{i}", uuid=ident, pooluuid="far", size=8 * MIB, thin=True,
                                   share=1)
            self.remotes[made.uri] = made.size
        self.node.start()

    # ---- shares: of our own API

    def share_call(self, name, kind, reply, /, **fields):
        ask = getattr(self.share_pb, kind)
        function = self.node.channel.unary_unary(f"/mayastor.x1.ShareRpc/{name}", request_serializer=ask.SerializeToString,
                                                 response_deserializer=getattr(self.share_pb, reply).FromString if reply else bytes)
        try:
            return function(ask(**fields), timeout=30)
        except node.grpc.RpcError as error:
            raise node.Failed(error) from None

    def doors(self):
        return {s.name: (s.bdev, s.uri) for s in self.share_call("ListShares", "ListSharesRequest", "ListSharesResponse").shares}

    def detail(self, name):
        """For a report only."""
        ask = self.nexus_pb.NexusDetailRequest
        function = self.node.channel.unary_unary("/mayastor.x1.NexusExtraRpc/GetNexusDetail", request_serializer=ask.SerializeToString,
                                                 response_deserializer=self.nexus_pb.NexusDetail.FromString)
        return function(ask(nexus=name), timeout=30)

    def call(self, step):
        if not step.path.startswith("ShareRpc/"):
            return self.node.call(step.path, **step.fields)
        name = step.path.split("/")[1]
        return self.share_call(name, f"{name}Request", "Share" if name == "CreateShare" else None, **step.fields)

    # ---- what is written

    def connect(self, ident):
        """A client of the nexus's NBD share: it is there soon after a restart. None: the node is dead."""
        uri = self.doors()[self.model.nexuses[ident]["name"]][1]
        end = time.monotonic() + OPEN_S
        while True:
            client = nbd.NBD()
            try:
                client.connect_uri(uri)
                return client
            except nbd.Error as error:
                assert time.monotonic() < end, f"{uri}: {error}"
            if self.node.child.poll() is not None:
                raise ConnectionError
            time.sleep(0.02)

    def look(self, client, ident, blocks):
        known = self.written.setdefault(ident, {})
        for block in blocks:
            found = bytes(client.pread(BLOCK, block * BLOCK))
            value = int.from_bytes(found[:8], "little")
            assert found == found[:8] * (BLOCK // 8) and value in known[block], \
                f"{self.model.nexuses[ident]['name']}: block {block} has {value}, {found[:16].hex()}.., expected one of {known[block]}"
            known[block] = {value}

    def with_door(self):
        return [i for i, x in self.model.nexuses.items() if x["name"] in self.model.doors and not x["shut"]]

    def write(self):
        """Some blocks of a volume, after a look at others."""
        ident = nbd and self.pick(self.with_door())
        return ident and kill_verbs.Step("write", {"ident": ident})

    def write_now(self, ident):
        client = self.connect(ident)
        known = self.written.setdefault(ident, {})
        self.look(client, ident, self.rng.sample(sorted(known), min(2, len(known))))
        now = {}
        for block in self.rng.sample(range(BLOCKS), 6):
            self.writes += 1
            known[block] = known.get(block, set(range(self.writes))) | {self.writes}  # until it is flushed
            client.pwrite(self.writes.to_bytes(8, "little") * (BLOCK // 8), block * BLOCK)
            now[block] = {self.writes}
        client.flush()
        known.update(now)
        client.shutdown()

    # ---- a round

    def next(self):
        while True:
            found = getattr(self, self.rng.choice(self.VERBS))()
            if found:
                return found

    @staticmethod
    def tell(step, answer):
        if os.environ.get("TRACE"):
            print("#", step.path, step.fields, answer)

    def do(self, step):
        """False: it was refused, as it may be, or has to wait."""
        if step.path == "write":
            self.write_now(**step.fields)
            return True
        try:
            self.call(step)
            self.tell(step, "")
            return True
        except node.Failed as failed:
            if failed.code in ENDED and self.is_dead():
                raise ConnectionError from None
            # a nexus may be about to open, after a restart
            if failed.code == "UNAVAILABLE":
                self.tell(step, failed)
                time.sleep(0.02)
                return False
            if failed.code in step.refusals:
                self.refused += 1
                return False
            raise AssertionError(f"{step.path} {step.fields}: {failed}") from None

    def round(self, seconds):
        """Calls until the node is killed from beside, after some seconds: the step in flight."""
        killer = threading.Timer(seconds, lambda: self.node.child.kill())
        killer.start()
        try:
            while True:
                step = self.next()
                try:
                    if not self.do(step):
                        continue
                except Exception as error:
                    if (isinstance(error, (ConnectionError, node.Failed)) or nbd and isinstance(error, nbd.Error)) and self.is_dead():
                        return step
                    raise
                self.model.loosen()
                step.change(self.model)
                self.calls += 1
                self.kinds.add(step.path)
        finally:
            killer.join()

    def is_dead(self):
        try:
            self.node.child.wait(2)
        except subprocess.TimeoutExpired:
            return False
        return True

    def compare(self, step):
        found = listed(self.node, self.doors())
        self.model.loosen()
        without = self.model.changed(step.loosen).settled(found)
        done = self.model.changed(step.loosen).changed(step.change).settled(found)
        if found == done.listing():
            self.model = done
        elif found == without.listing():
            self.model = without
        else:
            here, there = without.listing(), done.listing()
            wrong = {k: {i: (found[k].get(i), here[k].get(i), there[k].get(i)) for i in {*found[k], *here[k], *there[k]}
                         if found[k].get(i) not in (here[k].get(i), there[k].get(i)) or here[k] == there[k] and found[k].get(i) != here[k].get(i)}
                     for k in found if found[k] not in (here[k], there[k])}
            raise AssertionError(f"in flight {step.path} {step.fields}; listed, acknowledged, with the one in flight: {wrong}")
        path = os.path.join(self.node.state, "node.json")
        if os.path.exists(path):  # else killed before anything was kept
            with open(path, encoding="utf-8") as file:
                text = file.read()
            assert '"making":[\n  ]' in text, f"in flight {step.path}: half made: {text}"
        self.written = {i: known for i, known in self.written.items() if i in self.model.nexuses}
        for ident in self.with_door() if nbd else ():
            client = self.connect(ident)
            self.look(client, ident, sorted(self.written.get(ident, {})))
            client.shutdown()

    def kill_and_compare(self):
        step = self.round(self.rng.uniform(0.02, 0.5))
        self.node.end(9)
        self.node.start()
        self.compare(step)

    # ---- the end

    def whole(self):
        """Every volume becomes whole by itself, but for what is away by wish."""
        end = time.monotonic() + OPEN_S
        while True:
            away = [f"{x.name}: {c.uri}: {c.state} {c.state_reason}" for x in nexuses(self.node) if x.state != SHUTDOWN
                    for c in x.children if c.state != ONLINE and not self.model.nexuses[x.uuid]["children"][c.uri]]
            if not away:
                return
            assert time.monotonic() < end, f"not whole: {away}: {self.detail(away[0].split(':')[0])}"
            time.sleep(0.05)

    def take_down(self):
        call = self.node.call
        for name in list(self.doors()):
            self.share_call("DestroyShare", "DestroyShareRequest", None, name=name)
        for ident in self.model.nexuses:
            call("NexusRpc/DestroyNexus", uuid=ident)
        for _ in range(kill_verbs.REPLICAS_MAX):  # clones of clones
            sources = {s[1] for s in self.model.snapshots.values()}
            for ident in [i for i in self.model.replicas if i not in sources]:
                call("ReplicaRpc/DestroyReplica", uuid=ident)
                del self.model.replicas[ident]
            used = {r["of"] for r in self.model.replicas.values()}
            for ident in [i for i in self.model.snapshots if i not in used]:
                call("SnapshotRpc/DestroySnapshot", snapshot_uuid=ident)
                del self.model.snapshots[ident]
        left = [(p.name, p.committed) for p in call("PoolRpc/ListPools").pools if p.committed]
        assert not left, f"pools without replicas have committed {left}"
        pools = [(p.name, list(p.disks)) for p in call("PoolRpc/ListPools").pools]
        self.node.stop()
        self.other.stop()
        for _, disks in pools:
            done = subprocess.run([self.mayastor, "pool", "check", *disks], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            assert done.returncode == 0, f"pool check {disks}: {done.stdout} {done.stderr}"

    def close(self):
        for one in (self.node, self.other):
            if one.child and one.child.poll() is None:
                one.kill()
        self.room.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mayastor")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else (random.randrange(1 << 31) if args.long else 7)
    kills = args.kills or (KILLS_LONG if args.long else KILLS)
    print(f"1..1\n# seed {seed}{'' if nbd else '; no libnbd: data is not looked at'}", flush=True)
    world, done = World(args.mayastor, seed), 0
    try:
        world.start()
        for done in range(kills):
            world.kill_and_compare()
        world.whole()
        world.take_down()
        print(f"# {kills} kills, {world.calls} calls of {len(world.kinds)} kinds acknowledged, {world.refused} refused, "
              f"{world.writes} blocks written")
        print("ok 1 - what_was_acknowledged_is_there_after_a_kill")
        return 0
    except Exception:
        print("not ok 1 - what_was_acknowledged_is_there_after_a_kill")
        print("# " + (f"kill {done}\n" + traceback.format_exc() + world.node.words()[-3000:]).replace("\n", "\n# "))
        return 1
    finally:
        world.close()


sys.exit(main())
