#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_nexus - `mayastor nexus`, as a person types it.

  test_nexus.py MAYASTOR

What is refused is one line on standard error, and writes nothing to any child.
"""
import hashlib
import json
import os
import re
import signal
import subprocess
import sys

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

MAYASTOR = sys.argv[1]
PAGE = f"{os.path.dirname(os.path.abspath(__file__))}/../../../docs/commands/nexus.md"
MIB = 1 << 20
FAILED, USAGE = 2, 64


class World(tap.Folder):
    """Three pools of one replica "v" each, and a store that is not there yet."""

    def __init__(self):
        super().__init__()
        self.store = f"--store sqlite://{self.dir}/store"
        self.pools = " ".join(f"--pool {self.disk(name)}" for name in "abc")
        self.uris = "pool:///a/v pool:///b/v pool:///c/v"
        for name in "abc":
            self.good(f"pool create {name} $D/{name}")
            self.good(f"replica create {name}/v --size 8MiB $D/{name}")

    def disk(self, name, size=64 * MIB):
        with open(f"{self.dir}/{name}", "ab") as file:
            file.truncate(size)
        return f"{self.dir}/{name}"

    def words(self, line):
        return [MAYASTOR] + line.replace("$D", self.dir).replace("$S", self.store).replace("$P", self.pools) \
            .replace("$U", self.uris).split()

    def run(self, line):
        return subprocess.run(self.words(line), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=100)

    def good(self, line):
        done = self.run(line)
        if done.returncode or done.stderr:
            raise AssertionError(f"{line}: {done.returncode} {done.stderr}")
        return done.stdout

    def digest(self):
        """Of all disks; what is a hole is not read."""
        digest = hashlib.sha1()
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("store"):
                continue
            with open(f"{self.dir}/{name}", "rb", buffering=0) as file:
                end = 0
                while True:
                    try:
                        at = os.lseek(file.fileno(), end, os.SEEK_DATA)
                    except OSError:
                        break
                    end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                    digest.update(f"{name} {at} {end}".encode() + os.pread(file.fileno(), end - at, at))
        return digest.hexdigest()

    def refused(self, line, words, code=FAILED):
        before = self.digest() if code == FAILED and "$P" not in line else None  # an import writes, too
        done = self.run(line)
        if done.returncode != code or words not in done.stderr or done.stderr.count("\n") != 1 \
                or len(done.stderr) > 400:
            raise AssertionError(f"{line}: {done.returncode} '{done.stderr}', expected {code} '{words}'")
        if before and self.digest() != before:
            raise AssertionError(f"{line}: something was written")


class Serving:
    """`nexus serve`, its standard input and output, in JSON."""

    def __init__(self, world, line):
        self.child = subprocess.Popen(world.words(f"nexus serve {line} --json"), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.events = []
        self.ready = self.until(lambda o: o.get("event") == "ready")

    def until(self, wanted):
        for line in self.child.stdout:
            told = json.loads(line)
            if wanted(told):
                return told
            self.events.append(told)
        raise AssertionError(f"it ended: {self.child.wait()} {self.child.stderr.read()}")

    def ask(self, line):
        """What was told before the answer, which is ok."""
        told, answer = self.answer(line)
        if not answer["ok"]:
            raise AssertionError(f"{line}: {answer['error']}")
        return told

    def answer(self, line):
        before = len(self.events)
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        answer = self.until(lambda o: "ok" in o)
        return [o for o in self.events[before:] if "event" not in o], answer

    def refused(self, line, words):
        _, answer = self.answer(line)
        if answer["ok"] or words not in answer["error"]:
            raise AssertionError(f"{line}: {answer}, expected '{words}'")

    def state(self):
        return self.ask("state")[0]

    def states(self):
        return [child["state"] for child in self.state()["children"]]

    def end(self, how=signal.SIGTERM):
        self.child.send_signal(how)
        out, err = self.child.communicate(timeout=100)
        if how == signal.SIGTERM and (self.child.returncode or err):
            raise AssertionError(f"{self.child.returncode} {err}")
        return out


@tap.case
def a_volume_is_recorded_listed_shown_and_forgotten(w):
    uuid = "6b1b5a4e-4c3c-4e6d-9a58-0e3d3c9a7c11"
    assert "in-sync    pool:///c/v" in w.good(f"nexus create v $U $S $P --uuid {uuid} --size=4MiB")
    shown = json.loads(w.good(f"nexus show {uuid} --json $S"))
    assert (shown["name"], shown["size_bytes"], shown["state"]) == ("v", 4 * MIB, "new"), shown
    assert [m["state"] for m in shown["members"]] == ["in-sync"] * 3, shown
    assert re.search(rf"^v +{uuid} +4.0 MiB +3 / 3 +0 new$", w.good("nexus list $S"), re.M)
    assert json.loads(w.good("nexus list --json $S")) == shown
    w.refused("nexus create v $U $S $P", "volume 'v' exists")
    w.good("nexus destroy v $S")
    w.refused("nexus show v $S", "no volume 'v'")
    assert len(w.good("nexus list $S").splitlines()) == 1


@tap.case
def it_is_served_told_about_and_closed(w):
    w.good("nexus create v $U $S $P")
    s = Serving(w, "v $S $P")
    assert s.ready["epoch"] == 1 and s.ready["resync_bytes"] == 0, s.ready
    state = s.state()
    assert (state["state"], state["path"]) == ("serving", "unpublished"), state
    assert json.loads(w.good("nexus show v --json $S"))["state"] == "owned"
    w.refused("nexus destroy v $S", "in use, or was not closed")
    s.ask("child offline pool:///b/v")
    assert s.states() == ["in-sync", "out", "in-sync"]
    s.ask("child online pool:///b/v")
    s.ask("settle")
    s.ask("child remove pool:///a/v")
    s.refused("child remove pool:///a/v", "no child 'pool:///a/v'")
    s.ask("child add pool:///a/v")
    s.ask("settle")
    assert s.states() == ["in-sync"] * 3
    s.refused("child add pool:///a/v", "has child 'pool:///a/v' already")
    s.refused("child add pool:///a/none", "none")
    s.refused("child eat pool:///a/v", "child add, force, remove")
    s.refused("frob", "child, rebuild")
    s.refused("publish", "no door")
    s.refused("ana optimized", "not published")
    assert [(o["uri"], o["result"]) for o in s.ask("history")] == [("pool:///b/v", "done"), ("pool:///a/v", "done")]
    s.ask("rebuild limit 10MiB"), s.ask("rebuild limit 0")
    s.refused("rebuild limit much", "bytes a second")
    s.refused("rebuild pause pool:///a/v", "")
    s.refused("rebuild eat pool:///a/v", "rebuild start, stop")
    s.refused("resize 1MiB", "")
    s.refused("resize much", "resize SIZE")
    s.ask("resize 16MiB")
    assert s.state()["size_bytes"] == 16 * MIB
    s.end()
    assert json.loads(w.good("nexus show v --json $S"))["state"] == "closed"
    told = [(o["uri"][8], o["state"]) for o in s.events if o.get("event") == "child"]
    assert told.index(("b", "out")) < told.index(("b", "rebuilding")) < told.index(("a", "rebuilding")), told
    w.good("nexus destroy v $S")


@tap.case
def a_dead_owner_is_followed(w):
    """Its disks may be busy for a moment; its name and its lease count for nothing here."""
    w.good("nexus create v $U $S $P")
    first = Serving(w, "v $S $P")
    first.end(signal.SIGKILL)
    second = Serving(w, "v $S $P --listen 127.0.0.1:0")
    assert second.ready["epoch"] == 2 and second.state()["path"] == "optimized", second.ready
    second.end()


@tap.case
def it_is_published_over_nvme(w):
    w.good("nexus create v $U $S $P")
    s = Serving(w, "v $S $P --listen 127.0.0.1:0 --listen 127.0.0.1:0 --allow-host nqn.2014-08.org.nvmexpress:a")
    uuid = json.loads(w.good("nexus show v --json $S"))["uuid"]
    assert s.ready["name"] == f"nqn.2019-05.io.openebs:{uuid}" and len(s.ready["ports"]) == 2, s.ready
    for state in ("non-optimized", "inaccessible", "optimized"):
        s.ask(f"ana {state}")
        assert s.state()["path"] == state
    s.refused("ana best", "ana optimized, non-optimized or inaccessible")
    s.ask("allow nqn.2014-08.org.nvmexpress:b")
    s.ask("deny nqn.2014-08.org.nvmexpress:a")
    s.refused("deny nqn.2014-08.org.nvmexpress:a", "nqn.2014-08.org.nvmexpress:a")
    s.refused("allow", "NQN of a host")
    assert s.ask("stats")[0]["controllers"] == 0
    s.ask("unpublish")
    s.refused("unpublish", "not published")
    assert s.state()["path"] == "unpublished"
    s.ask("publish")
    s.refused("publish", "is published")
    s.ask("quit")
    assert s.child.wait(100) == 0


@tap.case
def it_is_published_over_nbd(w):
    w.good("nexus create v $U $S $P")
    s = Serving(w, "v $S $P --nbd-socket $D/socket")
    assert s.ready["name"] == "v" and os.path.exists(f"{w.dir}/socket")
    assert s.ask("stats")[0]["requests"] == 0
    s.refused("ana optimized", "NBD has no ANA")
    s.refused("allow nqn.2014-08.org.nvmexpress:a", "NBD has no names of hosts")
    s.end()


@tap.case
def what_cannot_be_a_volume_is_refused(w):
    w.good("nexus create v pool:///a/v $S $P")
    Serving(w, "v $S $P").end()
    w.good("replica create b/small --size 1MiB $D/b")
    w.good("replica create b/w --size 1MiB $D/b")
    w.good("replica snapshot b/w s $D/b")
    for line, words in (
            ("create w pool:///a/v pool:///b/v $S $P", "is a replica of volume"),
            ("create w pool:///b/v pool:///b/v $S $P", "child 'pool:///b/v' twice"),
            ("create w pool:///b/none $S $P", "none"),
            ("create w pool:///b/s $S $P", "read-only"),
            ("create w pool:///b/v $S", "there is no pool 'b'"),
            ("create w pool:///b/v pool:///b/small --size 2m $S $P", "has room for 1048576"),
            ("create w/x pool:///b/v $S $P", "name"),
            ("create w nvmf://127.0.0.1:1/nqn.2019-05.io.openebs:x $S", "127.0.0.1"),
            ("create w frob:///x $S", "frob"),
            ("create w pool:///b/v --store frob:///x $P", "frob"),
            ("create w pool:///b/v --store sqlite:///none/none $P", "none"),
            ("serve none $S $P", "no volume 'none'"),
            ("serve v $S", "there is no pool 'a'"),
            ("serve v $S $P --listen 127.0.0.1", "127.0.0.1"),
            ("serve v $S $P --listen 127.0.0.1:0 --nqn frob", "'frob' is no NQN"),
            ("serve v $S $P --nbd-socket $D/none/socket", "none/socket"),
            ("destroy none $S", "no volume 'none'")):
        w.refused(f"nexus {line}", words)


@tap.case
def a_child_that_is_in_use_is_refused(w):
    w.disk("file", 8 * MIB)
    w.good("nexus create v file://$D/file $S")
    s = Serving(w, "v $S")
    w.refused("nexus create w file://$D/file $S", "file")
    s.end()


@tap.case
def wrong_usage_is_one_line(w):
    for line, words in (
            ("frob", "there is no 'frob'"),
            ("create", "NAME URI... is expected"),
            ("create v", "NAME URI... is expected"),
            ("create v pool:///a/v", "--store URI is expected"),
            ("create v " + "x:/// " * 9 + "$S", "is too much"),
            ("create v x:/// $S --frob", "no option '--frob' here"),
            ("create v x:/// $S --listen 1:2", "no option '--listen' here"),
            ("create v x:/// $S --size much", "--size is 'much'"),
            ("create v x:/// $S --uuid 12", "--uuid is '12'"),
            ("create v x:/// $S $S", "--store is given twice"),
            ("create v x:/// $S --json=yes", "--json takes no value"),
            ("create v x:/// --store", "--store: URI is expected"),
            ("create v x:/// $S --pool " + ",".join(["/x"] * 33), "too many disks"),
            ("create v x:/// $S" + " --pool /x" * 17, "too many pools"),
            ("show $S", "NAME is expected"),
            ("list v $S", "'v' is too much"),
            ("serve v $S --reactors 0", "not a number"),
            ("serve v $S --lease-ms 7", "--lease-ms is 7, expected 100 to 600000"),
            ("serve v $S --nqn x", "--listen is expected"),
            ("serve v $S --listen 1:2 --nbd-socket x", "published once"),
            ("serve v $S" + " --listen 1:2" * 17, "--listen: at most 16 times"),
            ("serve v $S" + " --allow-host x" * 65, "--allow-host: at most 64 times")):
        w.refused(f"nexus {line}", words, USAGE)
    assert w.run("nexus").returncode == USAGE


@tap.case
def help_is_complete(w):
    text = w.good("nexus --help")
    page = open(PAGE, encoding="utf-8").read()
    for verb in "create serve list show destroy".split():
        assert re.search(rf"^  {verb} ", text, re.M), text
        assert f"mayastor nexus {verb}" in page
    for option in re.findall(r"^  (--[\w-]+)", text, re.M):
        assert option in page, f"nexus.md does not tell of {option}"
    source = open(f"{os.path.dirname(PAGE)}/../../src/bin/command_nexus_typed.c", encoding="utf-8").read()
    typed = re.findall(r'\{ "(\w+)", typed_', source)
    assert "resize" in typed, typed
    for word in typed:
        assert f"`{word}" in page, f"nexus.md does not tell of '{word}'"
    assert max(map(len, text.splitlines())) <= 100, text


sys.exit(tap.main_apart(World))
