#!/bin/sh
# Installs whatever the lab, the demo and the tests need and is still missing. Safe to repeat; with everything
# installed it takes a second. Debian packages go into the system, everything else into .venv and into
# the cache folder ${XDG_CACHE_HOME:-~/.cache}/pulumi-iofog-lab. With "demo" it ends as soon as the demo can begin.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pulumi-iofog-lab
log=$cache/setup.log

main() {
    [ "$(id -u)" = 0 ] || fail "the lab creates network namespaces and starts engines: run this as root"
    mkdir -p "$cache"
    # One at a time: checkouts share the cache and the machine's packages.
    exec 9>"$cache/setup.lock"
    flock 9
    debian_packages
    virtual_environment
    exec 9>&-
    cd "$top"
    exec .venv/bin/python -m lab.build "$@"
}

say() { echo "setup: $*"; }
fail() { say "$*" >&2; exit 1; }

# ---- Debian packages --------------------------------------------------------------------------------

debian_packages() {
    missing=""
    # program of the edge hosts' PATH, and the package that has it
    while read -r program package; do
        env PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "command -v $program" >/dev/null || missing="$missing $package"
    done <<PROGRAMS
dockerd docker.io
docker docker-cli
podman podman
fuse-overlayfs fuse-overlayfs
sshd openssh-server
ssh openssh-client
sudo sudo
docker-registry docker-registry
skopeo skopeo
ip iproute2
nsenter util-linux
pgrep procps
openssl openssl
zstd zstd
tcsh tcsh
git git
curl curl
faketime faketime
PROGRAMS
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "these packages are missing, and there is no apt-get to install them:$missing"
    say "reading Debian's lists of packages"
    quietly apt-get update
    # Debian 12 has the command in the daemon's package.
    apt-cache show docker-cli >/dev/null 2>&1 || missing=$(echo "$missing" | sed 's/ docker-cli//')
    say "installing Debian packages:$missing"
    # The lab starts daemons of its own; the packages' own services need not run.
    policy=/usr/sbin/policy-rc.d
    (
        [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
        # shellcheck disable=SC2086  # a list of words
        DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends $missing
    )
}

# ---- Python -----------------------------------------------------------------------------------------

virtual_environment() {
    made_of="$top/pyproject.toml $top/setup.py $0 $(echo "$top"/provider/pulumi_iofog/adapters/gzip_tokens/*.c)"
    # shellcheck disable=SC2086  # a list of files
    wanted=$(cat $made_of | sha256sum | cut -c1-16)
    [ "$(cat "$top/.venv/installed" 2>/dev/null)" = "$wanted" ] && return 0
    say "creating the virtual environment .venv"
    [ -x "$top/.venv/bin/pip" ] || python3 -m venv "$top/.venv"
    (cd "$top" && quietly .venv/bin/pip install --disable-pip-version-check -e '.[dev]')
    # Pulumi looks for this file beside the installed package, which an editable one is not; without it, it
    # tries to download a plugin of the package's name, some seconds at each command.
    beside=$("$top/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pulumi_iofog
    mkdir -p "$beside" && cp "$top/provider/pulumi_iofog/pulumi-plugin.json" "$beside/"
    # So that `python -m lab` works in any folder.
    echo "$top" >"${beside%/*}/pulumi-iofog-lab.pth"
    echo "$wanted" >"$top/.venv/installed"
}

# Runs a command; its output goes to the log, and its end is shown if it fails.
quietly() {
    if ! "$@" >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "this failed: $* (full output in $log)"
    fi
}

main "$@"
