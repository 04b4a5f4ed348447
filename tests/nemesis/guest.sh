# SPDX-License-Identifier: Apache-2.0
# guest.sh - run in the guest by test_guest.py: Linux's own NVMe/TCP host with multipath, fio with verify.
#
# /io/env: ADDRS (of the nexuses) NQN HOSTNQN HOSTID. The host makes /io/enough when it is over; we leave
# /io/stat (blocks moved so far) twice a second and, in the end, /io/dmesg.
. /io/env
exec 2>&1
modprobe nvme-tcp || exit 1
ip route add default via 10.0.2.2 # the nexuses are behind the machine that runs us

# A path to each nexus, when it is there; one that is lost for good is made anew.
keep_connected() {
	while [ ! -e /io/enough ]; do
		for addr in $ADDRS; do
			grep -qs "traddr=$addr," /sys/class/nvme/*/address ||
				timeout 20 nvme connect -t tcp -a "$addr" -s 4421 -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" -i 1 \
					--reconnect-delay=1 --ctrl-loss-tmo=3600 --keep-alive-tmo=15 >>/tmp/connect.out 2>&1
		done
		sleep 1
	done
}

disk() {
	local path
	for path in /sys/block/nvme*n1; do
		[[ $path =~ /nvme[0-9]+n1$ ]] && [ -e "$path" ] && basename "$path" && return 0
	done
	return 1
}

# Blocks of all runs of fio so far; a multipath disk counts nothing itself in this kernel.
tell_stat() {
	local pid before now
	while [ ! -e /tmp/done ]; do
		read -r pid before </tmp/fio.now &&
			now=$(awk '/^(read|write)_bytes/ { sum += $2 } END { print int(sum / 4096) }' "/proc/$pid/io") &&
			echo $((before + now)) >/io/stat.new && mv /io/stat.new /io/stat
		sleep 0.5
	done 2>/dev/null
}

keep_connected &
for _ in $(seq 600); do
	name=$(disk) && [ -b "/dev/$name" ] && break
	sleep 0.2
done
if [ -z "$name" ]; then
	echo "not ok - the volume appears"
	cat /tmp/connect.out
	exit 1
fi
echo "ok - the volume appears"
tell_stat &
# Areas of one region each, written and verified in turn; before an area is written again it still holds
# what it was given many faults ago. Arguments: the run it is or was of; what else fio shall do.
run_fio() {
	fio --name=verify --filename="/dev/$name" --direct=1 --ioengine=libaio --rw=randwrite --bs=4k \
		--offset=$(($1 % AREAS * 4))m --size=4m --iodepth=4 --verify=crc32c --verify_fatal=1 \
		--verify_state_save=0 --randseed="$1" --rate_iops=150 --thread --output-format=terse $2 \
		>/tmp/fio.out 2>&1 &
	echo "$! $((ran * 1000000))" >/tmp/fio.now
	wait $! && ran=$((ran + 1)) && return
	status=$?
	echo "not ok - fio $2, run $1"
	sed 's/^/# /' /tmp/fio.out | tail -20
	touch /io/failed
	return $status
}

AREAS=8
ran=0
runs=0
status=0
while [ ! -e /io/enough ] && [ $status = 0 ]; do
	[ $runs -ge $AREAS ] && { run_fio $((runs - AREAS)) --verify_only || break; }
	run_fio $runs "" || break
	runs=$((runs + 1))
done
for ((old = runs > AREAS ? runs - AREAS : 0; old < runs && status == 0; old++)); do
	run_fio $old --verify_only
done
touch /tmp/done
[ $status = 0 ] && echo "ok - $runs runs of fio with verify, $((ran - runs)) that read again what was written before"
for path in /sys/class/nvme/nvme*; do
	echo "# $(cat "$path/address") $(cat "$path/state")"
done
dmesg >/io/dmesg
timeout 30 nvme disconnect-all >/dev/null 2>&1
wait
exit $status
