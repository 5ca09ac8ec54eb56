cd /root
if ! command -v -- "$1" >/dev/null; then
    printf "lamina: there is no command '%s' in this image\n" "$1" >&2
    exit 127
fi
exec "$@"
