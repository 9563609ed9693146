"""ioFog's own engine: edgelet, a daemon that answers only root, with a containerd of its own.

    its command        loads, lists (a row a manifest, with one of its names) and removes
    containerd's root  read as root, as nothing else tells: every name, each image's layers, the blobs

A load lies: it says "loaded" where a layer is missing or damaged, so that it is the content's size and the files' bytes
that prove an image (see blobs.py). No command makes a container without a microservice.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pulumi_iofog import text
from pulumi_iofog.adapters.host.engines.answers import MACHINE, About, Listing
from pulumi_iofog.adapters.host.engines.base import LISTING_AT_MOST, LOADING_MAY_TAKE, Engine
from pulumi_iofog.adapters.host.engines.blobs import (
    LISTING,
    UNREADABLE,
    Blobs,
    are_damaged,
    given,
    parse_listing,
    unpacked,
)
from pulumi_iofog.adapters.host.engines.containerd_store import (
    CATALOG,
    CONTENT,
    SNAPSHOTTER,
    ContainerdStore,
    chain_ids,
    image_names,
    snapshot_folders,
)
from pulumi_iofog.adapters.host.shell import Result, says
from pulumi_iofog.adapters.host.sudo import Runner
from pulumi_iofog.errors import CorruptLayer, EngineError, VerificationFailed
from pulumi_iofog.oci.image import Descriptor, Digest, Image, Manifest, Pin, Reference, parse_config
from pulumi_iofog.transfer.inventory import HeldImage
from pulumi_iofog.transfer.load_folder import blob_path

NAMESPACE = "k8s.io"
"""Of containerd, where CRI keeps everything."""
NOT_FOUND = 4
"""The exit code for what is not there (docs/cli/README.md of eclipse-iofog/edgelet)."""
ARCHIVE = "image.tar"
# An ELF file says at its byte 18 what it is for; 'uname -m' says only what the kernel is.
ABOUT = rf"""edgelet image ls -o json >/dev/null || exit
edgelet system info -o json 2>/dev/null | grep -q '"containerEngine": *"\(docker\|podman\)"' && {{
echo 'it is set up to use docker or podman: name that one with engine=' >&2; exit 1; }}
{MACHINE}
arch=$(case $(od -An -tu1 -N19 "$(command -v edgelet)" | tr -s ' \n' ' ') in
' 127 69 76 70'*' 62 ') echo amd64;; ' 127 69 76 70'*' 183 ') echo arm64;;
' 127 69 76 70'*' 40 ') echo arm;; ' 127 69 76 70'*' 243 ') echo riscv64;;
*) uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/; s/armv.*/arm/';; esac)
echo "$arch $(edgelet system version -o json | sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' | head -n 1)"
root=/var/lib/edgelet-containerd/root
[ -d $root/{CONTENT} ] || root=$(for each in $(grep -l edgelet /proc/[0-9]*/cmdline 2>/dev/null); do
ls -l "${{each%/cmdline}}/fd"; done 2>/dev/null | sed -n 's|.* -> \(/.*\)/{CATALOG}$|\1|p' | head -n 1)
[ -n "$root" ] || {{ echo 'the data of its containerd is neither in /var/lib/edgelet-containerd/root' \
'nor where a process of edgelet has it open' >&2; exit 1; }}
printf '"%s" []\n' "$root" """
"""Finds out whether edgelet answers, and what it is; parse_about reads it."""

SURVEY = f"""rows=$(edgelet image ls -o json) || exit
printf '%s' "$rows" | tr -d '\\n'; echo
{LISTING}
calm() {{ for try in 1 2 3 4 5; do
sum=$(sha256sum < "$1"); packed=$(pack < "$1"); [ "$sum" = "$(sha256sum < "$1")" ] && break
done; printf '%s\\n' "$packed"; }}
calm {CATALOG}
cd {SNAPSHOTTER}/snapshots 2>/dev/null || exit 0
calm ../metadata.db; (for each in */fs; do echo "${{each%/fs}}"; done) | pack
"""
"""What the daemon lists, in a line; the blobs (see LISTING); and the catalog, read while nobody was writing it. Then
the snapshotter's, and after it, as a folder comes before its entry, which folders of layers are there. The working
folder is containerd's root."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What edgelet holds.

    Attributes:
        rows: by the digest of each manifest.
        lost: by their chain ids, layers that were unpacked, and whose folders are not there any more.
    """

    rows: Mapping[Digest, Mapping[str, Any]]
    store: ContainerdStore
    lost: Mapping[Digest, str] = field(default_factory=dict)

    def lost_of(self, manifest: Manifest) -> tuple[int, str] | None:
        """The lowest of an image's layers that is lost, and its folder."""
        config = self.store.small.get(manifest.config.digest)
        chain = chain_ids(parse_config(config)[1]) if config and self.lost else []
        return next(((at, self.lost[each]) for at, each in enumerate(chain) if each in self.lost), None)

    def config(self, name: str) -> Digest | None:
        """The id of the image that a name points at."""
        manifest = self.store.manifest(self.store.names.get(name))
        return manifest.config.digest if manifest else None

    def unproven(self, name: str) -> list[Digest]:
        """The blobs of a name's image whose bytes were not read; the manifest's were."""
        manifest = self.store.manifest(self.store.names.get(name))
        blobs = (manifest.config, *manifest.layers) if manifest else ()
        return [blob.digest for blob in blobs if blob.digest not in self.store.small]


