import pytest

from jobs.tasks.retention_plan import plan
from jobs.tasks.retention_rules import Rule
from jobs.tasks.store import Store

DAY = 86_400
NOW = 1000 * DAY
OLD = NOW - 100 * DAY
COSIGN = (".sig", ".att", ".sbom")


@pytest.fixture
def planned(images):
    """Plan by a rule for ci/*; gives the plans of the repositories by name."""

    def make(**keep):
        rules = [Rule.of({"repositories": ["ci/*"], **(keep or {"keepTags": ["v*"]})})]
        return {each.repository: each for each in plan(Store(images.directory), rules, NOW).repositories}

    return make


def tags(made):
    return {tag.name: tag.why for tag in made.tags}


def manifests(made):
    return {manifest.digest: manifest.why for manifest in made.manifests}


def test_a_tag_goes_with_its_manifest_and_both_say_why(images, planned):
    images.image("ci/app", "v1", pushed=OLD)
    gone = images.image("ci/app", "pr-7", pushed=OLD)

    made = planned()["ci/app"]
    assert tags(made) == {"pr-7": "not named like v*"}
    assert manifests(made) == {gone: "was pr-7"}
    assert (made.rule, made.staying) == ("ci/*", 1)


def test_a_manifest_with_a_tag_that_stays_stays(images, planned):
    digest = images.image("ci/app", "v1", pushed=OLD)
    images.tag("ci/app", "pr-7", digest, OLD)

    made = planned()["ci/app"]
    assert (set(tags(made)), made.manifests, made.bytes) == ({"pr-7"}, (), 0)


def test_repositories_that_no_rule_fits_and_those_with_nothing_to_remove_are_not_in_the_plan(images, planned):
    images.image("base/python", "pr-7", pushed=OLD)
    images.image("ci/app", "v1", pushed=OLD)

    assert planned() == {}


def test_the_first_rule_that_fits_counts(images):
    for name in ("a", "b"):
        images.image("ci/app", name, pushed=OLD)
    rules = [
        Rule.of({"repositories": ["ci/app"], "keepTags": ["a"]}),
        Rule.of({"repositories": ["ci/*"], "keepTags": ["b"]}),
    ]

    (made,) = plan(Store(images.directory), rules, NOW).repositories
    assert set(tags(made)) == {"b"}


def test_children_of_an_index_that_stays_stay_and_those_of_one_that_goes_go(images, planned):
    children = [images.manifest("ci/app", [name], OLD) for name in ("amd64", "arm64", "s390x")]
    images.tag("ci/app", "v1", images.index("ci/app", *children[:2], pushed=OLD), OLD)
    gone = images.index("ci/app", *children[1:], pushed=OLD)
    images.tag("ci/app", "pr-7", gone, OLD)

    assert manifests(planned()["ci/app"]) == {gone: "was pr-7", children[2]: "belongs to one that goes"}


def test_a_tag_on_a_child_keeps_the_child_alone(images, planned):
    kept, other = (images.manifest("ci/app", [name], OLD) for name in ("amd64", "arm64"))
    index = images.index("ci/app", kept, other, pushed=OLD)
    images.tag("ci/app", "pr-7", index, OLD)
    images.tag("ci/app", "v1-amd64", kept, OLD)

    assert set(manifests(planned()["ci/app"])) == {index, other}


def test_referrers_stay_with_their_subject_and_go_with_it(images, planned):
    kept, gone = images.image("ci/app", "v1", pushed=OLD), images.image("ci/app", "pr-7", pushed=OLD)
    images.referrer("ci/app", kept, "sbom of v1", OLD)
    sbom = images.referrer("ci/app", gone, "sbom of pr-7", OLD)
    of_gone = gone.replace(":", "-")

    made = planned()["ci/app"]
    assert tags(made) == {
        "pr-7": "not named like v*",
        of_gone: "its image goes",
    }
    assert manifests(made)[sbom] == "belongs to one that goes"
    assert len(made.manifests) == 3  # the image, the SBOM, and the index that the tag of referrers points at


def test_a_referrer_that_no_tag_names_stays_with_its_subject(images, planned):
    subject = images.image("ci/app", "v1", pushed=OLD)
    layers = [{"digest": images.blob(b"sbom")}]
    images.manifest("ci/app", {"layers": layers, "subject": {"digest": subject}}, OLD)

    assert planned() == {}


