"""Blobs whose media type says something else than their bytes are found before a byte is sent."""

from __future__ import annotations

import gzip

import pytest

from pulumi_iofog.oci.image import OCI_LAYER, Descriptor, Layer, sha256
from pulumi_iofog.rollout.labels import Mislabelled, as_labelled
from pulumi_iofog.transfer.encodings import AsIs, Encoding, Part, Recoded

TAR = b"etc/base" + bytes(1016)
GZIP, ZSTD = gzip.compress(TAR, mtime=0), b"\x28\xb5\x2f\xfd rest"


def read(data: bytes, label: str, *, offset: int = 0, chunk: int = 1, way: Encoding | None = None) -> bytes:
    blob = Descriptor(sha256(data), len(data), f"{OCI_LAYER}{label}")
    chunks = [data[at : at + chunk] for at in range(offset, len(data), chunk)]
    return b"".join(as_labelled(Part(Layer(sha256(TAR), blob), way or AsIs()), lambda offset: iter(chunks), offset))


@pytest.mark.parametrize("chunk", [1, 3, 4, 5000])
@pytest.mark.parametrize(("data", "label"), [(TAR, ""), (GZIP, "+gzip"), (ZSTD, "+zstd"), (b"", ""), (b"ab", "")])
def test_what_is_as_it_says_passes(data: bytes, label: str, chunk: int) -> None:
    assert read(data, label, chunk=chunk) == data


@pytest.mark.parametrize(
    ("data", "label"), [(TAR, "+gzip"), (GZIP, ""), (GZIP, "+zstd"), (ZSTD, "+gzip"), (b"", "+zstd")]
)
def test_what_is_not_is_told_before_a_byte(data: bytes, label: str) -> None:
    with pytest.raises(Mislabelled) as caught:
        read(data, label)
    assert caught.value.blob.digest == sha256(data)


def test_only_the_beginning_of_a_blob_as_it_is_tells() -> None:
    assert read(ZSTD, "+gzip", offset=4) == ZSTD[4:]
    assert read(ZSTD, "+gzip", way=Recoded(9, 23)) == ZSTD
