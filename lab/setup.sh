#!/bin/sh
# Installs whatever the lab, the demo and the tests need and is still missing. Safe to repeat; with everything
# installed it takes a second. Debian packages go into the system, everything else into .venv and into
# the cache folder ${XDG_CACHE_HOME:-~/.cache}/pulumi-iofog-lab.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pulumi-iofog-lab
log=$cache/setup.log

# The versions that the demo and the tests are run with.
PULUMI=v3.259.0
PULUMI_LANGUAGE_PYTHON=v3.79.0 # the last one that is part of the SDK's module; it drives newer engines
MOBY=v2.0.0-beta.24            # Docker 29
CONTAINERD=v2.4.2

main() {
    [ "$(id -u)" = 0 ] || fail "the lab creates network namespaces and starts engines: run this as root"
    mkdir -p "$cache"
    # One at a time: checkouts share the cache and the machine's packages.
    exec 9>"$cache/setup.lock"
    flock 9
    debian_packages
    virtual_environment
    { docker_29; edgelet; } &
    building=$!
    pulumi
    wait "$building"
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
docker docker.io
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
git git
PROGRAMS
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || fail "these packages are missing, and there is no apt-get to install them:$missing"
    say "installing Debian packages:$missing"
    quietly apt-get update
    # The lab starts daemons of its own; the packages' own services need not run.
    policy=/usr/sbin/policy-rc.d
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy && chmod +x $policy && trap 'rm -f $policy' EXIT; }
    # shellcheck disable=SC2086  # a list of words
    DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends $missing
}

# ---- Python -----------------------------------------------------------------------------------------

virtual_environment() {
    wanted=$(cat "$top/pyproject.toml" "$top/setup.py" "$top"/provider/pulumi_iofog/adapters/gzip_tokens/*.c | sha256sum | cut -c1-16)
    [ "$(cat "$top/.venv/installed" 2>/dev/null)" = "$wanted" ] && return 0
    say "creating the virtual environment .venv"
    [ -x "$top/.venv/bin/pip" ] || python3 -m venv "$top/.venv"
    (cd "$top" && quietly .venv/bin/pip install --disable-pip-version-check -e '.[dev]')
    # Pulumi looks for this file beside the installed package, which an editable one is not; without it, it
    # tries to download a plugin of the package's name, some seconds at each command.
    beside=$("$top/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pulumi_iofog
    mkdir -p "$beside" && cp "$top/provider/pulumi_iofog/pulumi-plugin.json" "$beside/"
    echo "$wanted" >"$top/.venv/installed"
}

# ---- the Pulumi engine: on PATH, else the official installer, else built from its Go modules ----------

pulumi() {
    if command -v pulumi >/dev/null && command -v pulumi-language-python >/dev/null; then
        return 0
    fi
    [ -x "$cache/pulumi/bin/pulumi" ] && [ -x "$cache/pulumi/bin/pulumi-language-python" ] && return 0
    say "no pulumi on PATH: running Pulumi's installer"
    if timeout 300 "$top/.venv/bin/python" - "$cache/pulumi" "${PULUMI#v}" >>"$log" 2>&1 <<'PYTHON'
import sys
from pulumi.automation import PulumiCommand
from semver import VersionInfo
PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))
PYTHON
    then
        return 0
    fi
    say "the installer failed: building pulumi $PULUMI from its Go modules (5 to 10 minutes)"
    rm -rf "$cache/pulumi"
    mkdir -p "$cache/pulumi/bin"
    go_tool "$cache/pulumi/bin/pulumi" "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi@$PULUMI" \
        "-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=$PULUMI"
    go_tool "$cache/pulumi/bin/pulumi-language-python" \
        "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python@$PULUMI_LANGUAGE_PYTHON" ""
    sdk=$(go mod download -json "github.com/pulumi/pulumi/sdk/v3@$PULUMI" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
    install -m 755 "$sdk/python/cmd/pulumi-language-python-exec" "$sdk/python/dist/pulumi-resource-pulumi-python" \
        "$cache/pulumi/bin/"
}

# ---- Docker 29, whose default is containerd's image store -----------------------------------------------

docker_29() {
    bin=$cache/docker-29/bin
    [ -x "$bin/dockerd" ] && [ -x "$bin/containerd" ] && [ -x "$bin/containerd-shim-runc-v2" ] && return 0
    say "building Docker 29 from its Go modules (5 to 10 minutes)"
    mkdir -p "$bin"
    go_tool "$bin/containerd" "github.com/containerd/containerd/v2/cmd/containerd@$CONTAINERD" ""
    go_tool "$bin/containerd-shim-runc-v2" "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2@$CONTAINERD" ""
    go_tool "$bin/dockerd" "github.com/moby/moby/v2/cmd/dockerd@$MOBY" \
        "-X github.com/moby/moby/v2/dockerversion.Version=29.0.0-lab"
}

# ---- the lab's own edgelet, from lab/edgelet; its containerd is Docker 29's -------------------------------

edgelet() {
    target=$(cd "$top" && .venv/bin/python -c 'from lab.cache import edgelet_target; print(edgelet_target())')
    [ -x "$target" ] && return 0
    need_go lab/edgelet
    say "building lab/edgelet"
    mkdir -p "${target%/*}"
    (
        cd "$top/lab/edgelet"
        CGO_ENABLED=0 quietly go build -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w" -o "$target.new" .
        mv "$target.new" "$target"
    )
}

need_go() { command -v go >/dev/null || fail "no go on PATH, which building $1 needs: install Go 1.24 or newer (go.dev/dl)"; }

# go_tool TARGET MODULE@VERSION LDFLAGS: builds in a module of its own, as `go install` refuses replaced ones.
go_tool() {
    need_go "${2%@*}"
    work=$(mktemp -d)
    (
        cd "$work"
        quietly go mod init build
        quietly go get -tool "$2"
        CGO_ENABLED=0 quietly go build -trimpath -ldflags "-s -w $3" -o "$1.new" "${2%@*}"
        mv "$1.new" "$1"
    )
    rm -rf "$work"
}

# Runs a command; its output goes to the log, and its end is shown if it fails.
quietly() {
    if ! "$@" >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "this failed: $* (full output in $log)"
    fi
}

main
