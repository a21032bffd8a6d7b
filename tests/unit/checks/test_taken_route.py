import pytest

from checks.taken_route import hosts, route_problems, routers, service_problems
from jobs.duration import Duration
from jobs.traefik_tags import traefik_tags

ALLOCATION = "8dc1ba9c-4bb6-d9f4-a8ba-9a1a1b1c1d1e"
RULE = "traefik.http.routers.web.rule="


def tags_of(settings, service, hostname):
    return traefik_tags(settings, service, hostname, longest_restart=Duration.seconds(35))


@pytest.fixture
def routes(servers, ready):
    """What is said when Consul's catalogue has these services with their tags.

    All instances of `registry-mirror-former` are of one allocation, of the job `former`.
    """

    def ask(services, former="docker-registry-mirrors", **sections):
        settings = ready(sections=sections)
        answers = {
            "consul /v1/catalog/services": {"status": 200, "body": services},
            "consul /v1/catalog/service/registry-mirror-former": instance(FROM_NOMAD),
            "nomad /v1/allocations": {"status": 200, "body": [{"ID": ALLOCATION, "JobID": former}]},
        }
        asked = servers(settings, answers)
        return list(route_problems(settings, asked.consul, asked.nomad))

    return ask


@pytest.mark.parametrize("mode", ["traefik", "registry"])
def test_the_tags_of_another_stack_with_the_host_name_are_refused(routes, ready, mode):
    other = ready(sections={"registry": {"name": "registry-staging"}, "tls": {"mode": mode}})

    (said,) = routes(
        {"registry": [], "registry-staging": tags_of(other, "registry-staging", other.registry.hostname)}
    )

    assert "Traefik routes registry.homelab.local to service registry-staging already" in said
    assert "set registry.hostname" in said


def test_the_stacks_own_tags_and_other_hosts_are_no_problem(routes, ready):
    own = tags_of(ready(), "registry", "registry.homelab.local")
    other = tags_of(ready(), "other", "other.homelab.local")

    assert routes({"registry": own, "other": other, "consul": []}) == []


def test_a_router_that_another_service_defines_is_refused(routes):
    (said,) = routes({"web": ["traefik.http.routers.registry.rule=Host(`web.homelab.local`)"]})

    assert "service web has tags for Traefik's router registry too" in said


def test_without_traefik_no_route_is_in_the_way(routes):
    tags = [f"{RULE}Host(`registry.homelab.local`)"]

    assert routes({"web": tags}) != []
    assert routes({"web": tags}, tls={"mode": "plain"}, access={"bind": "127.0.0.1"}) == []


MIRRORS = [
    {"name": "hub", "upstream": "https://registry-1.docker.io", "port": 5010},
    {"name": "quay", "upstream": "https://quay.io", "port": 5011, "hostname": "Quay.local"},
]


@pytest.mark.parametrize(
    ("host", "setting"),
    [("hub.registry.homelab.local", "mirrors[0].hostname"), ("quay.local", "mirrors[1].hostname")],
)
def test_the_host_of_a_mirror_that_another_service_has_is_refused(routes, host, setting):
    (said,) = routes({"web": [f"{RULE}Host(`{host}`)"]}, mirrors=MIRRORS)

    assert "to service web already" in said
    assert f"set {setting} to another name" in said


def test_the_router_of_a_mirror_that_another_service_defines_is_refused(routes):
    tags = ["traefik.http.routers.registry-mirror-hub.rule=Host(`web.homelab.local`)"]

    (said,) = routes({"web": tags}, mirrors=MIRRORS)

    assert "service web has tags for Traefik's router registry-mirror-hub too" in said
    assert "set mirrors[0].name" in said


