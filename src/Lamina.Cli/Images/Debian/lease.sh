#!/bin/sh
# What udhcpc runs: gives the interface what the lease says.
case $1 in
    bound | renew)
        [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
        ip addr replace "$ip/${mask:-24}" dev "$interface"
        for gateway in $router; do
            # It need not be in our subnet.
            ip route replace "$gateway" dev "$interface"
            ip route replace default via "$gateway" dev "$interface"
            break
        done
        : >/etc/resolv.conf
        [ -n "$domain" ] && echo "search $domain" >>/etc/resolv.conf
        for server in $dns; do
            echo "nameserver $server" >>/etc/resolv.conf
        done
        ;;
esac