@pytest.mark.parametrize("suffix", COSIGN)
def test_cosigns_tags_stay_with_their_subject_and_go_with_it(images, planned, suffix):
    kept, gone = images.image("ci/app", "v1", pushed=OLD), images.image("ci/app", "pr-7", pushed=OLD)
    for subject in (kept, gone):
        images.image("ci/app", f"{subject.replace(':', '-')}{suffix}", pushed=OLD)

    assert set(tags(planned()["ci/app"])) == {"pr-7", f"{gone.replace(':', '-')}{suffix}"}


def test_tags_of_referrers_are_no_images_that_count(images, planned):
    images.image("ci/app", "a", pushed=OLD)
    kept = images.image("ci/app", "b", pushed=OLD + 1)
    images.referrer("ci/app", kept, "sbom", NOW)

    assert set(tags(planned(keepNewest=1)["ci/app"])) == {"a"}


def test_signatures_of_a_part_of_an_index_stay_with_the_index(images, planned):
    child = images.manifest("ci/app", ["amd64"], OLD)
    images.tag("ci/app", "v1", images.index("ci/app", child, pushed=OLD), OLD)
    images.referrer("ci/app", child, "signature", OLD)

    assert planned() == {}


def test_a_referrer_with_a_tag_that_stays_keeps_its_subject(images, planned):
    subject = images.image("ci/app", "pr-7", pushed=OLD)
    images.tag("ci/app", "v1-sbom", images.referrer("ci/app", subject, "sbom", OLD), OLD)

    made = planned()["ci/app"]
    assert (set(tags(made)), made.manifests) == ({"pr-7"}, ())


def test_referrers_of_an_image_that_is_gone_go_after_a_day(images, planned):
    images.image("ci/app", "v1", pushed=OLD)
    old, new = (f"sha256:{each * 64}" for each in "ab")
    images.referrer("ci/app", old, "old", OLD)
    images.referrer("ci/app", new, "pushed before its image", NOW - DAY / 2)

    made = planned()["ci/app"]
    assert tags(made) == {old.replace(":", "-"): "its image is gone"}
    assert len(made.manifests) == 2


@pytest.mark.parametrize("suffix", ["", *COSIGN])
def test_a_tag_named_like_a_digest_of_no_image_here_stays_if_its_name_is_kept(images, planned, suffix):
    images.image("ci/app", "v1", pushed=OLD)
    images.image("ci/app", f"sha256-{64 * 'c'}{suffix}", pushed=OLD)

    assert planned(keepTags=["*"]) == {}
    assert planned(keepTags=["v*", "sha256-*"]) == {}
    assert list(tags(planned()["ci/app"]).values()) == ["its image is gone"]


def test_tags_made_of_a_contents_hash_stay_by_number_and_age(images, planned):
    names = [f"sha256-{letter * 64}" for letter in "abc"]
    for name, age in zip(names, (30, 20, 10), strict=True):
        images.image("ci/app", name, pushed=NOW - age * DAY)

    assert set(tags(planned(keepNewest=2)["ci/app"])) == {names[0]}
    assert set(tags(planned(keepYoungerThan=15 * DAY)["ci/app"])) == set(names[:2])


def test_a_signature_that_stays_does_not_let_every_image_go(images, planned):
    images.image("ci/app", "V1", pushed=OLD)
    images.image("ci/app", f"sha256-{64 * 'a'}.sig", pushed=NOW)

    made = planned(keepYoungerThan=10 * DAY)["ci/app"]
    assert made.left_alone == "every tag would go: add keepNewest: 1 to its rule"


def test_signatures_in_a_repository_of_their_own_stay_by_its_rule(images, planned):
    old, new = (f"sha256-{each * 64}.sig" for each in "ab")
    gone = images.image("ci/signatures", old, pushed=OLD)
    images.image("ci/signatures", new, pushed=OLD + 1)

    made = planned(keepNewest=1)["ci/signatures"]
    assert (set(tags(made)), set(manifests(made))) == ({old}, {gone})


def test_a_signature_of_an_image_that_is_not_there_takes_no_images_place(images, planned):
    images.image("ci/app", "a", pushed=OLD)
    images.image("ci/app", f"sha256-{64 * 'a'}.sig", pushed=OLD + 1)

    assert planned(keepNewest=1) == {}


def test_a_manifest_that_stays_and_cannot_be_read_leaves_its_repository_alone_and_no_other(images, planned):
    for repository in ("ci/a", "ci/b"):
        images.image(repository, "v1", pushed=OLD)
        images.image(repository, "pr-7", pushed=OLD)
    damaged = images.manifest("ci/a", {"layers": [{"digest": ["x"]}]}, OLD)
    images.tag("ci/a", "v2", damaged, OLD)

    made = planned()
    assert made["ci/a"].left_alone.startswith(f"{damaged} stays but cannot be read")
    assert set(tags(made["ci/b"])) == {"pr-7"}


