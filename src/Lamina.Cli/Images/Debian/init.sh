#!/bin/sh
# The first process of a Lamina image. It is busybox ash: most of the commands below run without a fork.
#
# The first serial port (ttyS0) belongs to the kernel, the console (the same, or hvc0) to the person. The second serial port (ttyS1) is the control link to Lamina;
# docs/adr/0003-console-and-control-link.md describes its lines.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec,mode=0620,gid=5 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm

# mode (terminal, typed or command), name, rows, columns, term, console (ttyS0 or hvc0), network (yes or no)
. /lamina/session

hostname "$name"
ip link set lo up
# Modules the image brings, in the order of their needs; the list may be empty.
for module in /lamina/modules/*.ko; do
    [ -e "$module" ] && insmod "$module"
done

# Shared folders: tag, access and path on a line each.
if [ -e /lamina/shares ]; then
    while read -r tag access path; do
        mkdir -p "$path" && mount -t virtiofs -o "$access" "$tag" "$path"
    done </lamina/shares
fi

if [ "$network" = yes ]; then
    ip link set eth0 up
    # Answers come at once or not at all. What the lease says is done by /lamina/lease.
    udhcpc -i eth0 -s /lamina/lease -O mtu -t 5 -T 1 -A 1 -n -q >/dev/null 2>&1 || echo "lamina: no address by DHCP on eth0"
fi

# What runs commands for Lamina beside the session. Not with "&", which would have its commands ignore Ctrl-C.
[ -e /lamina/agent ] && start-stop-daemon -S -b -x /lamina/agent

# The screen's own shell.
[ -e /lamina/screen ] && start-stop-daemon -S -b -x /lamina/screen

stty -F /dev/ttyS1 115200 raw -echo -hupcl clocal
exec 3<>/dev/ttyS1

# What "poweroff", "reboot" and "halt" in the shell send to the first process.
trap 'poweroff -f' USR2
trap 'reboot -f' TERM
trap 'halt -f' USR1

# Takes what Lamina says while a shell runs.
follow() {
    while read -r word first second; do
        case $word in
            size) stty -F "/dev/$console" rows "$first" columns "$second" ;;
            stop) poweroff -f ;;
        esac
    done
}

# Starts a login shell on the console, and waits for it.
run_shell() {
    # A virtio console has no speed.
    [ "$console" = ttyS0 ] && stty -F /dev/ttyS0 115200
    stty -F "/dev/$console" sane erase '^?' rows "$rows" columns "$columns" "$@"
    export TERM="$term"
    follow <&3 >/dev/null 2>&1 &
    echo ready >&3
    mkfifo /lamina/end
    exec 4<>/lamina/end
    # Not with "&": a shell's background commands ignore Ctrl-C, and hand that on. A trap ends the read, which then goes on.
    start-stop-daemon -S -b -x /bin/setsid -- /lamina/shell 3>&- 4>&-
    until read -r _ <&4; do
        :
    done
}

# Sends standard input to Lamina under the name $1, in frames: a line "NAME SIZE", then SIZE bytes. One write(2) a frame, because
# that is what the kernel keeps whole when two processes write to one terminal.
pump() {
    while dd bs=32768 count=1 of="/lamina/$1.data" 2>/dev/null && [ -s "/lamina/$1.data" ]; do
        { stat -c "$1 %s" "/lamina/$1.data"; cat "/lamina/$1.data"; } | dd bs=65536 count=1 iflag=fullblock >&3 2>/dev/null
    done
}

# Takes input from Lamina: a line with its size, then the bytes. Each is answered, so that no more comes than there is room for. When the input
# has ended, or nobody reads it any more, Lamina may still say that the machine is to stop.
feed() {
    while read -r size; do
        case $size in
            stop) poweroff -f ;;
            0) exec >/dev/null ;;
            *)
                if dd bs="$size" count=1 iflag=fullblock 2>/dev/null; then
                    echo taken >&3
                else
                    exec >/dev/null
                fi
                ;;
        esac
    done
}

# Runs /lamina/command with its input and output on the control link, and reports its exit status.
run_command() {
    mkfifo /lamina/in /lamina/out /lamina/err
    pump out </lamina/out &
    out=$!
    pump err </lamina/err &
    err=$!
    feed <&3 >/lamina/in &
    echo ready >&3
    setsid sh /lamina/command </lamina/in >/lamina/out 2>/lamina/err 3>&- &
    wait $!
    status=$?

    # What the command left running would hold its pipes open. The first process and its helpers are in session 0.
    ps -o pid,sid | while read -r process session; do
        [ "$session" -gt 0 ] 2>/dev/null && kill -9 "$process"
    done
    wait "$out" "$err"
    echo "status $status" >&3
}

cd /root || exit
case $mode in
    terminal) run_shell ;;
    typed) run_shell -echo ;;
    command) run_command ;;
esac

# Changing a setting waits until the control link has sent everything.
stty -F /dev/ttyS1 raw -echo
poweroff -f
