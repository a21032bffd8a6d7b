"""What monitoring relies on."""

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, failure, not_looked_at, ok
from checks.doctor.service import job_fix
from checks.status import find_instances, service_state


def exporter_answers(facts: Facts) -> Finding:
    """The exporter is in Consul and passes its check.

    Symptom: Panels of disk, maintenance and certificate are empty; their alerts cannot fire.

    Cause: The exporter's job was stopped, or has no place: its port is taken, or its volume is away.

    Fix: `pulumi up` if the job is not there; else `nomad job status docker-registry-exporter` tells why.
    """
    settings = facts.settings
    if not settings.monitoring:
        return not_looked_at("the stack has no section monitoring")
    service = settings.exporter_service
    instances = find_instances(facts.servers.consul, service)
    state = service_state(instances) if instances else "not in Consul"
    if state == "passing":
        return ok(f"service {service} passes its check")
    return failure(f"service {service} is {state}", job_fix(facts, settings.exporter_job))


CHECKS = (exporter_answers,)
