#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_clients - the NBD server judged by clients nobody here wrote: libnbd, QEMU, fio.

  test_clients.py BUILD
"""
import filecmp
import json
import os
import random
import sys
import tempfile

from door import Door, Skip, main, nbdsh, need, need_libnbd, run

MIB = 1 << 20
RAM = ["--uri", "malloc:///ram?size_mb=64", "--name", "ram"]


def pattern(path, size, seed):
    """Data with holes in it, and zeros that are written out."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(size)
        for _ in range(60):
            length = rng.choice((512, 4096, 65536, 300 * 1024))
            file.seek(rng.randrange(0, size - length) & ~511)
            file.write(bytes(length) if rng.random() < 0.2 else rng.randbytes(length))


def nbdinfo_tells_exports(mayastor):
    need("nbdinfo")
    options = RAM + ["--uri", "null:///zero?size_mb=1024", "--name", "zero", "--read-only", "--description", "all zeros"]
    with Door(mayastor, options) as door:
        told = json.loads(run(["nbdinfo", "--list", "--json", door.uri()]).stdout)
        ram, zero = told["exports"]
        assert told["protocol"] == "newstyle-fixed" and told["structured"], told
        assert (ram["export-name"], ram["export-size"], ram["is_read_only"]) == ("ram", 64 * MIB, False), ram
        for able in ("cache", "df", "fast_zero", "flush", "fua", "multi_conn", "trim", "zero"):
            assert ram[f"can_{able}"], (able, ram)
        assert ram["contexts"] == ["base:allocation"], ram
        assert (ram["block_size_minimum"], ram["block_size_preferred"], ram["block_size_maximum"]) == (512, 4096, 32 * MIB)
        assert zero["is_read_only"] and not zero["can_trim"] and zero["description"] == "all zeros", zero
        assert run(["nbdinfo", "--size", door.uri("zero")]).stdout.strip() == str(1024 * MIB)
        assert run(["nbdinfo", "--size", door.uri()]).stdout.strip() == str(64 * MIB), "the default is the first"
        assert run(["nbdinfo", door.uri("nobody")], check=False).returncode


