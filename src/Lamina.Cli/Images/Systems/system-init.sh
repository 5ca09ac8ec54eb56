#!/bin/busybox sh
# The first process of a system image: finds the disk, puts what this run needs into /run, and becomes the system's own first process.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs -o mode=0755,nosuid devtmpfs /dev

fail() {
    echo "lamina: $*"
    echo "lamina: the system cannot be started"
    $b poweroff -f
}

for module in /lamina/modules/*.ko; do
    [ -e "$module" ] && $b insmod "$module"
done
tries=0
disk=
while [ -z "$disk" ]; do
    # SCSI disks get their letters in the order in which they answer: the first is the one with the lowest address.
    for disk in /dev/vda /sys/class/scsi_disk/*:0:0:0/device/block/* /dev/xvda; do
        disk=/dev/${disk##*/}
        [ -b "$disk" ] && break
        disk=
    done
    tries=$((tries + 1))
    [ "$tries" -gt 100 ] && fail "there is no disk"
    [ -z "$disk" ] && $b sleep 0.05
done
$b mount -t ext4 -o rw,errors=remount-ro $disk /system || fail "the disk cannot be mounted"
$b mount -t tmpfs -o mode=0755,nosuid,nodev tmpfs /run
$b cp -a /lamina/run/. /run/
for place in proc sys dev run; do
    $b mount --move /$place /system/$place
done
exec $b switch_root /system /sbin/init
