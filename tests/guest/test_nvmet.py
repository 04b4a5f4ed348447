#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_nvmet - our NVMe/TCP initiator on the kernel's target: verified data in all shapes, limits, losses, events.

  test_nvmet.py BUILD

One boot. Where QEMU or the kernel package is missing, one case is skipped with the reason.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED, BOOT_SECONDS = 77, 300

SCRIPT = r"""
n=0
say() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi; }
modprobe configfs && modprobe nvmet-tcp && modprobe null_blk nr_devices=1 gb=1 memory_backed=1 bs=512 || exit 1
mount -t configfs none /sys/kernel/config 2>/dev/null
cfg=/sys/kernel/config/nvmet
subsystem() { # name, device
	mkdir $cfg/subsystems/$1 && echo 1 >$cfg/subsystems/$1/attr_allow_any_host && mkdir $cfg/subsystems/$1/namespaces/1 &&
	echo -n "$2" >$cfg/subsystems/$1/namespaces/1/device_path && echo 1 >$cfg/subsystems/$1/namespaces/1/enable
}
port() { # number, port, subsystem
	mkdir $cfg/ports/$1 && echo tcp >$cfg/ports/$1/addr_trtype && echo ipv4 >$cfg/ports/$1/addr_adrfam &&
	echo 127.0.0.1 >$cfg/ports/$1/addr_traddr && echo $2 >$cfg/ports/$1/addr_trsvcid && ln -s $cfg/subsystems/$3 $cfg/ports/$1/subsystems/
}
A=nqn.2026-11.test:a B=nqn.2026-11.test:b
truncate -s 16m /tmp/file
subsystem $A /dev/nullb0 && subsystem $B /tmp/file && port 1 4420 $A && port 2 4421 $B
say $? "the kernel's target is there"
U=nvmf://127.0.0.1:4420/$A
load() { # words, URI parameters, options
	local words=$1 params=$2; shift 2
	timeout 60 /build/bench/bdev --verify --seed $n --ios 400 "$@" "$U?$params" >/io/load.$n 2>&1; say $? "$words"
}
load "4 KiB, both digests" "" --rw randrw --size 4m
load "without digests" "hdgst=false&ddgst=false" --rw randrw --size 4m
load "header digests only" "ddgst=false" --rw randrw --size 4m
load "data digests only" "hdgst=false" --rw randrw --size 4m
load "512 bytes, depth 100" "" --rw randrw --bs 512 --depth 100 --size 1m
load "16 KiB: R2T" "" --rw randrw --bs 16k --size 8m --depth 16
load "128 KiB: straight into memory" "" --rw randrw --bs 128k --size 16m --depth 4 --ios 100
load "1 MiB, split by MDTS or not" "" --rw randrw --bs 1m --size 32m --depth 4 --ios 30
load "FUA, flushes, zeroes, unmaps" "" --rw randrw --size 4m --fua --flush-every 7 --zeroes 10 --unmap 10
load "two reactors, two channels each" "" --rw randrw --size 8m --reactors 2 --jobs 2 --ios 150
load "depth 1 of the controller" "depth=1" --rw randrw --size 1m --depth 8 --ios 100

timeout 90 /build/bench/bdev --verify --rw randrw --size 8m --runtime 10 "$U?wait_ms=60000&timeout_ms=20000" >/io/lossy 2>&1 &
lossy=$!
for i in 1 2 3; do sleep 2; rm $cfg/ports/1/subsystems/$A; sleep 0.3; ln -s $cfg/subsystems/$A $cfg/ports/1/subsystems/; done
wait $lossy; say $? "the target goes and comes back, three times, under load"

timeout 20 /build/bench/bdev --ios 1 "nvmf://127.0.0.1:4421/nqn.2026-11.test:none" >/io/none 2>&1
[ $? = 3 ] && grep -q "no such subsystem" /io/none; say $? "an unknown subsystem is said to be one"
echo 0 >$cfg/subsystems/$B/attr_allow_any_host
timeout 20 /build/bench/bdev --ios 1 "nvmf://127.0.0.1:4421/$B" >/io/deny 2>&1
[ $? = 3 ] && grep -q "Invalid Host" /io/deny; say $? "a host that is not allowed is told so"
mkdir $cfg/hosts/nqn.2026-11.test:me && ln -s $cfg/hosts/nqn.2026-11.test:me $cfg/subsystems/$B/allowed_hosts/
timeout 20 /build/bench/bdev --ios 10 "nvmf://127.0.0.1:4421/$B?hostnqn=nqn.2026-11.test:me" >/io/allow 2>&1
say $? "by its name it is let in"

timeout 60 /build/tests/guest/nvmf_watch "nvmf://127.0.0.1:4421/$B?hostnqn=nqn.2026-11.test:me&timeout_ms=20000" 40 >/io/watch 2>&1 &
watch=$!
seen() { for i in $(seq 100); do grep -q "$1" /io/watch && return 0; sleep 0.1; done; return 1; }
seen "blocks 16384"; say $? "the size is known"
truncate -s 24m /tmp/file; echo 1 >$cfg/subsystems/$B/namespaces/1/revalidate_size
seen "blocks 24576"; say $? "an event tells that it grew"
echo 0 >$cfg/subsystems/$B/namespaces/1/enable
wait $watch; say $? "and that it is gone"
dmesg | grep -E "nvmet.*(error|digest|bad|unexpected|invalid pdu)|BUG:|WARNING:|hung task" | grep -v "invalid subsystem" >/io/dmesg; [ ! -s /io/dmesg ]; say $? "the kernel complains of nothing"
"""


def main(build):
    with tempfile.TemporaryDirectory(prefix="guest.") as io:
        with open(f"{io}/script.sh", "w", encoding="utf-8") as file:
            file.write("PATH=$PATH:/usr/sbin:/sbin\n" + SCRIPT)
        done = subprocess.run([f"{HERE}/guest", "run", "--build", os.path.abspath(build), "--io", io, "--cpus", "2",
                               "--mem", "1536", "--timeout", str(BOOT_SECONDS), f"{io}/script.sh"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode == SKIPPED and done.stdout.startswith("skip: "):
            print(f"1..0 # SKIP {done.stdout.removeprefix('skip: ').strip()}")
            return 0
        print(done.stdout, end="")
        print(f"1..{done.stdout.count('ok ')}")
        if done.returncode or "not ok" in done.stdout:
            for name in sorted(os.listdir(io)):
                if name.split(".")[0] in ("load", "lossy", "none", "deny", "allow", "watch", "dmesg"):
                    with open(f"{io}/{name}", encoding="utf-8", errors="replace") as file:
                        print("".join(f"# {name}: {line}" for line in file.readlines()[-6:]), end="")
            print("".join(f"# {line}\n" for line in done.stderr.splitlines()[-30:]), end="")
        if done.returncode:
            print(f"not ok - the boot ends in status 0, not {done.returncode}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