class Edgelet(Engine):
    """See base.Engine."""

    cli = daemon = "edgelet"
    ping = "edgelet image ls -o json >/dev/null"
    _gone = 0
    """Which layer of the image, from the bottom up, was found to be lost."""

    def __init__(self, shell: Runner, agent: str, about: About, where: str = "") -> None:
        super().__init__(shell, agent, about, where)
        self._blobs = Blobs(shell, agent, self.root)

    # ---- questions ----------------------------------------------------------------------------------

    def image_id(self, reference: Reference) -> str | None:
        return self._named(self._survey(f"looking for {reference}"), reference)

    def images(self, reference: Reference) -> Listing:
        survey = self._survey("listing images")
        id_ = self._named(survey, reference)
        # One that lacks something is none: so just that is sent.
        whole = id_ and not any(self._unfit(survey, name, id_) for name in self.traits.names(reference))
        return Listing(id_ if whole else None, survey.store.images(), ())

    def _named(self, survey: Survey, reference: Reference) -> Digest | None:
        ids = {survey.config(name) for name in self.traits.names(reference)}
        return ids.pop() if len(ids) == 1 else None

    def _survey(self, doing: str) -> Survey:
        result = self._shell.run(f"cd {shlex.quote(self.root)} || exit\n{SURVEY}", most=LISTING_AT_MOST)
        if not result.ok:
            raise self._failed(doing, result)
        try:
            survey = parse_survey(result.text)
        except UNREADABLE:
            raise EngineError(self._agent, doing, f"what is under {self.root} cannot be read") from None
        return replace(survey, store=survey.store.without(self._blobs.damaged))

    # ---- loading ------------------------------------------------------------------------------------

    def _load_script(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> str:
        blobs = given(image, carried)
        files = " ".join(["oci-layout", "index.json", *map(blob_path, blobs)])
        # The daemon opens the file by itself: it has another working folder, and takes no pipe. It may still read one
        # that an earlier try has left, so that is not written over.
        archive = shlex.quote(f"{folder}/{ARCHIVE}")
        return (
            f"{self._blobs.remove_damaged(blobs)}"
            f"cd {shlex.quote(folder)} && rm -f {ARCHIVE} && tar -cf {ARCHIVE} {files}"
            f" && edgelet image load -f {archive} -o json; code=$?; rm -f {ARCHIVE};"
            f" [ $code = 0 ] && edgelet image ls -o json; exit $code"
        )

    def load(self, image: Image, folder: str, carried: Mapping[Digest, Descriptor]) -> None:
        super().load(image, folder, carried)
        self._blobs.loaded(given(image, carried))

    @property
    def replaced(self) -> Collection[Digest]:
        return self._blobs.removed

    def _complaint(self, result: Result, image: Image) -> str:
        self._blobs.note_removed(result)
        if not result.ok:
            return result.error
        try:
            loaded, end = json.JSONDecoder().raw_decode(result.text)
            rows = _rows(json.loads(result.text[end:]))
            there = {(each["name"], each["id"]) for each in loaded.get("loaded") or ()}
        except UNREADABLE:
            return f"its answer cannot be read: {text.excerpt(result.text, 160)}"
        target = image.manifest.manifest_digest
        missing = [name for name in self.traits.names(image.reference) if (name, target) not in there]
        if missing:
            return f"no image is loaded as {' and '.join(missing)}"
        return _incomplete(image.manifest, rows.get(target))

    def _is_damaged(self, result: Result, *, whole: bool) -> bool:
        # It drops a layer whose bytes are wrong, and says nothing.
        return result.ok and whole

    def give_back(self, source: HeldImage, wanted: Collection[Digest], folder: str) -> Mapping[Digest, str]:
        out, doing = shlex.quote(folder), f"taking layers out of image {source.id}"
        blobs = {
            layer: blob for layer, blob in zip(source.diff_ids, source.blobs or (), strict=False) if layer in wanted
        }
        if not blobs.keys() >= set(wanted):
            raise CorruptLayer(self._agent, doing, "they are not there")
        made = "".join(f" && {_plain(blob, self.root)} > {out}/{layer.hex}.tar" for layer, blob in blobs.items())
        # What root writes must belong to the user, who removes it.
        script = f'mkdir -p {out}{made}; code=$?; chown -R "$(stat -c %u {out}/../..)" {out}/..; exit $code'
        result = self._shell.run(script, timeout=LOADING_MAY_TAKE)
        if not result.ok:
            raise CorruptLayer(self._agent, doing, result.error)
        return {layer: f"{folder}/{layer.hex}.tar" for layer in blobs}

    # ---- proving, removing --------------------------------------------------------------------------

    def prove_held(self, blobs: Collection[Descriptor]) -> None:
        self._blobs.require(blob.digest for blob in blobs)

    def verify(self, pin: Pin) -> tuple[str, ...]:
        doing, names = f"verifying {pin.reference} ({pin.platform})", self.traits.names(pin.reference)
        survey = self._survey(doing)
        why = next(filter(None, (self._unfit(survey, name, pin.image_id) for name in names)), "")
        if not why:
            # Sizes are what containerd has written down, and the files': only the bytes prove a blob.
            damaged = self._blobs.prove(digest for name in names for digest in survey.unproven(name))
            why = are_damaged(damaged) if damaged else ""
        if why:
            raise VerificationFailed(self._agent, doing, f"no container can be created: {why}")
        return names

    def _unfit(self, survey: Survey, name: str, want: Digest) -> str:
        """Why no container of the image can be made by that name; nothing if one can."""
        target = survey.store.names.get(name)
        if target is None:
            return f"no image is called {name}"
        manifest = survey.store.manifest(target)
        if manifest is None:
            return f"the manifest of {name} is missing or damaged"
        if manifest.config.digest != want:
            return f"got image {manifest.config.digest}, want {want}"
        incomplete = _incomplete(manifest, survey.rows.get(target))
        # What it counts is what it has written down; it does not look whether the file is still there.
        lost = survey.store.lacks(manifest)
        why = incomplete or (are_damaged([lost]) if lost else "")
        if why or (gone := survey.lost_of(manifest)) is None:
            return why
        self._gone, folder = gone
        return f"the folder of an unpacked layer is gone ({self.root}/{SNAPSHOTTER}/snapshots/{folder}/fs)"

    def renew(self, image: Image) -> None:
        # CRI unpacks a layer once, and looks no more whether its folder is there.
        survey, names = (
            self._survey(f"removing {image.reference}, which is damaged"),
            self.traits.names(image.reference),
        )
        damaged, own = image.diff_ids[self._gone], {*names, image.image_id}
        sharing = {each.id for each in survey.store.images() if damaged in each.diff_ids}
        others = [name for name, target in survey.store.names.items() if target in sharing and name not in own]
        others = [name for name in others if not name.startswith("sha256:")]
        if others:
            why = f"{text.listing(others)} have that layer too"
        elif not self.remove(image.pin):
            why = "a container uses it"
        elif chain_ids(image.diff_ids)[self._gone] in self._survey(f"looking for {image.reference}").lost:
            why = "its names are removed, but edgelet keeps the layer until images that nobody uses are pruned"
        else:
            return
        raise self._not_renewed(image, why, [*names, *others])

    def _removing(self, names: Sequence[str]) -> str:
        return "; ".join([*(f"edgelet image rm {name}" for name in names), "edgelet image prune"])

    def remove(self, pin: Pin) -> bool:
        doing = f"removing {pin.reference}"
        survey = self._survey(doing)
        ours = [name for name in self.traits.names(pin.reference) if survey.config(name) == pin.image_id]
        targets = {survey.store.names[name] for name in ours}
        if any(survey.rows.get(target, {}).get("inUse") for target in targets):
            return False
        for name in ours:
            result = self._shell.run(f"edgelet image rm {shlex.quote(name)}", timeout=300.0)
            if not result.ok and result.exit_code != NOT_FOUND:
                raise self._failed(doing, result)
        self._free(survey, {*ours, pin.image_id}, pin.image_id)
        return True

    def _free(self, survey: Survey, ours: Collection[str], image_id: Digest) -> None:
        """Free the disk from an image whose names are gone.

        CRI has given it a name of its own, its id, which only a prune takes. But that takes all such names, names
        without a tag, and AI models that nobody uses: so it is done only where nothing but this image goes.
        """
        names = survey.store.names
        kept = {target for name, target in names.items() if name not in ours and not _dangles(name)}
        others = [name for name, target in names.items() if name not in ours and _dangles(name) and target not in kept]
        untagged = [name for name in names if name not in ours and ":" not in name]
        if names.get(image_id) in {None, *kept} or others or untagged or self._has_models():
            return
        self._shell.run("edgelet image prune", timeout=300.0)

    def _has_models(self) -> bool:
        result = self._shell.run("edgelet model ls -o json")
        # Older ones know no models.
        return not (says(result, "unknown command") or (result.ok and '"name"' not in result.text))


def parse_survey(answer: str) -> Survey:
    """The answer of SURVEY. UNREADABLE if that cannot be read."""
    rows, listed, small, catalog, *snapshots = answer.splitlines()
    sizes, contents = parse_listing(listed, small)
    store = ContainerdStore(image_names(unpacked(catalog), NAMESPACE), sizes, contents)
    return Survey(_rows(json.loads(rows)), store, _lost(*snapshots) if len(snapshots) == 2 else {})


def _lost(database: str, folders: str) -> dict[Digest, str]:
    """The last two lines of SURVEY: unpacked layers whose folders are not there."""
    there = set(unpacked(folders).decode().split())
    return {chain: name for chain, name in snapshot_folders(unpacked(database), NAMESPACE).items() if name not in there}


def _rows(answer: Any) -> dict[Digest, Mapping[str, Any]]:
    """The rows of ``edgelet image ls``, by the digest of each manifest."""
    return {Digest(row["digest"]): row for row in answer["items"] or ()}


def _incomplete(manifest: Manifest, row: Mapping[str, Any] | None) -> str:
    """What is wrong with the size of an image's content; nothing if it is complete.

    containerd proves a blob's digest when it takes it in, and counts only what it has: so equal sizes are enough.
    """
    whole = len(manifest.raw) + manifest.size
    got = row.get("contentSizeBytes") if row else None
    return "" if got == whole else f"edgelet has {got or 0} of the {whole} bytes of its content"


def _plain(blob: Descriptor, root: str) -> str:
    """The command that writes a held blob's plain tar."""
    file = shlex.quote(f"{root}/{CONTENT}/{blob.digest.hex}")
    command = {"gzip": "gzip -dcq", "zstd": "zstd -dcq --long=31", "none": "cat"}[blob.compression]
    return f"{command} < {file}"


def _dangles(name: str) -> bool:
    """Whether a prune takes a name that no container uses."""
    return name.startswith("sha256:") or ":" not in name
