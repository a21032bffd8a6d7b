"""What must hold for every store and every rule, tried on many small ones made by chance, always the same."""

import shutil
from contextlib import suppress
from fnmatch import fnmatchcase
from random import Random

import pytest

from jobs.tasks.retention import carry_out
from jobs.tasks.retention_plan import plan
from jobs.tasks.retention_rules import Rule
from jobs.tasks.store import Store, parse

DAY = 86_400
NOW = 1000 * DAY
REPOSITORIES = ("ci/a", "ci/b", "base")
TAGS = ("v1.0.0", "v1.0.1", "v1.1.0-rc.1", "v2.0.0", "latest", "pr-1", "pr-2", "pr-3")
LAYERS = tuple(f"layer {each}" for each in range(6))
SEEDS = range(60)


def fill(images, random):
    """Push images, indexes, signatures and SBOMs at random times, over tags that are there already too."""
    for repository in random.sample(REPOSITORIES, random.randint(1, 3)):
        pushed = []
        for _ in range(random.randint(1, 10)):
            at = NOW - random.randint(0, 60) * DAY // 2
            kind = random.choice(("image", "image", "index", "referrer", "cosign", "hash"))
            if kind == "hash":  # of no image: a tag made of a content's hash, or what a lost image leaves
                name = f"sha256-{random.choice('abc') * 64}{random.choice(('', '', '.sig'))}"
                images.tag(repository, name, images.manifest(repository, [random.choice(LAYERS)], at), at)
                continue
            if kind == "referrer" and pushed:
                images.referrer(repository, random.choice(pushed), f"sbom {random.random()}", at)
                continue
            if kind == "cosign" and pushed:
                subject = random.choice(pushed).replace(":", "-")
                images.image(repository, f"{subject}.sig", f"signature {random.random()}", pushed=at)
                continue
            if kind == "index" and pushed:
                digest = images.index(repository, *random.sample(pushed, min(2, len(pushed))), pushed=at)
            else:
                digest = images.manifest(repository, random.sample(LAYERS, random.randint(1, 3)), at)
            pushed.append(digest)
            for tag in random.sample(TAGS, random.choice((0, 1, 1, 2))):
                images.tag(repository, tag, digest, at)


def rules(random):
    return [rule(random) for _ in range(random.randint(1, 3))]


def rule(random):
    keeps = {
        "keepTags": random.choice((["v*"], ["latest"], ["pr-[12]", "v2*"], ["*"], ["v*", "sha256-a*"])),
        "keepNewest": random.randint(1, 4),
        "keepYoungerThan": random.randint(1, 40) * DAY,
        "keepSemver": {"minors": random.randint(1, 2), "patches": random.randint(1, 2)},
    }
    chosen = random.sample(sorted(keeps), random.randint(1, 2))
    patterns = random.choice((["ci/*"], ["*"], ["ci/a"]))
    return Rule.of({"repositories": patterns, **{key: keeps[key] for key in chosen}})


# A second look at the store, that shares nothing with the one under test but how a manifest is read.


def links(images):
    """Every tag of every repository with its manifest, and every manifest of every repository."""
    tags, manifests = {}, set()
    for link in images.root.glob("repositories/**/link"):
        repository, _, path = str(link.relative_to(images.root / "repositories")).partition("/_manifests/")
        kind, name, *rest = path.split("/")
        if kind == "revisions":
            manifests.add((repository, f"sha256:{rest[0]}"))
        elif rest[0] == "current":
            tags[repository, name] = link.read_text()
    return tags, manifests


def data(images, digest):
    value = digest.removeprefix("sha256:")
    return images.root / "blobs" / "sha256" / value[:2] / value / "data"


def collect(images):
    """Remove the blobs that no manifest of any repository names, as `registry garbage-collect` does."""
    marked = set()
    for _, digest in links(images)[1]:
        manifest = parse(data(images, digest).read_bytes())
        marked |= {digest, *manifest.blobs, *manifest.children}
    freed = 0
    for file in images.root.glob("blobs/sha256/*/*/data"):
        if f"sha256:{file.parent.name}" not in marked:
            freed += file.stat().st_size
            shutil.rmtree(file.parent)
    return freed


