"""What retention removes: the tags that no rule keeps, and the manifests that nothing that stays needs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from jobs.tasks.manifest_graph import Graph, belonging, reached, subject_of
from jobs.tasks.retention_rules import Rule, length
from jobs.tasks.store import Repository, Store, StoreError, Tag

# Seconds. The parts of a multi-arch image are pushed without a tag, and the index that names them comes last.
GRACE = 86_400


@dataclass(frozen=True)
class GoneTag:
    """A tag that goes."""

    name: str
    digest: str | None
    pushed: float  # seconds since 1970
    why: str


@dataclass(frozen=True)
class GoneManifest:
    """A manifest that goes from a repository."""

    digest: str
    why: str


@dataclass(frozen=True, kw_only=True)
class RepositoryPlan:
    """What goes from one repository."""

    repository: str
    rule: str
    staying: int  # tags
    tags: tuple[GoneTag, ...] = ()
    manifests: tuple[GoneManifest, ...] = ()
    bytes: int = 0  # in blobs that nothing else uses: the next garbage collection frees them
    left_alone: str | None = None  # why nothing goes where something would


@dataclass(frozen=True)
class Plan:
    """What goes from the store: the repositories of which there is something to say, in order."""

    repositories: tuple[RepositoryPlan, ...]

    @property
    def fingerprint(self) -> str:
        """Tell plans apart that remove different things."""
        lines = [
            f"{each.repository} {what}"
            for each in self.repositories
            for what in (
                *(f"{tag.name} {tag.digest}" for tag in each.tags),
                *(manifest.digest for manifest in each.manifests),
            )
        ]
        return sha256("\n".join(lines).encode()).hexdigest()[:16]


def plan(store: Store, rules: Sequence[Rule], now: float) -> Plan:
    """Decide what goes; `now` in seconds since 1970. The same store, rules and time give the same plan.

    The first rule that fits a repository counts; one that no rule fits is left alone. Raises OSError.
    """
    plans: list[RepositoryPlan] = []
    used: set[str] = set()
    for name in store.repositories():
        rule = next((rule for rule in rules if rule.fits(name)), None)
        made = _plan_repository(store, name, rule, now) if rule else None
        gone = {each.digest for each in made.manifests} if made else set()
        for digest in store.manifests(name):
            if digest not in gone:
                used.update(_blobs(store, digest))
        if made:
            plans.append(made)
    return Plan(tuple(_measured(store, plans, used)))


def _plan_repository(store: Store, name: str, rule: Rule, now: float) -> RepositoryPlan | None:
    """Decide for a repository; None if nothing goes."""
    try:
        repository = store.repository(name)
    except StoreError as error:
        return RepositoryPlan(repository=name, rule=rule.name, staying=0, left_alone=str(error))
    graph = belonging(store, repository)
    there = [tag for tag in repository.tags if tag.digest in repository.manifests]
    judged = [tag for tag in there if not subject_of(tag.name)]
    # Named like a referrer's tag, of no image here: made of a content's hash, or a signature kept apart.
    orphans = [tag for tag in there if (of := subject_of(tag.name)) and of not in repository.manifests]
    leaving = rule.leaving(judged, now)
    staying = [tag for tag in judged if tag.name not in leaving]
    orphans_leaving = rule.leaving([*judged, *orphans], now)  # apart, so that none takes an image's place
    orphans_staying = [tag for tag in orphans if tag.name not in orphans_leaving]
    patience = max(GRACE, rule.keep_younger_than or 0)
    needed = reached(
        graph,
        {*_digests([*staying, *orphans_staying]), *_unfinished(repository, graph, now - patience)},
    )
    leaving |= _useless(repository, needed)

    tags = tuple(
        GoneTag(tag.name, tag.digest, tag.pushed, leaving[tag.name])
        for tag in repository.tags
        if tag.name in leaving
    )
    manifests = tuple(_gone_manifests(repository, graph, tags, needed, now))
    if not tags and not manifests:
        return None
    if left_alone := _obstacle(store, repository, judged, staying if judged else orphans_staying, needed):
        tags, manifests = (), ()
    return RepositoryPlan(
        repository=name,
        rule=rule.name,
        staying=len(repository.tags) - len(tags),
        tags=tags,
        manifests=manifests,
        left_alone=left_alone,
    )


def _unfinished(repository: Repository, graph: Graph, since: float) -> set[str]:
    """Name the manifests pushed after `since` that no tag reaches yet: parts of an index that is to come.

    Referrers too: OCI lets clients push them before their subject.
    """
    tagged = [
        tag
        for tag in repository.tags
        if (subject := subject_of(tag.name)) is None or subject in repository.manifests
    ]
    young = {digest for digest, pushed in repository.manifests.items() if pushed > since}
    return young - reached(graph, _digests(tagged))


def _useless(repository: Repository, needed: set[str]) -> dict[str, str]:
    """Name the tags that go whatever the rule says, each with the reason."""
    found = {}
    for tag in repository.tags:
        subject = subject_of(tag.name)
        if tag.digest not in repository.manifests:
            found[tag.name] = "points at nothing"
        elif subject is None or subject in needed:
            continue
        elif subject in repository.manifests:
            found[tag.name] = "its image goes"
        elif tag.digest not in needed:
            found[tag.name] = "its image is gone"
    return found


def _obstacle(
    store: Store, repository: Repository, judged: Sequence[Tag], staying: Sequence[Tag], needed: set[str]
) -> str | None:
    """Say why the repository must be left alone, if so."""
    if not staying:
        # As likely a mistake in a pattern as a wish, and nothing brings the images back.
        return "every tag would go: add keepNewest: 1 to its rule" if judged else "no tag of it would stay"
    for digest in repository.manifests:
        if digest in needed and store.manifest(digest) is None:
            return f"{digest} stays but cannot be read, so what it needs is not known: push it again"
    return None


def _gone_manifests(
    repository: Repository, graph: Graph, tags: Sequence[GoneTag], needed: set[str], now: float
) -> Iterator[GoneManifest]:
    names: dict[str, list[str]] = {}
    for tag in tags:
        if tag.digest:
            names.setdefault(tag.digest, []).append(tag.name)
    belonging_to_gone = reached(graph, names)
    for digest, pushed in repository.manifests.items():
        if digest in needed:
            continue
        if digest in names:
            yield GoneManifest(digest, f"was {', '.join(names[digest])}")
        elif digest in belonging_to_gone:
            yield GoneManifest(digest, "belongs to one that goes")
        else:
            yield GoneManifest(digest, f"no tag, {length(now - pushed)} old")


def _measured(store: Store, plans: Sequence[RepositoryPlan], used: set[str]) -> Iterator[RepositoryPlan]:
    """Add the bytes; a blob that two repositories let go counts for the first."""
    counted = set(used)
    for each in plans:
        freed = {blob for manifest in each.manifests for blob in _blobs(store, manifest.digest)} - counted
        counted |= freed
        yield replace(each, bytes=sum(store.size(blob) for blob in freed))


def _blobs(store: Store, digest: str) -> tuple[str, ...]:
    """Name the blobs that a manifest keeps from garbage collection."""
    manifest = store.manifest(digest)
    return (digest, *manifest.blobs, *manifest.children) if manifest else (digest,)


def _digests(tags: Sequence[Tag]) -> list[str]:
    return [tag.digest for tag in tags if tag.digest]


def as_mapping(each: RepositoryPlan) -> Mapping[str, object]:
    """Turn a repository's plan into JSON's data."""
    if each.left_alone:
        return {"repository": each.repository, "rule": each.rule, "leftAlone": each.left_alone}
    return {
        "repository": each.repository,
        "rule": each.rule,
        "staying": each.staying,
        "bytes": each.bytes,
        "tags": [vars(tag) for tag in each.tags],
        "manifests": [vars(manifest) for manifest in each.manifests],
    }
