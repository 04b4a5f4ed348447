#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
test_nbd - the kernel's NBD client on our server, with two connections: ext4, verified data, trims.

  test_nbd.py BUILD

One boot. Where QEMU, the kernel package or nbd-client is missing, one case is skipped with the reason.
"""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED, BOOT_SECONDS = 77, 300

SCRIPT = r"""
n=0
say() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi; }
modprobe nbd
/build/src/bin/mayastor export nbd --reactors 2 --socket /tmp/s --uri 'malloc:///ram?size_mb=48' --name ram >/io/server 2>&1 &
server=$!
for i in $(seq 100); do grep -q ready /io/server && break; sleep 0.1; done
nbd-client -unix /tmp/s -N ram /dev/nbd0 -C 2 -b 4096 >/io/client 2>&1; say $? "nbd-client connects twice"
[ "$(blockdev --getsize64 /dev/nbd0)" = 50331648 ]; say $? "the disk has its size"
mkfs.ext4 -q -F /dev/nbd0 && mkdir -p /tmp/m && mount -o discard /dev/nbd0 /tmp/m; say $? "ext4 is made and mounted"
dd if=/dev/urandom of=/tmp/m/a bs=1M count=8 2>/dev/null && sum=$(md5sum </tmp/m/a); say $? "8 MiB are written"
cp /tmp/m/a /tmp/m/b && sync && rm /tmp/m/a && sync; say $? "copied, the first removed"
umount /tmp/m; say $? "unmounted"
echo 3 >/proc/sys/vm/drop_caches
fsck.ext4 -fn /dev/nbd0 >/io/fsck 2>&1; say $? "fsck finds nothing"
mount /dev/nbd0 /tmp/m && [ "$(md5sum </tmp/m/b)" = "$sum" ]; say $? "the data are those that were written"
umount /tmp/m; blkdiscard -f -z -o 0 -l 8388608 /dev/nbd0 && dd if=/dev/nbd0 bs=1M count=8 iflag=direct 2>/dev/null | cmp -n 8388608 - /dev/zero
say $? "zeroed blocks read as zeros"
if command -v fio >/dev/null; then
	fio --name=v --filename=/dev/nbd0 --direct=1 --ioengine=libaio --rw=randwrite --bs=4k --iodepth=16 --numjobs=1 \
		--size=4m --verify=crc32c --verify_fatal=1 --randrepeat=1 --aux-path=/tmp >/io/fio 2>&1
	say $? "fio verifies random writes on two connections"
else
	echo "ok $((n + 1)) - fio verifies # SKIP no fio on this machine"
fi
nbd-client -d /dev/nbd0 >>/io/client 2>&1; say $? "nbd-client disconnects"
kill -TERM $server; wait $server; say $? "the server ends cleanly"
"""


def main(build):
    if not shutil.which("nbd-client", path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        print("1..0 # SKIP no nbd-client on this machine (package nbd-client)")
        return 0
    with tempfile.TemporaryDirectory(prefix="guest.") as io:
        with open(f"{io}/script.sh", "w", encoding="utf-8") as file:
            file.write("PATH=$PATH:/usr/sbin:/sbin\n" + SCRIPT)
        done = subprocess.run([f"{HERE}/guest", "run", "--build", os.path.abspath(build), "--io", io, "--cpus", "2",
                               "--mem", "1024", "--timeout", str(BOOT_SECONDS), f"{io}/script.sh"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        if done.returncode == SKIPPED and done.stdout.startswith("skip: "):
            print(f"1..0 # SKIP {done.stdout.removeprefix('skip: ').strip()}")
            return 0
        print(done.stdout, end="")
        print(f"1..{done.stdout.count('ok ')}")
        if done.returncode or "not ok" in done.stdout:
            for name in ("server", "client", "fsck", "fio"):
                if os.path.exists(f"{io}/{name}"):
                    with open(f"{io}/{name}", encoding="utf-8", errors="replace") as file:
                        print("".join(f"# {name}: {line}" for line in file.readlines()[-15:]))
            print("".join(f"# {line}\n" for line in done.stderr.splitlines()[-30:]), end="")
        if done.returncode:
            print(f"not ok - the boot ends in status 0, not {done.returncode}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
