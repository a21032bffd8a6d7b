"""One image of a store as an OCI image layout, which Trivy reads (OCI image specification, image-layout.md).

Its blobs are copies: Trivy takes no links to files (go-containerregistry, layout/blob.go), and a hard link
cannot leave the volume. It knows no digest but sha256 (v1/hash.go): in the manifest's copy a layer that was
pushed by another has the one by which the store keeps it.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.tasks.scan_targets import Target
from jobs.tasks.store import Store

_CHUNK = 1024 * 1024


@contextmanager
def layout(folder: Path, store: Store, image: Target) -> Iterator[Path]:
    """Lay out an image in `folder`, which is there only meanwhile. Raises OSError."""
    assert image.digest  # noqa: S101 - for the type checker: one without cannot be scanned
    try:
        manifest, text = store.manifest(image.digest), store.text(image.digest)
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for named in manifest.blobs if manifest else ():
            kept = _copy(store, store.kept_as(image.repository, named), blobs)
            text = text.replace(named.encode(), kept.encode())
        value = hashlib.sha256(text).hexdigest()
        (blobs / value).write_bytes(text)
        descriptor = {"mediaType": image.media_type, "digest": f"sha256:{value}", "size": len(text)}
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))
        (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(store: Store, blob: str, blobs: Path) -> str:
    """Copy a blob, under its sha256; that digest. Raises OSError."""
    copy, hashed = blobs / "copy", hashlib.sha256()
    with store.open(blob) as source, copy.open("wb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            if not blob.startswith("sha256:"):
                hashed.update(chunk)
    value = blob.partition(":")[2] if blob.startswith("sha256:") else hashed.hexdigest()
    copy.rename(blobs / value)
    return f"sha256:{value}"
