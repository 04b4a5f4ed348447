# SPDX-License-Identifier: Apache-2.0
# nvmf.sh - run in the guest by test_nvmf.py: Debian's own NVMe/TCP host against the target at
# $ADDR:$PORT. Each check is a line "ok - NAME" or "not ok - NAME" and what was said; what nvme-cli
# prints as JSON is left in /io for the host to look at.
#
# /io/env: ADDR PORT LOSSY (port of the proxy that can cut connections) NQN HOSTNQN HOSTID
#          LOSSES (connection losses) FIO (seconds of each fio) LONG (1: everything) SECTIONS
. /io/env
exec 2>&1
MNT=/tmp/mnt
mkdir -p $MNT

say() {
	local status=$1 name=$2 out=$3
	if [ "$status" = 0 ]; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		echo "${out:0:2000}" | sed 's/^/# /'
	fi
	return "$status"
}

# check NAME COMMAND...: it must succeed
check() {
	local name=$1 out status
	shift
	out=$("$@" 2>&1)
	status=$?
	say $status "$name" "$* ended with $status: $out"
}

# refused NAME WORDS COMMAND...: it must fail, saying WORDS (a pattern)
refused() {
	local name=$1 words=$2 out status
	shift 2
	out=$("$@" 2>&1)
	status=$?
	[ $status != 0 ] && grep -qiE "$words" <<<"$out"
	say $? "$name" "$* ended with $status: $out"
}

# optional NAME COMMAND...: it succeeds, or is refused with a status
optional() {
	local name=$1 out status
	shift
	out=$("$@" 2>&1 | tr -d '\0')
	status=${PIPESTATUS[0]}
	[ "$status" = 0 ] || grep -qiE "NVMe status|invalid|not support" <<<"$out"
	say $? "$name is given or refused" "$* ended with $status: $out"
}

# told NAME COMMAND...: it must succeed; its output is for the host
told() {
	local name=$1 status
	shift
	"$@" >"/io/$name.json" 2>/tmp/err
	status=$?
	say $status "$name is told" "$* ended with $status: $(cat /tmp/err)"
}

# ask WORDS: the host does something and answers
ask() {
	echo "$*" >/io/ask.new
	mv /io/ask.new /io/ask
	for _ in $(seq 600); do
		[ -e /io/answer ] && break
		sleep 0.05
	done
	cat /io/answer
	rm -f /io/answer
}

