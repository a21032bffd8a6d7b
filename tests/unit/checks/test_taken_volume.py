import pytest

from checks.taken_volume import taken_volume_problems

HOME, OTHER = "53161eab-38a8-1cfc-fa95-d30f3186a051", "0f3186a0-38a8-1cfc-fa95-53161eab5300"


def node(name="nas", node_id=HOME, **volumes):
    offered = {each: {"Path": path, "ReadOnly": False} for each, path in volumes.items()}
    return {"ID": node_id, "Name": name, "Status": "ready", "HostVolumes": offered}


def allocation(job="other", namespace="apps", group="web", volume="registry_data", read_only=False, **fields):
    """What the list of allocations has of one; and, for `problems`, the groups of its job."""
    volumes = {"data": {"Type": "host", "Source": volume, "ReadOnly": read_only}} if volume else None
    return {
        "NodeID": HOME,
        "NodeName": "nas",
        "JobID": job,
        "Namespace": namespace,
        "TaskGroup": group,
        "DesiredStatus": "run",
        "ClientStatus": "running",
        "AllocatedResources": {"Shared": {"Ports": None}},
        "groups": [{"Name": "another", "Volumes": None}, {"Name": group, "Volumes": volumes}],
        **fields,
    }


@pytest.fixture
def problems(servers, ready):
    """What is said of nodes, and of the allocations on the first one."""

    def ask(*nodes, allocations=(), **sections):
        settings = ready(sections=sections)
        answers = {
            "/v1/nodes": {"status": 200, "body": list(nodes)},
            "/v1/allocations": {"status": 200, "body": list(allocations)},
            **{
                f"/v1/job/{each['JobID']}": {"status": 200, "body": {"TaskGroups": each["groups"]}}
                for each in allocations
                if each["groups"]
            },
        }
        return list(taken_volume_problems(servers(settings, answers).nomad, settings))

    return ask


def test_another_job_that_writes_to_the_volume_is_named_with_its_namespace(problems):
    (said,) = problems(node(registry_data="/srv/registry_data"), allocations=[allocation()])

    assert said.startswith("docker-registry:storage.volume: job other (namespace apps) on nas writes to")
    assert "read_only = true" in said


@pytest.mark.parametrize(
    "harmless",
    [
        {"read_only": True},
        {"volume": "another"},
        {"volume": None},
        {"DesiredStatus": "stop"},
        {"ClientStatus": "failed"},
    ],
    ids=str,
)
def test_a_job_that_cannot_write_to_the_volume_is_no_problem(problems, harmless):
    assert problems(node(registry_data="/srv/registry_data"), allocations=[allocation(**harmless)]) == []


def test_a_job_that_was_purged_a_moment_ago_is_no_problem(problems):
    purged, other = allocation(job="purged", groups=None), allocation()

    (said,) = problems(node(registry_data="/srv/registry_data"), allocations=[purged, other])

    assert "job other (namespace apps)" in said


@pytest.mark.parametrize(
    ("job", "group"),
    [("docker-registry", "registry"), ("docker-registry-gc/periodic-1700000000", "gc")],
)
def test_the_stacks_own_jobs_are_not_other_jobs(problems, job, group):
    own = allocation(job=job, group=group, namespace="default")

    assert problems(node(registry_data="/srv/registry_data"), allocations=[own]) == []


@pytest.mark.parametrize(
    ("job", "group", "namespace"),
    [
        ("docker-registry", "registry", "staging"),
        ("docker-registry-staging", "registry", "default"),
        ("docker-registry-staging-mirrors", "docker-hub", "default"),
        ("docker-registry-staging-gc/periodic-1700000000", "gc", "default"),
        ("docker-registry2", "gc", "default"),
    ],
)
def test_another_stacks_jobs_are_told_from_the_stacks_own(problems, job, group, namespace):
    other = allocation(job=job, group=group, namespace=namespace)

    (said,) = problems(node(registry_data="/srv/registry_data"), allocations=[other])

    assert f"job {job} (namespace {namespace})" in said


