#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_commands - the commands of the one binary, as a person types them.

  test_commands.py MAYASTOR

What is refused is one line on standard error that names the thing, and leaves every disk
as it was, byte for byte.
"""
import hashlib
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(1, f"{sys.path[0]}/../..")
import tap

MAYASTOR = sys.argv[1]
MIB, PAGE = 1 << 20, 65536
GOOD, FOUND, FAILED, USAGE = 0, 1, 2, 64


class World(tap.Folder):
    """A folder with disks; words run MAYASTOR with it as $D."""

    def path(self, name):
        return os.path.join(self.dir, name)

    def disk(self, name, size=64 * MIB):
        with open(self.path(name), "ab") as file:
            file.truncate(size)
        return self.path(name)

    def digest(self):
        """Size and data of every file; holes cost nothing, and are zeros whoever made them."""
        found = {}
        for name in sorted(os.listdir(self.dir)):
            digest = hashlib.sha1()
            with open(self.path(name), "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                at = 0
                while at < size:
                    try:
                        at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                    except OSError:
                        break
                    end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
                    for page in range(at, end, PAGE):
                        data = os.pread(file.fileno(), min(PAGE, end - page), page)
                        if data.count(0) < len(data):
                            digest.update(b"%d:" % page + data)
                    at = end
            found[name] = size, digest.hexdigest()
        return found

    def stamps(self):
        """What changes when a file is written to."""
        stats = {name: os.stat(self.path(name)) for name in sorted(os.listdir(self.dir))}
        return {name: (s.st_size, s.st_blocks, s.st_mtime_ns) for name, s in stats.items()}

    def run(self, line):
        words = [word.replace("$D", self.dir) for word in line.split()]
        return subprocess.run([MAYASTOR, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)

    def good(self, line):
        done = self.run(line)
        if done.returncode or done.stderr:
            raise AssertionError(f"{line}: {done.returncode} {done.stderr}")
        return done.stdout

    def refused(self, line, words, code=FAILED):
        """One line that holds these words, and nothing is written."""
        before = self.stamps()
        done = self.run(line)
        if done.returncode != code or words not in done.stderr or done.stderr.count("\n") != 1:
            raise AssertionError(f"{line}: {done.returncode} '{done.stderr}', expected {code} '{words}'")
        if len(done.stderr) > 300:
            raise AssertionError(f"{line}: {len(done.stderr)} characters are no clear line")
        if self.stamps() != before:
            raise AssertionError(f"{line}: something was written")

    def all_refused(self, table, code=FAILED):
        before = self.digest()
        for line, words in table:
            self.refused(line, words, code)
        if self.digest() != before:
            raise AssertionError("something has changed on the disks")

    def consistent(self, disks):
        if "no errors" not in self.good(f"pool check --quiet {disks}"):
            raise AssertionError("check finds errors")


@tap.case
def a_pool_lives_on_disks_named_by_path_or_uri(w):
    w.disk("a"), w.disk("b c?d%", 96 * MIB)
    w.good(f"pool create tank $D/a --cluster 16KiB --overcommit=400 --disk file:///{w.dir}/b%20c%3Fd%25".replace("///", "//"))
    done = subprocess.run([MAYASTOR, "pool", "list", w.path("b c?d%"), w.path("a")], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and re.search(r"^tank\s+\S{36}\s+\S+ MiB .* 2 +0 +0$", done.stdout, re.M), done
    assert "clusters of 16384 bytes" in w.good("pool dump $D/a file://$D/b%20c%3Fd%25")


@tap.case
def a_file_is_made_by_its_uri(w):
    w.good("pool create tank file://$D/a?size=64m")
    assert os.path.getsize(w.path("a")) == 64 * MIB
    w.consistent("$D/a")


@tap.case
def replicas_snapshots_and_clones_come_and_go(w):
    w.disk("a")
    uuid = "6b1b5a4e-4c3c-4e6d-9a58-0e3d3c9a7c11"
    w.good("pool create tank $D/a")
    w.good(f"replica create tank/v --size 10MiB --uuid {uuid} $D/a")
    w.good("replica create --thick tank/t --size=4m $D/a")
    w.good("replica snapshot tank/v s $D/a")
    w.good("replica clone tank/s c $D/a")
    w.good("replica resize tank/c --size 20MiB $D/a")
    w.good("replica rename tank/v w $D/a")
    text = w.good("replica list --usage $D/a")
    for want in (r"^w +replica +10.0 MiB +0 bytes +0 bytes +0 bytes -$", r"^t +replica .* thick$",
                 r"^s +snapshot +10.0 MiB .* w$", r"^c +clone +20.0 MiB .* s$"):
        assert re.search(want, text, re.M), text
    assert uuid in w.good("pool dump $D/a")
    w.good("replica destroy tank/s $D/a")  # remembered
    text = w.good("replica list $D/a")
    assert not re.search(r"^s ", text, re.M) or "discarded" in text, text
    for name in "cwt":
        w.good(f"replica destroy tank/{name} $D/a")
    assert len(w.good("replica list $D/a").splitlines()) == 1
    w.consistent("$D/a")


@tap.case
def a_pool_grows_with_its_disk_and_by_one_more(w):
    w.disk("a"), w.disk("b")
    w.good("pool create tank $D/a")
    assert "0 bytes more" in w.good("pool grow $D/a")
    w.disk("a", 128 * MIB)
    assert "64.0 MiB more" in w.good("pool grow $D/a")
    assert "on 2 disks" in w.good("pool add --new $D/b $D/a")
    w.consistent("$D/b $D/a")
    w.refused("pool check $D/a", "disk 1 (")


@tap.case
def several_pools_are_listed_together(w):
    for name in "abcdef":
        w.disk(name)
    w.good("pool create one $D/a $D/d")
    w.good("pool create two $D/b")
    w.good("pool create three $D/e $D/f")
    text = w.good("pool list $D/a $D/b $D/d")
    assert len(text.splitlines()) == 3 and " 2 " in text
    done = w.run("pool list $D/a $D/b $D/c $D/d $D/e $D/missing")
    assert done.returncode == FAILED and len(done.stdout.splitlines()) == 3, done
    for words in ("c' bears no pool", "three': disk 1 (", "missing"):
        assert words in done.stderr, done


@tap.case
def a_pool_with_replicas_is_destroyed_only_by_force(w):
    w.disk("a")
    w.good("pool create tank $D/a")
    w.good("replica create tank/v --size 1m $D/a")
    text = w.good("pool dump $D/a")
    done = w.run("pool destroy tank $D/a")
    assert done.returncode == FAILED and "has 1 replicas" in done.stderr
    assert "'v'" in text and "'v'" in w.good("pool dump $D/a")
    w.good("pool destroy tank --force $D/a")
    w.refused("pool list $D/a", "bears no pool")
    w.good("pool create again $D/a")


@tap.case
def a_damaged_pool_is_reported_and_left_alone(w):
    w.disk("a")
    w.good("pool create tank $D/a")
    w.good("replica create tank/v --size 1m $D/a")
    with open(w.path("a"), "r+b") as file:
        for at in range(0, 64 * MIB, 4096):
            head = os.pread(file.fileno(), 12, at)
            if head[:4] == b"MSP1" and head[8] == 5:  # leaves of trees
                os.pwrite(file.fileno(), b"\xa5", at + 100)
    done = w.run("pool check $D/a")
    assert done.returncode == FOUND and "checksum" in done.stdout and " errors, " in done.stdout, done
    w.refused("replica create tank/w --size 1m $D/a", "pool 'tank' is read-only: ")
    done = w.run("pool dump $D/a")
    assert done.returncode == FAILED and "clusters of 65536" in done.stdout and "checksum" in done.stderr, done


@tap.case
def help_is_complete(w):
    for noun, verbs in (("pool", "create list grow add destroy check dump"),
                        ("replica", "create list resize rename snapshot clone destroy")):
        text = w.good(f"{noun} --help")
        page = open(f"{os.path.dirname(__file__)}/../../../docs/commands/{noun}.md", encoding="utf-8").read()
        for verb in verbs.split():
            assert re.search(rf"^  {verb} ", text, re.M), text
            assert f"mayastor {noun} {verb}" in page
        for option in re.findall(r"^  (--\w+)", text, re.M):
            assert option in page or option == "--disk", f"{noun}.md does not tell of {option}"
        assert max(map(len, text.splitlines())) <= 100, text
    assert w.run("").returncode == USAGE and w.run("pool").returncode == USAGE
    w.refused("frob", "no command 'frob'", USAGE)


@tap.case
def wrong_usage_is_one_line(w):
    w.disk("a")
    w.all_refused((
            ("pool frob $D/a", "there is no 'frob'"),
            ("pool create", "NAME is expected"),
            ("pool create tank", "disks of the pool are expected"),
            ("pool create tank a", "'a': a path from the root or a URI"),
            ("pool create tank $D/a --size 1", "no option '--size' here"),
            ("pool create tank $D/a --frob", "no option '--frob' here"),
            ("pool create tank $D/a --cluster", "--cluster: SIZE is expected"),
            ("pool create tank $D/a --cluster 64q", "--cluster is '64q'"),
            ("pool create tank $D/a --cluster -1", "--cluster is '-1'"),
            ("pool create tank $D/a --cluster 99999999999999999999", "--cluster is '9999"),
            ("pool create tank $D/a --overcommit much", "--overcommit is 'much'"),
            ("pool create tank $D/a --uuid 12", "--uuid is '12'"),
            ("pool create tank $D/a --force --force", "--force is given twice"),
            ("pool create tank $D/a --force=yes", "--force takes no value"),
            ("pool create tank $D/a --disk", "--disk: DISK is expected"),
            ("pool add $D/a", "--new DISK is expected"),
            ("replica create v --size 1m $D/a", "'v': POOL/NAME is expected"),
            ("replica create /v --size 1m $D/a", "'/v': POOL/NAME is expected"),
            ("replica create a/b/c --size 1m $D/a", "'a/b/c': POOL/NAME is expected"),
            ("replica create tank/v $D/a", "--size SIZE is expected"),
            ("replica rename tank/v", "POOL/NAME NEW is expected"),
            ("replica clone tank/v w", "disks of the pool are expected"),
            ("replica resize tank/v --size 1 --size 2 $D/a", "--size is given twice")), USAGE)


@tap.case
def what_cannot_be_a_pool_is_refused(w):
    for name in "abcd":
        w.disk(name)
    w.disk("small", 64 * MIB - 512), w.disk("odd", 64 * MIB + 100), w.disk("empty", 0)
    os.symlink(w.path("a"), w.path("link"))
    with open(w.path("c"), "r+b") as file:  # an ext4
        file.seek(0x438)
        file.write(b"\x53\xef")
    with open(w.path("d"), "r+b") as file:  # unknown data at the end
        file.seek(64 * MIB - 1)
        file.write(b"x")
    w.all_refused((
            ("pool create .tank $D/a", "'.tank'"),
            ("pool create -tank $D/a", "'-tank'"),
            ("pool create ta/nk $D/a", "'ta/nk'"),
            ("pool create t\u00e4nk $D/a", "t\u00e4nk"),
            (f"pool create {'x' * 65} $D/a", "xxx"),
            ("pool create tank $D/a --cluster 0", "--cluster is 0"),
            ("pool create tank $D/a --cluster 8KiB", "not 8192"),
            ("pool create tank $D/a --cluster 2MiB", "not 2097152"),
            ("pool create tank $D/a --cluster 96KiB", "not 98304"),
            ("pool create tank $D/a --cluster 5g", "--cluster is 5368709120"),
            ("pool create tank $D/a --overcommit 0", "--overcommit is 0"),
            ("pool create tank $D/a --overcommit 10001", "not 10001"),
            ("pool create tank $D/a $D/small", "small"),
            ("pool create tank $D/a $D/odd", "odd"),
            ("pool create tank $D/a $D/empty", "empty"),
            ("pool create tank $D/a $D/none", "none"),
            ("pool create tank $D/a $D", os.path.basename(w.dir)),
            ("pool create tank $D/a /dev/null", "/dev/null"),
            ("pool create tank $D/a nonsense:///x", "nonsense"),
            ("pool create tank $D/a file://host/x", "host"),
            ("pool create tank $D/a file://$D/b?frob=1", "frob"),
            ("pool create tank $D/a file://$D/b?blk_size=65536", "block size 65536"),
            ("pool create tank $D/a file://$D/b?read_only=1", "read-only"),
            ("pool create tank $D/a pool:///x/y", "there is no pool 'x'"),
            ("pool create tank $D/a $D/c", "ext4 filesystem"),
            ("pool create tank $D/a $D/d", "last 64 KiB"),
            ("pool create tank $D/a $D/b $D/a", "/a' is named twice"),
            ("pool create tank $D/a $D/b $D/link", "link"),
            ("pool create tank " + "$D/a " * 65, "1 to 64 disks")))


@tap.case
def disks_that_do_not_belong_together_are_refused(w):
    for name in "abcxyz":
        w.disk(name)
    w.good("pool create tank $D/a $D/b")
    w.good("pool create other $D/x")
    w.good("replica create tank/v --size 1m $D/a $D/b")
    shutil.copyfile(w.path("a"), w.path("copy"))
    shutil.copyfile(w.path("a"), w.path("cut"))
    os.truncate(w.path("cut"), 65 * MIB - MIB - 512)
    with open(w.path("cut"), "ab") as file:
        file.truncate(64 * MIB - 512)
    table = (
            ("$D/a", "disk 1 ("),
            ("$D/b", "disk 0 ("),
            ("$D/a $D/x", "belongs to pool 'other'"),
            ("$D/a $D/y", "bears no pool"),
            ("$D/a $D/b $D/z", "bears no pool"),
            ("$D/a $D/b $D/x", "belongs to pool 'other'"),
            ("$D/a $D/copy", "the same disk of the pool"),
            ("$D/a $D/b $D/a", "/a' is named twice"),
            ("$D/cut $D/b", "cut'"),
            ("$D/none $D/b", "none"))
    for verb in ("pool check", "pool dump", "pool grow", "replica list", "replica create tank/w --size 1m",
                 "pool destroy tank"):
        w.all_refused((f"{verb} {disks}", words) for disks, words in table)
    w.all_refused((
            ("pool create third $D/a", "belongs to pool 'tank'"),
            ("pool create third $D/y $D/b", "belongs to pool 'tank'"),
            ("pool destroy other $D/a $D/b", "bears pool 'tank', not 'other'"),
            ("replica create other/w --size 1m $D/a $D/b", "bears pool 'tank', not 'other'")))
    w.consistent("$D/b $D/a")


@tap.case
def replicas_that_cannot_be_are_refused(w):
    w.disk("a")
    w.good("pool create tank $D/a")
    w.good("replica create tank/v --size 1m --uuid 6b1b5a4e-4c3c-4e6d-9a58-0e3d3c9a7c11 $D/a")
    w.good("replica snapshot tank/v s $D/a")
    for line, words in (
            ("replica create tank/v --size 1m", "'v'"),
            ("replica create tank/s --size 1m", "'s'"),
            ("replica create tank/.v --size 1m", "'.v'"),
            ("replica create tank/" + "x" * 65 + " --size 1m", "xxx"),
            ("replica create tank/w --size 0", "replica size 0"),
            ("replica create tank/w --size 1025t", "1 to 1125899906842624 bytes"),
            ("replica create tank/w --size 1g", "over-commit"),
            ("replica create tank/w --size 100m --thick", "thick replica needs"),
            ("replica create tank/w --size 1m --uuid 6b1b5a4e-4c3c-4e6d-9a58-0e3d3c9a7c11", "6b1b5a4e"),
            ("replica resize tank/v --size 0", "replica size 0"),
            ("replica resize tank/v --size 64k", "cannot shrink"),
            ("replica resize tank/v --size 1025t", "1 to 1125899906842624 bytes"),
            ("replica resize tank/v --size 1g", "over-commit"),
            ("replica resize tank/s --size 2m", "is a snapshot"),
            ("replica resize tank/none --size 2m", "'none'"),
            ("replica rename tank/v s", "'s'"),
            ("replica rename tank/v -x", "'-x'"),
            ("replica rename tank/none x", "'none'"),
            ("replica snapshot tank/s t", "is a snapshot itself"),
            ("replica snapshot tank/v v", "'v'"),
            ("replica snapshot tank/none t", "'none'"),
            ("replica clone tank/v c", "is no snapshot"),
            ("replica clone tank/s s", "'s'"),
            ("replica clone tank/none c", "'none'"),
            ("replica destroy tank/none", "'none'")):
        done = w.run(f"{line} $D/a")
        assert done.returncode == FAILED and words in done.stderr and done.stderr.count("\n") == 1, (line, done)
    text = w.good("replica list $D/a")
    assert len(text.splitlines()) == 3, text
    w.consistent("$D/a")


sys.exit(tap.main_apart(World))
