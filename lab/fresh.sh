#!/bin/sh
# lab/fresh.sh SUITE [COMMAND …]: runs a command (make demo) in this checkout's last commit on a fresh Debian of that
# suite (bookworm, trixie), in which there is nothing but make, git and python3: no Go, no compiler, nothing cached.
# Its root file system, /dev, processes and mounts are its own; it is removed afterwards, unless KEEP_ROOT=1.
# HAVE="pulumi docker-29" gives it these parts of this machine's lab, where building them is not what is tried.
set -eu

suite=$1
shift
[ $# -gt 0 ] || set -- make demo
top=$(cd "$(dirname "$0")/.." && pwd)
folder=${FRESH:-/var/tmp/pulumi-iofog-fresh}
base=$folder/$suite.base
root=$folder/$suite

mkdir -p "$folder"
if [ ! -d "$base" ]; then
    debootstrap --variant=minbase --include=make,git,python3 "$suite" "$base.new"
    mv "$base.new" "$base"
fi
rm -rf "$root"
cp -a "$base" "$root"
[ "${KEEP_ROOT:-}" = 1 ] || trap 'rm -rf --one-file-system "$root"' EXIT
git clone --quiet "$top" "$root/srv/pulumi-iofog"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
# A network that signs for others has its own authority, which the fresh system must trust too.
cp -r /usr/local/share/ca-certificates "$root/usr/local/share/" 2>/dev/null || true
for part in ${HAVE:-}; do
    mkdir -p "$root/root/.cache/pulumi-iofog-lab"
    cp -r "${XDG_CACHE_HOME:-$HOME/.cache}/pulumi-iofog-lab/$part" "$root/root/.cache/pulumi-iofog-lab/"
done

cat >"$root/begin" <<'BEGIN'
set -eu
cd "$1"
shift
mount --bind . .
cd "$PWD"
mount -t proc proc proc
mount --rbind /sys sys
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
mkdir dev/pts dev/shm run/lock
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
    mknod -m 666 "dev/${node%%:*}" c $(echo "${node#*:}" | tr : ' ')
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . mnt
umount -l /mnt
cd /srv/pulumi-iofog
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
    LC_ALL=C.UTF-8 "$@"
BEGIN
began=$(date +%s)
unshare --mount --propagation private --pid --fork --kill-child sh "$root/begin" "$root" "$@"
echo "fresh.sh: $*: $(($(date +%s) - began)) s"
