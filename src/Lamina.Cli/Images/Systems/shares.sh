#!/bin/sh
# Mounts the shared folders: tag, access and path on a line each.
while read -r tag access path; do
    mkdir -p "$path" && mount -t virtiofs -o "$access" "$tag" "$path"
done </run/lamina/shares
