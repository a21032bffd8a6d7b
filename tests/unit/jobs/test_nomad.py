import json

from jobs import nomad
from jobs.duration import Duration


def test_fields_are_spelled_as_the_api_spells_them():
    check = nomad.Check(
        name="registry",
        type="http",
        path="/",
        interval=Duration.seconds(5),
        timeout=Duration.seconds(2),
        failures_before_critical=3,
    )
    service = nomad.Service(name="registry", port="http", checks=(check,))

    assert nomad.to_api(service) == {
        "Name": "registry",
        "PortLabel": "http",
        "Provider": "consul",
        "Tags": [],
        "Checks": [
            {
                "Name": "registry",
                "Type": "http",
                "Path": "/",
                "Interval": 5_000_000_000,
                "Timeout": 2_000_000_000,
                "FailuresBeforeCritical": 3,
            }
        ],
    }


def test_what_is_unset_is_left_out_and_what_is_false_is_written():
    vault = nomad.Vault(policies=("p",), env=False, disable_file=True, change_mode="noop")

    assert nomad.to_api(vault) == {
        "Policies": ["p"],
        "Env": False,
        "DisableFile": True,
        "ChangeMode": "noop",
    }


def test_the_docker_drivers_keys_stay_in_snake_case():
    config = nomad.DockerConfig(
        image="registry:3",
        args=("serve",),
        ports=("registry",),
        cap_drop=("all",),
        security_opt=(),
        readonly_rootfs=True,
        pids_limit=5,
        labels=({"homepage.name": "x"},),
    )

    rendered = nomad.to_api(config)
    assert rendered["readonly_rootfs"] is True
    assert rendered["labels"] == [{"homepage.name": "x"}]


def test_a_job_renders_to_the_same_text_every_time():
    job = nomad.Job(id="x", name="x", namespace="default", type="batch", datacenters=("dc1",), task_groups=())

    assert nomad.render(job) == nomad.render(job)
    assert list(json.loads(nomad.render(job))) == sorted(json.loads(nomad.render(job)))