def pulled(images, tags):
    """Pull tags by all that comes with them, manifests and blobs. Fails where the registry would."""
    manifests = links(images)[1]

    def pull(repository, digest):
        assert (repository, digest) in manifests, f"{repository} has lost {digest}"
        manifest = parse(data(images, digest).read_bytes())
        parts = {blob: data(images, blob).read_bytes() for blob in manifest.blobs}
        for child in manifest.children:
            parts |= pull(repository, child)
        return parts

    return {(repository, tag): pull(repository, digest) for (repository, tag), digest in tags.items()}


def subject(tag):
    """Name the manifest that a tag of referrers is about; None for any other tag."""
    return tag.partition(".")[0].replace("-", ":") if tag.startswith("sha256-") else None


def staying(tags, made):
    gone, _ = removed_by(made)
    return {key: digest for key, digest in tags.items() if key not in gone}


def removed_by(made):
    tags = {(each.repository, tag.name) for each in made.repositories for tag in each.tags}
    manifests = {(each.repository, one.digest) for each in made.repositories for one in each.manifests}
    return tags, manifests


@pytest.fixture(params=SEEDS)
def case(request, images):
    random = Random(request.param)  # noqa: S311 - nothing secret
    fill(images, random)
    collect(images)  # so that what is freed later is retention's
    return Store(images.directory), rules(random), random


def test_what_goes_is_what_the_plan_said_and_what_stays_is_whole(images, case):
    store, chosen, _ = case
    tags, manifests = links(images)
    made = plan(store, chosen, NOW)
    gone_tags, gone_manifests = removed_by(made)
    before = pulled(images, staying(tags, made))

    assert plan(Store(images.directory), chosen, NOW) == made, "the same store gives another plan"
    assert links(images) == (tags, manifests), "a plan changes the store"

    carry_out(store, made)
    left_tags, left_manifests = links(images)
    assert tags.keys() - left_tags.keys() == gone_tags, "not exactly the tags of the plan went"
    assert manifests - left_manifests == gone_manifests, "not exactly the manifests of the plan went"
    freed = collect(images)
    assert pulled(images, left_tags) == before, "a tag that stays has lost something"
    assert freed == sum(each.bytes for each in made.repositories), "the plan says other bytes"
    again = plan(Store(images.directory), chosen, NOW)
    assert removed_by(again) == (set(), set()), "a second run removes something"


def test_no_tag_goes_that_the_first_rule_that_fits_keeps_nor_a_signature_before_its_image(images, case):
    store, chosen, _ = case
    tags, manifests = links(images)
    pushed = {
        key: (images.manifests(key[0]) / "tags" / key[1] / "current" / "link").stat().st_mtime for key in tags
    }
    made = plan(store, chosen, NOW)
    carry_out(store, made)
    left_manifests = links(images)[1]

    for repository, tag in removed_by(made)[0]:
        first, *_ = [
            each for each in chosen if any(fnmatchcase(repository, pattern) for pattern in each.repositories)
        ]
        if (repository, subject(tag)) in manifests:
            assert (repository, subject(tag)) not in left_manifests
            continue
        at = pushed[repository, tag]
        counting = [
            name
            for (of, name), time in pushed.items()
            if of == repository and time >= at and name != tag and (of, subject(name)) not in manifests
        ]
        # One named like a digest takes no image's place.
        newer = counting if subject(tag) else [name for name in counting if not subject(name)]
        assert not any(fnmatchcase(tag, pattern) for pattern in first.keep_tags)
        assert len(newer) >= (first.keep_newest or 0)
        assert NOW - at >= (first.keep_younger_than or 0)


def test_a_run_that_is_cut_off_loses_nothing_that_stays(images, case, monkeypatch):
    store, chosen, random = case
    tags, _ = links(images)
    made = plan(store, chosen, NOW)
    before = pulled(images, staying(tags, made))
    left = random.randint(0, 5)

    def cut_off_later(directory, **options):
        nonlocal left
        left -= 1
        if left < 0:
            raise InterruptedError
        remove(directory, **options)

    remove = shutil.rmtree
    with monkeypatch.context() as patched, suppress(InterruptedError):
        patched.setattr(shutil, "rmtree", cut_off_later)
        carry_out(store, made)

    left_tags, left_manifests = links(images)
    assert all((of, digest) in left_manifests for (of, _), digest in left_tags.items()), (
        "a tag lost its manifest"
    )
    carry_out(store, plan(Store(images.directory), chosen, NOW))
    collect(images)
    after = pulled(images, links(images)[0])
    assert before.items() <= after.items()
    waiting = after.keys() - before.keys()  # with their image, which lost its tag but is too young to go
    assert all(tag.startswith("sha256-") for _, tag in waiting)
