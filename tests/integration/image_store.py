"""A registry's images as a client sees them, and their blobs as the disk has them."""

import base64
import hashlib
import io
import itertools
import json
import os
import re
import tarfile
import threading
import time

import httpx

from devcluster.stack import DEMO_USER

MIB = 1024 * 1024
LAYER = "application/vnd.oci.image.layer.v1.tar"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = ", ".join(
    [
        INDEX,
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)


class Store:
    """The API as a client uses it, and the directory of the blobs as the disk has it."""

    def __init__(self, registry, folder):
        self.registry, self.folder, self._count = registry, folder, 0
        token = base64.b64encode(f"{DEMO_USER}:{registry.password}".encode()).decode()
        self.client = httpx.Client(
            base_url=f"http://{registry.address}/v2",
            headers={"Authorization": f"Basic {token}", "Accept": MANIFESTS},
            timeout=30,
        )

    def layer(self, size=MIB, content=None):
        """A tar file with random content."""
        self._count += 1
        file = self.folder / f"layer-{self._count}.tar"
        with tarfile.open(file, "w") as archive:
            data = content or os.urandom(size)
            entry = tarfile.TarInfo("data")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        return file

    def push(self, name, *layers):
        """Push an image of layers; its digest."""
        options = [option for layer in layers for option in ("--new_layer", str(layer))]
        output = self.registry.crane("append", *options, "--new_tag", f"{self.registry.address}/{name}")
        return re.search(r"sha256:[0-9a-f]{64}", output.splitlines()[-1])[0]

    def index(self, name, *children):
        """Push an index of images that are there; its digest."""
        repository = f"{self.registry.address}/{name.partition(':')[0]}"
        options = [option for child in children for option in ("--manifest", f"{repository}@{child}")]
        output = self.registry.crane("index", "append", *options, "--tag", f"{self.registry.address}/{name}")
        return re.search(r"sha256:[0-9a-f]{64}", output.splitlines()[-1])[0]

    def empty_index(self, name):
        """Push an index of nothing, so that the repository gets no directory for layers."""
        repository, tag = name.split(":")
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
        headers = {"Content-Type": INDEX}
        self.client.put(f"/{repository}/manifests/{tag}", content=content, headers=headers).raise_for_status()
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def untag(self, name):
        repository, tag = name.split(":")
        assert self.client.delete(f"/{repository}/manifests/{tag}").status_code == 202

    def has(self, repository, digest):
        return self.client.get(f"/{repository}/manifests/{digest}").status_code == 200

    def start_push(self):
        """What the registry says to one who wants to push a layer."""
        return self.client.post("/gc/any/blobs/uploads/")

    def takes_pushes(self):
        """Whether one may; it does not answer while it restarts."""
        try:
            return self.start_push().status_code == 202
        except httpx.TransportError:
            return False

    def data(self, digest):
        """Where the disk has a blob."""
        value = digest.removeprefix("sha256:")
        return self.blobs / value[:2] / value / "data"

    @property
    def root(self):
        return self.registry.cluster.instance.registry_volume / "docker" / "registry" / "v2"

    @property
    def blobs(self):
        return self.root / "blobs" / "sha256"

    @property
    def repositories(self):
        return self.root / "repositories"

    def add_rubbish(self, count):
        """Blobs that no image uses: so many that a collection takes seconds."""
        for number in range(count):
            digest = hashlib.sha256(f"rubbish {time.time()} {number}".encode()).hexdigest()
            file = self.blobs / digest[:2] / digest / "data"
            self._make(file.parent)
            file.write_bytes(b"rubbish")
            self._own(file)

    def big_layer(self, repository, size):
        """Put a layer of zeros into a repository without a push, which would take as long as it is big."""
        start, rest = os.urandom(MIB), bytes(MIB)
        found = hashlib.sha256(start)
        for _ in range(size // MIB - 1):
            found.update(rest)
        digest = found.hexdigest()
        file = self.blobs / digest[:2] / digest / "data"
        link = self.repositories / repository / "_layers" / "sha256" / digest / "link"
        for made in (file, link):
            self._make(made.parent)
        with file.open("wb") as data:
            data.write(start)
            data.truncate(size)
        link.write_text(f"sha256:{digest}")
        for made in (file, link):
            self._own(made)
        return {"mediaType": LAYER, "digest": f"sha256:{digest}", "size": size}

    def layer_by_sha512(self, repository):
        """Push a layer as a client does that names it by its sha512."""
        content = os.urandom(1000)
        digest = f"sha512:{hashlib.sha512(content).hexdigest()}"
        upload = self.client.post(f"/{repository}/blobs/uploads/").headers["Location"].removeprefix("/v2")
        self.client.put(f"{upload}&digest={digest}", content=content).raise_for_status()
        return {"mediaType": LAYER, "digest": digest, "size": len(content)}

    def push_with(self, name, layer, *big):
        """Push an image of a layer, with more that are there; its digest."""
        repository = name.partition(":")[0]
        small = self.client.get(f"/{repository}/manifests/{self.push(name, layer)}").json()
        manifest = {**small, "layers": [*small["layers"], *big]}
        return self.push_manifest(name, json.dumps(manifest).encode(), small["mediaType"])

    def push_manifest(self, name, content, media_type):
        """Push a manifest as it is written; its digest. The registry has to take it."""
        repository, tag = name.split(":")
        answer = self.client.put(
            f"/{repository}/manifests/{tag}", content=content, headers={"Content-Type": media_type}
        )
        assert answer.status_code == 201, answer.text
        return answer.headers["Docker-Content-Digest"]

    def tree(self):
        """Every path of the store, but those of uploads, with what would show that it was written."""
        return {
            path: (found.st_mode, found.st_size, found.st_mtime_ns, found.st_ino)
            for path in self.root.rglob("*")
            if "_uploads" not in path.parts and (found := path.stat())
        }

    def _make(self, folder):
        if not folder.exists():
            self._make(folder.parent)
            folder.mkdir()
            self._own(folder)

    def _own(self, path):
        """Give it to whom the store belongs."""
        owner = self.blobs.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def digests(self):
        return {f"sha256:{file.parent.name}" for file in self.blobs.glob("*/*/data")}


class Puller(threading.Thread):
    """Pulls one image all the time; remembers the mode in which the registry answered, and wrong content."""

    def __init__(self, store, repository, digest):
        super().__init__(daemon=True)
        self.store, self.repository, self.digest = store, repository, digest
        self.pulls, self.wrong, self.stopped = [], [], threading.Event()

    def run(self):
        while not self.stopped.is_set():
            try:
                mode = self.pull()
            except (httpx.HTTPError, AssertionError):
                mode = None  # it failed
            self.pulls.append((time.monotonic(), mode))
            time.sleep(0.01)

    def pull(self):
        manifest = self._get(f"manifests/{self.digest}", self.digest)
        for layer in manifest.json()["layers"]:
            mode = self._get(f"blobs/{layer['digest']}", layer["digest"]).headers["X-Registry-Mode"]
        return mode

    def _get(self, path, digest):
        answer = self.store.client.get(f"/{self.repository}/{path}")
        assert answer.status_code == 200
        if f"sha256:{hashlib.sha256(answer.content).hexdigest()}" != digest:
            self.wrong.append(digest)
        return answer

    @property
    def modes(self):
        """The modes of the pulls that did not fail, each once for a stretch of them."""
        return [mode for mode, _ in itertools.groupby(mode for _, mode in self.pulls if mode)]

    @property
    def outages(self):
        """Stretches of failed pulls: seconds from the last good one to the next, and the modes of both."""
        found, good = [], None
        for before, after in itertools.pairwise(self.pulls):
            if before[1]:
                good = before
            if after[1] and not before[1]:
                found.append((after[0] - good[0], good[1], after[1]))
        return found
