#!/bin/sh
# What a run wants of a system image: a shell on the console, or one command. systemd starts it when its default target has been reached.
#
# The first serial port (ttyS0) belongs to the kernel, the console (the same, or hvc0) to the person. The second serial port (ttyS1) is the control link to Lamina;
# docs/adr/0003-console-and-control-link.md describes its lines.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LOGNAME=root LANG=C.UTF-8
cd /root || exit

# mode (terminal, typed or command), name, rows, columns, term, network (yes or no), keep (yes or no)
. /run/lamina/session

stty -F /dev/ttyS1 115200 raw -echo -hupcl clocal
exec 3<>/dev/ttyS1

# Takes what Lamina says while a shell runs.
follow() {
    while read -r word first second; do
        case $word in
            size) stty -F "/dev/$console" rows "$first" columns "$second" ;;
        esac
    done
}

# Runs a login shell on the console, which is its terminal.
run_shell() {
    # A virtio console has no speed.
    [ "$console" = ttyS0 ] && stty -F /dev/ttyS0 115200
    stty -F "/dev/$console" sane erase '^?' rows "$rows" columns "$columns" "$@"
    export TERM="$term"
    follow <&3 >/dev/null 2>&1 &
    echo ready >&3
    case $mode in
        typed) setsid -c -w bash --noediting --rcfile /run/lamina/typed.sh -i 3>&- <"/dev/$console" >"/dev/$console" 2>&1 ;;
        *) setsid -c -w bash -l 3>&- <"/dev/$console" >"/dev/$console" 2>&1 ;;
    esac
}

# Sends standard input to Lamina under the name $1, in frames: a line "NAME SIZE", then SIZE bytes. One write(2) a frame, because
# that is what the kernel keeps whole when two processes write to one terminal.
pump() {
    while dd bs=32768 count=1 of="/run/lamina/$1.data" 2>/dev/null && [ -s "/run/lamina/$1.data" ]; do
        { stat -c "$1 %s" "/run/lamina/$1.data"; cat "/run/lamina/$1.data"; } | dd bs=65536 count=1 iflag=fullblock >&3 2>/dev/null
    done
}

# Takes input from Lamina: a line with its size, then the bytes. Each is answered, so that no more comes than there is room for.
feed() {
    while read -r size && [ "$size" -gt 0 ]; do
        dd bs="$size" count=1 iflag=fullblock 2>/dev/null || break
        echo taken >&3
    done
}

# Runs the command with its input and output on the control link, and reports its exit status.
run_command() {
    mkfifo /run/lamina/in /run/lamina/out /run/lamina/err
    pump out </run/lamina/out &
    out=$!
    pump err </run/lamina/err &
    err=$!
    feed <&3 >/run/lamina/in &
    echo ready >&3
    # A command that waits until the system has started is one of the jobs that it waits for, unless that has happened.
    timeout 30 systemctl is-system-running --wait >/dev/null 2>&1 || :

    # A unit of its own: what the command leaves running ends with it, and holds no pipe open.
    systemctl start lamina-command.service
    status=$(systemctl show -P ExecMainStatus lamina-command.service)
    case $(systemctl show -P ExecMainCode lamina-command.service) in
        2 | 3) status=$((status + 128)) ;;
    esac
    wait "$out" "$err"
    sync
    echo "status $status" >&3
}

case $mode in
    terminal) run_shell ;;
    typed) run_shell -echo ;;
    command) run_command ;;
esac

# Changing a setting waits until the control link has sent everything.
stty -F /dev/ttyS1 raw -echo
systemctl poweroff