until_true() {
	local tries=$1
	shift
	for _ in $(seq "$tries"); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

connect() {
	nvme connect -t tcp -a "$ADDR" -s "${TO_PORT:-$PORT}" -n "$NQN" -q "$HOSTNQN" -I "$HOSTID" "$@"
}

ctrl() {
	ls /sys/class/nvme | sort -V | tail -1
}

# the block device of namespace $1
disk() {
	local path
	for path in /sys/block/nvme*n"$1"; do
		[[ $path =~ /nvme[0-9]+n[0-9]+$ ]] && [ -e "$path" ] && basename "$path" && return 0
	done
	return 1
}

blocks() {
	cat "/sys/block/$(disk "$1")/size" # of 512 bytes
}

# what until_true() can ask again and again
has_disk() {
	local name
	name=$(disk "$1") && [ -b "/dev/$name" ] && [ "$(blocks "$1")" != 0 ]
}

no_disk() {
	! disk "$1"
}

other_size() {
	[ "$(blocks "$1")" != "$2" ]
}

no_ctrl() {
	[ -z "$(ls /sys/class/nvme)" ]
}

in_state() {
	local state
	read -r state <"/sys/class/nvme/$1/state" && [ "$state" = "$2" ]
}

# so often since dmesg was cleared
reconnected() {
	[ "$(dmesg | grep -c "Successfully reconnected")" -ge "$1" ]
}

ready() {
	until_true 200 has_disk 1 && until_true 200 has_disk 2
}

gone() {
	until_true 200 no_ctrl
}

disconnect() {
	nvme disconnect -n "$NQN" && gone
}

# data go there and back
round_trip() {
	local dev=/dev/$1 size=${2:-1024}
	head -c ${size}k /dev/urandom >/tmp/out &&
		dd if=/tmp/out of="$dev" bs=128k oflag=direct status=none &&
		dd if="$dev" of=/tmp/in bs=64k count=$((size / 64)) iflag=direct status=none &&
		cmp /tmp/out /tmp/in
}

is() {
	[ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }
}

attr() {
	cat "/sys/class/nvme/$(ctrl)/$1"
}

# --- connections ---

variation() {
	local name=$1 queues=$2
	shift 2
	check "connect $name" connect "$@" || return
	ready
	say $? "connect $name: namespaces appear" "$(ls /sys/block; dmesg | tail -5)" || { disconnect; return; }
	[ -z "$queues" ] || check "connect $name: $queues queues" is "$(attr queue_count)" "$queues"
	check "connect $name: data" round_trip "$(disk 1)"
	check "connect $name: disconnect" disconnect
}

connections() {
	told discover nvme discover -t tcp -a "$ADDR" -s "$PORT" -q "$HOSTNQN" -I "$HOSTID" -o json
	variation "plain" ""
	variation "-i 2 -W 1, both digests" 4 -i 2 -W 1 --hdr-digest --data-digest
	variation "-i 1 -P 1 --queue-size=16" 3 -i 1 -P 1 --queue-size=16
	variation "--disable-sqflow --data-digest --keep-alive-tmo=5" "" --disable-sqflow --data-digest --keep-alive-tmo=5
	if [ "$LONG" = 1 ]; then
		variation "-i 1" 2 -i 1
		variation "-i 2" 3 -i 2
		variation "-i 1 -W 1" 3 -i 1 -W 1
		variation "-i 2 -P 1" 4 -i 2 -P 1
		variation "--hdr-digest" "" --hdr-digest
		variation "--data-digest" "" --data-digest
		variation "both digests" "" --hdr-digest --data-digest
		variation "--keep-alive-tmo=5" "" --keep-alive-tmo=5
		variation "--queue-size=16" "" --queue-size=16
		variation "--queue-size=1024" "" --queue-size=1024
		variation "--disable-sqflow" "" --disable-sqflow
	fi
	refused "connect to a subsystem there is not" . nvme connect -t tcp -a "$ADDR" -s "$PORT" \
		-n nqn.2026-01.io.mayastor:none -q "$HOSTNQN" -I "$HOSTID"
	check "connect-all" nvme connect-all -t tcp -a "$ADDR" -s "$PORT" -q "$HOSTNQN" -I "$HOSTID"
	nvme disconnect-all
	gone
}

# --- commands ---

logs() {
	local dev=$1 name all="self-test-log endurance-log sanitize-log lba-status-log predictable-lat-log
		fid-support-effects-log media-unit-stat-log supported-cap-config-log mi-cmd-support-effects-log"
	told smart_log nvme smart-log "$dev" -o json
	told error_log nvme error-log "$dev" -o json
	told fw_log nvme fw-log "$dev" -o json
	told ana_log nvme ana-log "$dev" -o json
	told changed_ns nvme changed-ns-list-log "$dev" -o json
	check "effects-log" nvme effects-log "$dev" -H
	check "supported-log-pages" nvme supported-log-pages "$dev"
	check "resv-notif-log" nvme resv-notif-log "$dev"
	for name in $([ "$LONG" = 1 ] && echo "$all" || echo endurance-log); do
		optional "$name" timeout 20 nvme "$name" "$dev"
	done
	optional telemetry-log timeout 20 nvme telemetry-log "$dev" --output-file=/tmp/t
	optional boot-part-log timeout 20 nvme boot-part-log "$dev" --output-file=/tmp/t
	optional persistent-event-log timeout 20 nvme persistent-event-log "$dev" --action=0 --log_len=512
	refused "a log there is not" "invalid (log|field)" nvme get-log "$dev" --log-id=0xbf --log-len=512
}

features() {
	local dev=$1 fid
	local all="1 2 4 5 6 8 9 0xa 0xc 0xd 0xe 0x10 0x11 0x16 0x19 0x80 0x81 0x82 0x83"
	for fid in $([ "$LONG" = 1 ] && echo "$all" || echo 2 6 0x81); do
		optional "feature $fid" nvme get-feature "$dev" -n 1 -f $fid -H
	done
	check "feature 7 is given" nvme get-feature "$dev" -f 7
	check "feature 0xb is given" nvme get-feature "$dev" -f 0xb
	check "feature 0xf is given" nvme get-feature "$dev" -f 0xf
}

commands() {
	local dev blk
	check "connect for commands" connect -i 2 || return
	ready
	dev=/dev/$(ctrl) blk=/dev/$(disk 1)
	told id_ctrl nvme id-ctrl "$dev" -o json
	told id_ns1 nvme id-ns "$dev" -n 1 -o json
	told id_ns2 nvme id-ns "$dev" -n 2 -o json
	told list_ns nvme list-ns "$dev" -o json
	told ns_descs nvme ns-descs "$dev" -n 1 -o json
	told list nvme list -o json
	told list_subsys nvme list-subsys -o json
	told nvm_id_ctrl nvme nvm-id-ctrl "$dev" -o json
	told nvm_id_ns nvme nvm-id-ns "$dev" -n 1 -o json
	told ind_id_ns nvme cmdset-ind-id-ns "$dev" -n 1 -o json
	check "id-iocs" nvme id-iocs "$dev"
	optional "list-ns --all" nvme list-ns "$dev" --all
	optional "list-ctrl" nvme list-ctrl "$dev"
	optional "id-uuid" nvme id-uuid "$dev"
	optional "id-nvmset" nvme id-nvmset "$dev"
	optional "primary-ctrl-caps" nvme primary-ctrl-caps "$dev"
	for offset in 0x0 0x8 0x14 0x1c; do
		check "get-property $offset" nvme get-property "$dev" -o $offset -H
	done
	logs "$dev"
	features "$dev"

	check "flush" nvme flush "$blk" -n 1
	head -c 4096 /dev/urandom >/tmp/block
	check "write" nvme write "$blk" -s 64 -c 7 -z 4096 -d /tmp/block
	check "compare of the same" nvme compare "$blk" -s 64 -c 7 -z 4096 -d /tmp/block
	check "read" nvme read "$blk" -s 64 -c 7 -z 4096 -d /tmp/back
	check "what was read is what was written" cmp /tmp/block /tmp/back
	head -c 4096 /dev/urandom >/tmp/other
	refused "compare of something else" "compare failure" nvme compare "$blk" -s 64 -c 7 -z 4096 -d /tmp/other
	check "write-zeroes" nvme write-zeroes "$blk" -s 64 -c 7
	head -c 4096 /dev/zero >/tmp/zero
	check "compare with zeros" nvme compare "$blk" -s 64 -c 7 -z 4096 -d /tmp/zero
	nvme write "$blk" -s 64 -c 7 -z 4096 -d /tmp/block >/dev/null
	check "write-zeroes with deallocation" nvme write-zeroes "$blk" -s 64 -c 7 -d
	check "dsm" nvme dsm "$blk" -n 1 --ad --slbs=64 --blocks=8
	check "dsm of several ranges" nvme dsm "$blk" -n 1 --ad --slbs=64,128,256 --blocks=8,8,8
	refused "dsm beyond the end" "LBA_RANGE|out of range|capacity" nvme dsm "$blk" -n 1 --ad --slbs=0xffffffffff --blocks=8
	refused "read beyond the end" "LBA|range|Invalid" nvme read "$blk" -s 0xffffffffff -c 7 -z 4096 -d /tmp/back
	refused "write-uncor" "INVALID_OPCODE|invalid.*(opcode|command)" nvme write-uncor "$blk" -n 1 -s 64 -c 7
	refused "copy" "INVALID_OPCODE|invalid.*(opcode|command|field)" nvme copy "$blk" -n 1 --sdlba=0 --slbs=64 --blocks=7
	refused "format" "INVALID_OPCODE|invalid.*(opcode|command)" nvme format "$dev" -n 1 --force
	refused "sanitize" "INVALID_OPCODE|invalid.*(opcode|command)" nvme sanitize "$dev" -a 2
	refused "create-ns" "INVALID_OPCODE|invalid.*(opcode|command)" nvme create-ns "$dev" --nsze=100 --ncap=100 --flbas=0
	refused "security-recv" "INVALID_OPCODE|invalid.*(opcode|command)" nvme security-recv "$dev" -p 0 -s 0 -x 256 -t 256
	refused "device-self-test" "INVALID_OPCODE|invalid.*(opcode|command)" nvme device-self-test "$dev" -s 1
	check "data after all that" round_trip "$(disk 1)"
	check "data on the other namespace" round_trip "$(disk 2)"
	check "reset" nvme reset "$dev"
	until_true 200 in_state "$(ctrl)" live
	check "live after the reset" is "$(attr state)" live
	check "data after the reset" round_trip "$(disk 1)"
	check "ns-rescan" nvme ns-rescan "$dev"
	check "disconnect by device" nvme disconnect -d "$(ctrl)"
	gone
}

# --- reservations: two hosts, each with a path of its own ---

OTHER=nqn.2014-08.org.nvmexpress:uuid:5e7a0000-0000-4000-8000-00000000bbbb

reservations() {
	modprobe -r nvme-tcp nvme-fabrics nvme nvme-core 2>/dev/null
	modprobe nvme-core multipath=N && modprobe nvme-tcp
	two_hosts
	nvme disconnect-all
	gone
	modprobe -r nvme-tcp nvme-fabrics nvme-core
	modprobe nvme-tcp
}

to_fabrics() {
	echo "$1" >/dev/nvme-fabrics
}

two_hosts() {
	local a b
	check "host A connects" connect || return
	until_true 200 [ -b /dev/nvme0n1 ]
	# nvme-cli takes two hosts for one
	check "host B connects" to_fabrics "transport=tcp,traddr=$ADDR,trsvcid=$PORT,nqn=$NQN,hostnqn=$OTHER,hostid=${OTHER##*:}" ||
		return
	until_true 200 [ -b /dev/nvme1n1 ]
	a=/dev/nvme0n1 b=/dev/nvme1n1
	check "A registers" nvme resv-register $a -n 1 --nrkey=0xa1 --rrega=0
	refused "B acquires without a key" "conflict" nvme resv-acquire $b -n 1 --crkey=0xb1 --rtype=1 --racqa=0
	check "B registers" nvme resv-register $b -n 1 --nrkey=0xb1 --rrega=0
	refused "A registers another key" "conflict" nvme resv-register $a -n 1 --nrkey=0xa2 --rrega=0
	check "A replaces its key" nvme resv-register $a -n 1 --crkey=0xa1 --nrkey=0xa2 --rrega=2
	check "A replaces it, ignoring the old one" nvme resv-register $a -n 1 --iekey --nrkey=0xa1 --rrega=2
	check "A acquires write exclusive" nvme resv-acquire $a -n 1 --crkey=0xa1 --rtype=1 --racqa=0
	told resv_report nvme resv-report $a -n 1 --eds -o json
	check "A writes" nvme write $a -s 0 -c 7 -z 4096 -d /tmp/block
	check "B reads" nvme read $b -s 0 -c 7 -z 4096 -d /tmp/back
	refused "B does not write" "conflict" nvme write $b -s 0 -c 7 -z 4096 -d /tmp/block
	refused "B does not acquire" "conflict" nvme resv-acquire $b -n 1 --crkey=0xb1 --rtype=2 --racqa=0
	check "A releases" nvme resv-release $a -n 1 --crkey=0xa1 --rtype=1 --rrela=0
	check "B writes" nvme write $b -s 0 -c 7 -z 4096 -d /tmp/block
	check "B acquires exclusive access" nvme resv-acquire $b -n 1 --crkey=0xb1 --rtype=2 --racqa=0
	refused "A does not read" "conflict" nvme read $a -s 0 -c 7 -z 4096 -d /tmp/back
	check "A preempts B" nvme resv-acquire $a -n 1 --crkey=0xa1 --prkey=0xb1 --rtype=2 --racqa=2
	refused "B does not read" "conflict" nvme read $b -s 0 -c 7 -z 4096 -d /tmp/back
	told resv_after nvme resv-report $a -n 1 --eds -o json
	check "A clears" nvme resv-release $a -n 1 --crkey=0xa1 --rrela=1
	check "B reads again" nvme read $b -s 0 -c 7 -z 4096 -d /tmp/back
	refused "a type there is not" "invalid|conflict|not supported" nvme resv-acquire $a -n 1 --crkey=0xa1 --rtype=9 --racqa=0
}

# --- file systems ---

# where all is slow a job of fio 3.33 may write to a pipe of its own that nobody reads any more, and die of it
run_fio() {
	local where=$1 size=$2 depth
	shift 2
	for depth in $([ "$LONG" = 1 ] && echo 1 8 32 || echo ${DEPTH:-16}); do
		(trap '' PIPE; exec nice -n ${NICE:-0} fio --name=v --filename="$where" --size="$size" --rw=randwrite --bsrange=4k-128k --iodepth=$depth \
			--ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1 \
			--randseed=$RANDOM --output=/tmp/fio.out "$@") || { cat /tmp/fio.out; return 1; }
		grep -q "err= 0" /tmp/fio.out || { cat /tmp/fio.out; return 1; }
	done
}

# for FIO seconds
fio_for() {
	local end=$((SECONDS + FIO))
	while :; do
		run_fio "$@" || return 1
		[ $SECONDS -lt $end ] || return 0
	done
}

file_system() {
	local kind=$1 fsck=$2 dev=/dev/$(disk 1)
	modprobe "$kind"
	check "mkfs.$kind" mkfs."$kind" $([ "$kind" = ext4 ] && echo -Fq || echo -fq) "$dev" || return
	check "$kind: mount" mount "$dev" $MNT || return
	check "$kind: fio --verify" fio_for $MNT/file 12m
	head -c 30m /dev/urandom >$MNT/filler
	sync
	say 0 "$kind: written"
	ask "used filled-$kind" >/dev/null
	rm -f $MNT/filler $MNT/file
	sync
	check "$kind: fstrim" fstrim -v $MNT
	ask "used trimmed-$kind" >/dev/null
	check "$kind: umount" umount $MNT
	# shellcheck disable=SC2086
	check "$kind: fsck" $fsck "$dev"
}

file_systems() {
	check "connect for file systems" connect -i 2 --hdr-digest --data-digest || return
	ready
	file_system ext4 "fsck.ext4 -fn"
	file_system xfs "xfs_repair -n"
	file_system btrfs "btrfs check"
	check "fio --verify on the device of 4 KiB blocks" fio_for "/dev/$(disk 2)" 12m
	check "disconnect after file systems" disconnect
}

# two thin replicas of a pool that cannot bear both full: what one gives back, the other takes
pool_space() {
	check "connect for pool space" connect -i 2 || return
	until_true 200 has_disk 3 && until_true 200 has_disk 4
	check "replica a: mkfs.ext4" mkfs.ext4 -Fq "/dev/$(disk 3)"
	check "replica a: mount" mount "/dev/$(disk 3)" $MNT
	check "replica a: 70 MiB" dd if=/dev/urandom of=$MNT/file bs=1M count=70 conv=fsync status=none
	rm $MNT/file
	sync
	check "replica a: fstrim" fstrim $MNT
	check "replica b: the 70 MiB that were freed" \
		dd if=/dev/urandom of="/dev/$(disk 4)" bs=1M count=70 oflag=direct conv=fsync status=none
	check "replica a: umount" umount $MNT
	check "replica a: fsck" fsck.ext4 -fn "/dev/$(disk 3)"
	check "disconnect after pool space" disconnect
}

# --- changes seen live ---

changes() {
	local size
	check "connect for changes" connect -i 2 || return
	ready
	size=$(blocks 1)
	is "$(ask resize 1)" ok || { say 0 "resize # SKIP the target takes no commands"; disconnect; return; }
	until_true 100 other_size 1 "$size"
	check "a larger size is seen" is "$(blocks 1)" $((size + 131072))
	check "data after the resize" round_trip "$(disk 1)"
	check "namespace 2 is removed" is "$(ask remove 2)" ok
	until_true 200 no_disk 2
	check "it is gone" no_disk 2
	check "data on the other one" round_trip "$(disk 1)"
	check "namespace 2 returns" is "$(ask add 2)" ok
	until_true 200 has_disk 2
	check "it is there" has_disk 2
	check "data on it" round_trip "$(disk 2)"
	check "disconnect after changes" disconnect
}

# --- connection losses under I/O ---

losses() {
	local name pid left state
	TO_PORT=$LOSSY check "connect through the proxy" connect -i 2 --hdr-digest --data-digest \
		--reconnect-delay=1 --ctrl-loss-tmo=600 --keep-alive-tmo=15 || return
	ready
	name=$(ctrl)
	# not so eager that an emulated processor does nothing else
	(until [ -e /tmp/enough ]; do NICE=19 DEPTH=4 run_fio "/dev/$(disk 1)" 12m || exit 1; done) >/tmp/losses.out 2>&1 &
	pid=$!
	for left in $(seq "$LOSSES"); do
		sleep 1
		ask cut >/dev/null
		until_true 600 reconnected "$left" || break
	done
	read -r state <"/sys/class/nvme/$name/state"
	say $(reconnected "$LOSSES"; echo $?) "reconnected after each of $LOSSES losses" "after $left: $state; $(dmesg | tail -20)"
	touch /tmp/enough
	wait $pid
	say $? "fio --verify through $LOSSES losses" "$(cat /tmp/losses.out)"
	check "disconnect after losses" disconnect
}

# --- what the kernel said ---

QUIET='nvme_fabrics|nvme nvme[0-9]+: (new ctrl|creating|mapped|Removing ctrl|resetting|rescanning|queue_size [0-9]+ > ctrl sqsize|sqsize [0-9]+ > ctrl maxcmd)|nvme[0-9]+n[0-9]+: detected capacity|EXT4-fs|XFS .*(Mounting|Ending|Unmounting|Deprecated|supports timestamps)|SGI XFS|BTRFS|raid6|xor:|Btrfs|async_tx|loop:|alg: |libcrc32c|random:|clocksource|Found shared namespace|Support for shared namespaces|Connect (Invalid|command failed)|failed to connect queue: 0 ret=16770|operation not supported|nvme.*Identifier|hrtimer|perf:|crypto'

kernel_said() {
	local strange
	dmesg >/io/dmesg
	strange=$(dmesg | grep -vE "$1|$QUIET")
	dmesg -C
	[ -z "$strange" ]
	say $? "dmesg of $2 has nothing strange" "$strange"
}

modprobe nvme-tcp || exit 1
dmesg -C
for section in $SECTIONS; do
	start=$SECONDS
	$section
	case $section in
	losses) kernel_said "callbacks suppressed|error recovery|no usable path|[Rr]econnect|receive failed|failed to send|state|failed nvme_keep_alive|Property|queue [0-9]+:|socket|I/O [0-9]+ .*timeout|Aborting" $section ;;
	changes) kernel_said "Buffer I/O" $section ;;
	*) kernel_said "^$" $section ;;
	esac
	echo "# $section took $((SECONDS - start)) s"
done
exit 0