def test_the_stacks_own_mirrors_are_no_problem_even_if_they_change_names(routes, ready):
    settings = ready(sections={"mirrors": MIRRORS})
    hosts_of = {
        settings.mirror_service(mirror): settings.mirror_hostname(mirror) for mirror in settings.mirrors.root
    }
    own = {service: tags_of(settings, service, host) for service, host in hosts_of.items()}
    former = {"registry-mirror-former": tags_of(settings, "registry-mirror-former", "quay.local")}

    assert routes({**own, **former}, mirrors=MIRRORS) == []
    (said,) = routes({**own, **former}, mirrors=MIRRORS, former="registry-mirror-former")
    assert "to service registry-mirror-former already" in said


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("Host(`A.local`)", {"a.local"}),
        ("Host(`a.local`, `b.local`)", {"a.local", "b.local"}),
        ("Host(`a.local`) || Host(`b.local`)", {"a.local", "b.local"}),
        ("HostSNI(`a.local`)", {"a.local"}),
        ('Host("a.local")', {"a.local"}),
        ("Host(`a.local`) && PathPrefix(`/ui`)", set()),
        ("PathPrefix(`/ui`)", set()),
    ],
)
def test_a_rule_takes_the_hosts_that_it_names_without_further_conditions(rule, found):
    assert hosts([f"{RULE}{rule}"], "websecure") == found


@pytest.mark.parametrize(
    ("entry_points", "taken"),
    [("websecure", True), ("web,websecure", True), ("web", False), ("internal", False)],
)
def test_a_router_at_other_entry_points_takes_nothing(entry_points, taken):
    tags = [f"{RULE}Host(`a.local`)", f"traefik.http.routers.web.entrypoints={entry_points}"]

    assert ("a.local" in hosts(tags, "websecure")) is taken


def test_routers_are_those_that_have_a_rule():
    assert routers(
        [f"{RULE}Host(`a`)", "traefik.tcp.routers.raw.rule=HostSNI(`b`)", "traefik.enable=true"]
    ) == {
        "web",
        "raw",
    }


def instance(service_id):
    return {"status": 200, "body": [{"ServiceID": service_id, "Node": "nas"}]}


@pytest.fixture
def registered(servers, ready):
    """What is said when Consul has an instance of a service, and Nomad shows its allocation's job, or not."""

    def ask(service_id, job, service="registry", **sections):
        settings = ready(sections=sections)
        empty = {"status": 200, "body": []}
        answers = {
            "consul /v1/catalog/service/registry": empty,
            "consul /v1/catalog/service/registry-metrics": empty,
            "consul /v1/catalog/service/registry-exporter": empty,
            "consul /v1/catalog/service/registry-mirror-hub": empty,
            "consul /v1/catalog/service/registry-mirrors-metrics": empty,
            f"consul /v1/catalog/service/{service}": instance(service_id),
            "nomad /v1/allocations": {
                "status": 200,
                "body": [{"ID": ALLOCATION, "JobID": job}] if job else [],
            },
        }
        asked = servers(settings, answers)
        return list(service_problems(settings, asked.consul, asked.nomad))

    return ask


FROM_NOMAD = f"_nomad-task-{ALLOCATION}-group-registry-registry-registry"


def test_the_service_of_the_stacks_own_job_or_of_one_that_is_gone_is_no_problem(registered):
    assert registered(FROM_NOMAD, "docker-registry") == []
    assert registered(FROM_NOMAD, None) == []


def test_the_service_of_the_exporters_own_job_is_no_problem_and_the_registrys_job_has_none_there(registered):
    def said_of(job):
        return registered(FROM_NOMAD, job, "registry-exporter", monitoring={})

    assert said_of("docker-registry-exporter") == []
    assert "has the service registry-exporter of job docker-registry on nas" in said_of("docker-registry")[0]


@pytest.mark.parametrize("service", ["registry", "registry-metrics"])
def test_a_service_of_another_job_is_refused(registered, service):
    (said,) = registered(FROM_NOMAD, "web", service)

    assert f"has the service {service} of job web on nas already" in said
    assert "set registry.name" in said


@pytest.mark.parametrize(
    ("service", "setting"),
    [("registry-mirror-hub", "mirrors[0].name"), ("registry-mirrors-metrics", "registry.name")],
)
def test_the_service_of_a_mirror_that_another_stacks_registry_has_is_refused(registered, service, setting):
    def said_of(job):
        return registered(FROM_NOMAD, job, service, mirrors=[MIRRORS[0]])

    assert said_of("docker-registry-mirrors") == []
    (said,) = said_of("registry-mirror-hub")
    assert f"has the service {service} of job registry-mirror-hub on nas already" in said
    assert f"set {setting} to another name" in said


def test_a_service_that_is_not_nomads_is_refused(registered):
    (said,) = registered("registry-by-hand", None)

    assert "has the service registry of something else on nas already" in said