def test_an_image_without_a_tag_goes_after_a_day(images, planned):
    images.image("ci/app", "v1", "old", pushed=OLD)
    images.image("ci/app", "v1", "new", pushed=OLD)
    images.manifest("ci/app", ["part of an index to come"], NOW - DAY / 2)

    made = planned()["ci/app"]
    assert made.tags == ()
    assert [each.why for each in made.manifests] == ["no tag, 100 days old"]


def test_an_image_without_a_tag_stays_as_long_as_tags_do(images, planned):
    images.image("ci/app", "v1", pushed=NOW)
    images.manifest("ci/app", ["pulled by digest"], NOW - 20 * DAY)

    assert planned(keepYoungerThan=30 * DAY) == {}
    assert planned(keepYoungerThan=10 * DAY) != {}


def test_an_image_whose_tag_goes_does_not_stay_as_one_without_a_tag(images, planned):
    images.image("ci/app", "v1", pushed=NOW)
    images.image("ci/app", "pr-7", pushed=NOW)

    assert len(planned()["ci/app"].manifests) == 1


def test_tags_that_point_at_nothing_go_and_count_for_nothing(images, planned):
    images.image("ci/app", "v1", pushed=OLD)
    images.tag("ci/app", "v2", f"sha256:{64 * 'a'}", NOW)
    (images.manifests("ci/app") / "tags" / "v3").mkdir()

    made = planned(keepNewest=1)["ci/app"]
    assert tags(made) == {"v2": "points at nothing", "v3": "points at nothing"}


def test_a_repository_that_would_lose_every_tag_is_left_alone(images, planned):
    images.image("ci/app", "V1", pushed=OLD)
    images.image("ci/app", "V2", pushed=OLD)

    made = planned()["ci/app"]
    assert (made.tags, made.manifests, made.staying, made.bytes) == ((), (), 2, 0)
    assert made.left_alone == "every tag would go: add keepNewest: 1 to its rule"


def test_a_repository_without_tags_is_left_alone(images, planned):
    images.manifest("ci/app", ["pulled by digest"], OLD)

    assert planned()["ci/app"].left_alone == "no tag of it would stay"


def test_a_repository_is_left_alone_if_what_an_image_needs_is_not_known(images, planned):
    images.image("ci/app", "pr-7", pushed=OLD)
    damaged = images.image("ci/app", "v1", pushed=OLD)
    value = damaged.removeprefix("sha256:")
    (images.root / "blobs" / "sha256" / value[:2] / value / "data").write_bytes(b"{")

    made = planned()["ci/app"]
    assert made.manifests == ()
    assert made.left_alone.startswith(f"{damaged} stays but cannot be read")


def test_a_damaged_link_leaves_its_repository_alone_and_no_other(images, planned):
    for repository in ("ci/a", "ci/b"):
        images.image(repository, "v1", pushed=OLD)
        images.image(repository, "pr-7", pushed=OLD)
    (images.manifests("ci/a") / "tags" / "v1" / "current" / "link").write_text("")

    made = planned()
    assert "tag v1 has no digest in" in made["ci/a"].left_alone
    assert set(tags(made["ci/b"])) == {"pr-7"}


def test_bytes_are_those_of_blobs_that_nothing_else_uses(images, planned):
    images.image("ci/app", "v1", "shared", "mine", pushed=OLD)
    gone = images.image("ci/app", "pr-7", "shared", "12345", "of another repository", pushed=OLD)
    images.image("base/app", "x", "of another repository", pushed=OLD)

    assert planned()["ci/app"].bytes == Store(images.directory).size(gone) + len("12345")


def test_a_blob_that_two_repositories_let_go_counts_once(images, planned):
    for repository in ("ci/a", "ci/b"):
        images.image(repository, "v1", pushed=OLD)
        images.image(repository, "pr-7", "12345", pushed=OLD)

    made = planned()
    assert made["ci/a"].bytes > len("12345") and made["ci/b"].bytes == 0


def test_plans_that_remove_different_things_have_different_fingerprints(images):
    def fingerprint(pattern):
        rules = [Rule.of({"repositories": ["ci/*"], "keepTags": [pattern]})]
        return plan(Store(images.directory), rules, NOW).fingerprint

    for name in ("a", "b"):
        images.image("ci/app", name, pushed=OLD)

    assert fingerprint("a") == fingerprint("a")
    assert fingerprint("a") != fingerprint("b")