def test_a_registered_volume_belongs_to_its_namespace(problems):
    dynamic = {"path": "/srv/registry_data", "kind": "dynamic", "nodeId": HOME}
    home = node(registry_data="/srv/registry_data")

    assert problems(home, allocations=[allocation()], storage=dynamic) == []
    assert problems(home, allocations=[allocation(namespace="default")], storage=dynamic) != []


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/srv/registry_data", "that directory"),
        ("/srv/registry_data/docker", "/srv/registry_data/docker, inside"),
    ],
)
def test_another_volume_in_the_directory_of_the_images_is_named(problems, path, where):
    (said,) = problems(node(registry_data="/srv/registry_data", other=path))

    assert f"nas offers {where}" in said
    assert "as the volume other" in said


@pytest.mark.parametrize("path", ["/srv", "/srv/registry_data2", "/srv/other"])
def test_a_volume_beside_or_around_the_directory_is_no_problem(problems, path):
    assert problems(node(registry_data="/srv/registry_data", other=path)) == []


def test_a_view_that_cannot_be_written_to_is_no_problem(problems):
    home = node(registry_data="/srv/registry_data", view="/srv/registry_data")
    home["HostVolumes"]["view"]["ReadOnly"] = True

    assert problems(home) == []


def test_only_the_machine_with_the_volume_counts_as_soon_as_it_is_known(problems):
    elsewhere = node("pi", OTHER, other="/srv/registry_data")

    assert problems(node(registry_data="/srv/registry_data"), elsewhere) == []
    assert "pi offers that directory" in problems(elsewhere)[0]


def test_with_a_bucket_there_is_no_volume_to_share(servers, ready):
    settings = ready(sections={"storage": {"driver": "s3", "s3": {"bucket": "images", "region": "any"}}})

    assert list(taken_volume_problems(servers(settings, {}).nomad, settings)) == []


MIRRORS = [{"name": "registry", "upstream": "https://registry-1.docker.io", "port": 5010}]
STORAGE = {"path": "/srv/registry_data", "cachePath": "/srv/registry_cache"}


def test_another_job_that_writes_to_the_mirrors_volume_is_named(problems):
    home = node(registry_data="/srv/registry_data", registry_cache="/srv/registry_cache")
    other = allocation("registry-staging-mirrors", "staging", "docker-hub", "registry_cache")

    (said,) = problems(home, allocations=[other], mirrors=MIRRORS, storage=STORAGE)

    assert said.startswith(
        "docker-registry:storage.cacheVolume: job registry-staging-mirrors (namespace staging) on nas writes"
    )
    assert "set storage.cacheVolume to another one" in said
    assert problems(home, allocations=[other], storage=STORAGE) == []


def test_the_mirrors_job_is_the_stacks_own_whatever_a_mirror_is_called(problems):
    home = node(registry_data="/srv/registry_data", registry_cache="/srv/registry_cache")
    own = allocation("docker-registry-mirrors", "default", "registry", "registry_cache")

    assert problems(home, allocations=[own], mirrors=MIRRORS, storage=STORAGE) == []


def test_another_volume_in_the_directory_of_the_caches_is_named(problems):
    home = node(
        registry_data="/srv/registry_data", registry_cache="/srv/registry_cache", other="/srv/registry_cache"
    )

    (said,) = problems(home, mirrors=MIRRORS, storage=STORAGE)

    assert "what the mirrors cache would be in /srv/registry_cache, and nas offers that directory" in said
    assert "set storage.cachePath" in said


def test_the_mirrors_have_a_volume_with_a_bucket_too(problems):
    bucket = {"driver": "s3", "s3": {"bucket": "images", "region": "any"}, "cachePath": "/srv/registry_cache"}
    other = allocation(volume="registry_cache")

    (said,) = problems(
        node(registry_cache="/srv/registry_cache"), allocations=[other], mirrors=MIRRORS, storage=bucket
    )

    assert "the mirrors' job must be the only writer" in said