def nbdinfo_maps_what_is_written(mayastor):
    need("nbdinfo", "qemu-io")
    with Door(mayastor, RAM) as door:
        whole = json.loads(run(["nbdinfo", "--map", "--json", door.uri("ram")]).stdout)
        assert [(e["offset"], e["length"], e["type"]) for e in whole] == [(0, 64 * MIB, 3)], whole
        run(["qemu-io", "-f", "raw", "-c", "write -P 7 1M 2M", "-c", "discard 2M 512k", door.uri("ram")])
        got = json.loads(run(["nbdinfo", "--map", "--json", door.uri("ram")]).stdout)
        want = [(0, MIB, 3), (MIB, MIB, 0), (2 * MIB, MIB // 2, 3), (5 * MIB // 2, MIB // 2, 0), (3 * MIB, 61 * MIB, 3)]
        assert [(e["offset"], e["length"], e["type"]) for e in got] == want, got


def nbdcopy_goes_both_ways(mayastor):
    need("nbdcopy")
    with Door(mayastor, RAM + ["--reactors", "2"]) as door:
        there, back = f"{door.room}/there", f"{door.room}/back"
        pattern(there, 64 * MIB, 1)
        run(["nbdcopy", "--connections=4", there, door.uri("ram")])
        run(["nbdcopy", "--connections=4", "--requests=128", door.uri("ram"), back])
        assert filecmp.cmp(there, back, shallow=False)
        pattern(there, 64 * MIB, 2)
        run(["nbdcopy", "--flush", there, door.uri("ram")])
        run(["nbdcopy", "--synchronous", door.uri("ram"), back])
        assert filecmp.cmp(there, back, shallow=False)


def nbdcopy_between_two_exports(mayastor):
    need("nbdcopy", "qemu-img")
    with Door(mayastor, RAM + ["--uri", "malloc:///other?size_mb=64", "--name", "other"]) as door:
        image = f"{door.room}/image"
        pattern(image, 64 * MIB, 3)
        run(["nbdcopy", image, door.uri("ram")])
        run(["nbdcopy", door.uri("ram"), door.uri("other")])
        run(["qemu-img", "compare", "-f", "raw", "-F", "raw", image, door.uri("other")])


SCRIPT = """
import errno, random
random.seed(5)
h.set_strict_mode(0)
size = h.get_size()
assert size == 64 << 20
assert h.can_multi_conn() and h.can_fast_zero() and h.can_df() and h.can_meta_context("base:allocation")
a = random.randbytes(70000 // 512 * 512)
h.pwrite(a, 4096, nbd.CMD_FLAG_FUA)
assert h.pread(len(a), 4096) == a
h.flush()
h.zero(512, 4096 + 512)
assert h.pread(1536, 4096) == a[:512] + bytes(512) + a[1024:1536]
h.zero(1 << 20, 8 << 20, nbd.CMD_FLAG_FAST_ZERO | nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
h.trim(65536, 65536, nbd.CMD_FLAG_FUA)
h.cache(65536, 0)
chunks = []
def seen(data, offset, status, error):
    chunks.append((offset, len(data), status))
buf = h.pread_structured(1 << 20, 0, seen)
assert sorted(chunks)[0][0] == 0 and sum(c[1] for c in chunks) == 1 << 20, chunks
assert any(c[2] == nbd.READ_HOLE for c in chunks), chunks
chunks.clear()
assert h.pread_structured(1 << 20, 0, seen, nbd.CMD_FLAG_DF) == buf
assert len(chunks) == 1 and chunks[0][2] == nbd.READ_DATA, chunks
extents = []
h.block_status(1 << 20, 0, lambda name, offset, entries, error: extents.extend([name] + entries))
assert extents[0] == "base:allocation" and len(extents) > 3, extents
extents.clear()
h.block_status(1 << 20, 0, lambda name, offset, entries, error: extents.extend(entries), nbd.CMD_FLAG_REQ_ONE)
assert len(extents) == 2, extents

def refused(wanted, fn, *args):
    try:
        fn(*args)
    except nbd.Error as e:
        assert e.errnum == wanted, (e.errnum, wanted, args[-2:])
        return
    raise AssertionError("not refused")

refused(errno.EINVAL, h.pread, 512, size)
refused(errno.EINVAL, h.pread, 512, 100)
refused(errno.EINVAL, h.pread, 100, 512)
refused(errno.ENOSPC, h.pwrite, bytes(1024), size - 512)
refused(errno.EINVAL, h.trim, 1024, size - 512)
refused(errno.ENOSPC, h.zero, 1024, size - 512)
refused(errno.EINVAL, h.block_status, 1024, size - 512, lambda *args: 0)
refused(errno.EINVAL, h.trim, 0, 0)
assert h.pread(512, size - 512) == bytes(512)
big = random.randbytes(32 << 20)
h.pwrite(big, 16 << 20)
assert h.pread(32 << 20, 16 << 20) == big
"""


def nbdsh_script_of_all_commands(mayastor):
    need_libnbd()
    with Door(mayastor, RAM) as door:
        nbdsh(door.uri("ram"), SCRIPT, "--base-allocation")


PIPELINE = """
import random
random.seed(6)
model = bytearray(8 << 20)
live = {}
def done(offset, want, buf):
    def fn(error):
        assert error.value == 0
        if want is not None:
            assert bytes(buf.to_bytearray()) == want, offset
        del live[offset]
        return 1
    return fn
for turn in range(3000):
    while True:
        offset = random.randrange(0, 1024) * 8192
        if offset not in live:
            break
        h.poll(-1)
    if random.random() < 0.5:
        data = random.randbytes(8192)
        model[offset:offset + 8192] = data
        buf = nbd.Buffer.from_bytearray(bytearray(data))
        live[offset] = buf
        h.aio_pwrite(buf, offset, completion=done(offset, None, buf))
    else:
        buf = nbd.Buffer(8192)
        live[offset] = buf
        h.aio_pread(buf, offset, completion=done(offset, bytes(model[offset:offset + 8192]), buf))
    while len(live) > 200:
        h.poll(-1)
while live:
    h.poll(-1)
h.shutdown()
"""


def two_hundred_requests_in_flight(mayastor):
    need_libnbd()
    with Door(mayastor, RAM) as door:
        nbdsh(door.uri("ram"), PIPELINE)


MULTI = """
a, b = nbd.NBD(), nbd.NBD()
for h in a, b:
    h.connect_uri(uri)
for i in range(200):
    a.pwrite(bytes([i + 1]) * 4096, i * 4096)
    b.flush()
    assert b.pread(4096, i * 4096) == bytes([i + 1]) * 4096
old = nbd.NBD()
old.set_request_structured_replies(False)
old.connect_uri(uri)
assert old.pread(4096, 4096) == bytes([2]) * 4096
try:
    old.pread(4096, 64 << 20)
except nbd.Error:
    pass
plain = nbd.NBD()
plain.set_handshake_flags(0)
plain.connect_uri(uri)
assert plain.pread(4096, 8192) == bytes([3]) * 4096
opt = nbd.NBD()
opt.set_opt_mode(True)
opt.connect_uri(uri)
names = []
assert opt.opt_list(lambda name, description: names.append(name)) == 1 and names == ["ram"]
opt.set_export_name("nobody")
try:
    opt.opt_info()
    raise AssertionError("there is nobody")
except nbd.Error:
    pass
opt.set_export_name("ram")
opt.opt_info()
assert opt.get_size() == 64 << 20
opt.opt_abort()
"""


def connections_of_all_kinds(mayastor):
    need_libnbd()
    with Door(mayastor, RAM + ["--reactors", "2"]) as door:
        run(["/usr/bin/python3", "-c", f"import nbd\nuri = '{door.uri('ram')}'\n{MULTI}"])


def qemu_img_converts_and_compares(mayastor):
    need("qemu-img")
    with Door(mayastor, RAM) as door:
        image, qcow2, back = (f"{door.room}/{name}" for name in ("image", "qcow2", "back"))
        pattern(image, 64 * MIB, 4)
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", image, qcow2])
        run(["qemu-img", "convert", "-n", "-W", "-m", "8", "-f", "qcow2", "-O", "raw", qcow2, door.uri("ram")])
        run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw", qcow2, door.uri("ram")])
        run(["qemu-img", "convert", "-f", "raw", "-O", "raw", door.uri("ram"), back])
        assert filecmp.cmp(image, back, shallow=False)
        told = json.loads(run(["qemu-img", "info", "--output=json", door.uri("ram")]).stdout)
        assert told["virtual-size"] == 64 * MIB, told
        area = json.loads(run(["qemu-img", "map", "-f", "raw", "--output=json", door.uri("ram")]).stdout)
        assert sum(e["length"] for e in area) == 64 * MIB and any(e["zero"] for e in area), area
        run(["qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "32", "-s", "4096", door.uri("ram")])
        run(["qemu-img", "bench", "-f", "raw", "-w", "-c", "2000", "-d", "32", "-s", "65536", "--flush-interval=100",
             door.uri("ram")])


def qemu_io_reads_what_it_wrote(mayastor):
    need("qemu-io")
    words = ["write -P 1 0 1M", "write -f -P 2 512k 4k", "write -z 64k 64k", "write -z -u 128k 64k", "discard 192k 64k",
             "aio_write -P 3 1M 128k", "aio_flush", "flush", "read -P 1 0 64k", "read -P 0 64k 192k", "read -P 2 512k 4k",
             "read -P 3 1M 128k", "read -P 0 2M 4M", "write -P 4 32M 32M", "read -P 4 32M 32M", "readv -P 1 768k 4k 8k 512"]
    with Door(mayastor, RAM) as door:
        said = run(["qemu-io", "-f", "raw", *[w for word in words for w in ("-c", word)], door.uri("ram")]).stdout
        assert "fail" not in said.lower() and "error" not in said.lower(), said


def fio_verifies(mayastor):
    need("fio")
    if "nbd" not in run(["fio", "--enghelp"]).stdout:
        raise Skip("fio has no nbd engine")
    with Door(mayastor, RAM) as door:
        run(["fio", "--name=v", "--ioengine=nbd", f"--uri={door.uri('ram')}", "--rw=randrw", "--bsrange=512-128k",
             "--blockalign=512", "--iodepth=64", "--size=48M", "--io_size=64M", "--verify=crc32c", "--randseed=7",
             "--verify_fatal=1", "--output-format=terse", f"--aux-path={door.room}"], cwd=door.room)


def thin_volumes_snapshots_and_clones_are_mapped(mayastor):
    need("nbdinfo", "qemu-io", "nbdcopy")
    hole, data = 3, 0

    def mapped(uri):
        return [(e["offset"], e["length"], e["type"]) for e in json.loads(run(["nbdinfo", "--map", "--json", uri]).stdout)]

    with tempfile.TemporaryDirectory(prefix="nbd.") as room:
        disk = f"{room}/disk"
        run([mayastor, "pool", "create", "p", f"file://{disk}?size=128m"])
        run([mayastor, "replica", "create", "p/v", "--size", "64MiB", disk])
        with Door(mayastor, ["--pool", disk, "--uri", "pool:///p/v", "--name", "v"], room) as door:
            assert mapped(door.uri("v")) == [(0, 64 * MIB, hole)]
            run(["qemu-io", "-f", "raw", "-c", "write -P 1 1M 1M", "-c", "write -P 2 8M 4k", "-c", "flush", door.uri("v")])
            # a cluster of 64 KiB is allocated, one block of it written
            old = [(0, MIB, hole), (MIB, MIB, data), (2 * MIB, 6 * MIB, hole), (8 * MIB, 4096, data),
                   (8 * MIB + 4096, 61440, 2), (8 * MIB + 65536, 56 * MIB - 65536, hole)]
            assert mapped(door.uri("v")) == old, mapped(door.uri("v"))
        run([mayastor, "replica", "snapshot", "p/v", "s", disk])
        run([mayastor, "replica", "clone", "p/s", "c", disk])
        options = [w for name in "vsc" for w in ("--uri", f"pool:///p/{name}", "--name", name)]
        with Door(mayastor, ["--pool", disk, "--reactors", "2", *options], room) as door:
            run(["qemu-io", "-f", "raw", "-c", "discard 1M 512k", "-c", "write -P 3 32M 64k", door.uri("v")])
            run(["qemu-io", "-f", "raw", "-c", "write -z -u 8M 64k", door.uri("c")])
            assert mapped(door.uri("s")) == old
            assert mapped(door.uri("v")) == [(0, 3 * MIB // 2, hole), (3 * MIB // 2, MIB // 2, data), *old[2:5],
                                             (8 * MIB + 65536, 24 * MIB - 65536, hole), (32 * MIB, 65536, data),
                                             (32 * MIB + 65536, 32 * MIB - 65536, hole)], mapped(door.uri("v"))
            assert mapped(door.uri("c"))[-1][0] == 2 * MIB, mapped(door.uri("c"))
            assert run(["qemu-io", "-r", "-f", "raw", "-c", "read -P 1 1M 1M", "-c", "read -P 2 8M 4k", "-c", "read -P 0 8196k 60k",
                        door.uri("s")])
            assert json.loads(run(["nbdinfo", "--json", door.uri("s")]).stdout)["exports"][0]["is_read_only"]
        assert "no errors" in run([mayastor, "pool", "check", disk]).stdout


def read_only_is_read_only(mayastor):
    need_libnbd()
    script = ("h.set_strict_mode(0)\nassert h.is_read_only()\n"
              "for fn in (lambda: h.pwrite(bytes(512), 0), lambda: h.trim(512, 0), lambda: h.zero(512, 0)):\n"
              "    try:\n        fn()\n        raise AssertionError('not refused')\n"
              "    except nbd.Error as e:\n        assert e.errno in ('EPERM', 'EINVAL'), e.errno\n"
              "h.flush()\nassert h.pread(512, 0) == bytes(512)\n")
    with Door(mayastor, RAM + ["--read-only"]) as door:
        nbdsh(door.uri("ram"), script)


def size_is_told_on_reconnect(mayastor):
    need_libnbd()
    script = ("import os, signal, time\nh.connect_uri(uri)\nassert h.get_size() == 1 << 20\n"
              "os.truncate(path, 3 << 20)\nos.kill(pid, signal.SIGHUP)\n"
              "for _ in range(500):\n    n = nbd.NBD()\n    n.connect_uri(uri)\n"
              "    if n.get_size() == 3 << 20:\n        break\n    time.sleep(0.02)\n"
              "assert n.get_size() == 3 << 20\nn.pwrite(b'x' * 512, 2 << 20)\n"
              "assert h.get_size() == 1 << 20 and h.pread(512, 0) == bytes(512)\n")
    with tempfile.TemporaryDirectory(prefix="nbd.") as room:
        with open(f"{room}/file", "wb") as file:
            file.truncate(MIB)
        with Door(mayastor, ["--uri", f"file://{room}/file", "--name", "file"], room) as door:
            head = f"import nbd\nh = nbd.NBD()\nuri, path, pid = '{door.uri('file')}', '{room}/file', {door.child.pid}\n"
            run(["/usr/bin/python3", "-c", head + script])


def tcp_and_several_sockets(mayastor):
    need("nbdinfo")
    with Door(mayastor, RAM + ["--tcp", "127.0.0.1:0", "--tcp", "[::1]:0"]) as door:
        uris = [line.split("'")[1] for line in door.said if "nbdinfo" in line]
        assert len(uris) == 3, door.said
        for uri in uris:
            assert run(["nbdinfo", "--size", uri]).stdout.strip() == str(64 * MIB)


def requests_in_flight_are_answered_at_the_end(mayastor):
    need_libnbd()
    script = ("import os, signal\nh.connect_uri(uri)\nbufs = [nbd.Buffer(4096) for _ in range(32)]\n"
              "cookies = [h.aio_pread(b, i * 4096) for i, b in enumerate(bufs)]\n"
              "h.poll(100)\nos.kill(pid, signal.SIGTERM)\ngood = 0\n"
              "while h.aio_in_flight():\n    h.poll(-1)\n"
              "good = sum(h.aio_command_completed(c) for c in cookies)\nassert good == 32, good\n")
    with tempfile.TemporaryDirectory(prefix="nbd.") as room:
        with Door(mayastor, ["--uri", "delay:///slow?ns=500000000&on=malloc:///under?size_mb=4", "--name", "slow"], room) as door:
            head = f"import nbd\nh = nbd.NBD()\nuri, pid = '{door.uri('slow')}', {door.child.pid}\n"
            run(["/usr/bin/python3", "-c", head + script])
            assert door.child.wait(timeout=30) == 0
            assert not os.path.exists(door.path), "the socket is gone"


def wrong_usage_is_told(mayastor):
    for argv, words in ((["export"], "Usage"), (["export", "nbd"], "--uri is missing"),
                        (["export", "nbd", *RAM], "--socket"), (["export", "nbd", "--name", "x"], "begins with --uri"),
                        (["export", "nbd", "--what", "x"], "what is this"), (["export", "nbd", "--uri"], "value is missing"),
                        (["export", "nbd", "--reactors", "0", *RAM], "not a number")):
        done = run([mayastor, *argv], check=False)
        assert done.returncode == 64 and words in done.stdout, (argv, done)
    done = run([mayastor, "export", "nbd", "--socket", "/nowhere/s", *RAM], check=False)
    assert done.returncode == 2 and "cannot listen" in done.stdout, done
    done = run([mayastor, "export", "nbd", "--socket", "/tmp/s", "--uri", "nothing:///x"], check=False)
    assert done.returncode == 2 and "nothing" in done.stdout, done
    done = run([mayastor, "export", "nbd", "--socket", "/tmp/s", *RAM, *RAM], check=False)
    assert done.returncode == 2 and "already" in done.stdout, done


if __name__ == "__main__":
    sys.exit(main([
        nbdinfo_tells_exports, nbdinfo_maps_what_is_written, nbdcopy_goes_both_ways, nbdcopy_between_two_exports,
        nbdsh_script_of_all_commands, two_hundred_requests_in_flight, connections_of_all_kinds,
        qemu_img_converts_and_compares, qemu_io_reads_what_it_wrote, fio_verifies,
        thin_volumes_snapshots_and_clones_are_mapped, read_only_is_read_only,
        size_is_told_on_reconnect, tcp_and_several_sockets, requests_in_flight_are_answered_at_the_end,
        wrong_usage_is_told,
    ]))
