"""The right of a maintenance job to freeze the registry, on Nomad with ACLs."""

import json

import pulumi
import pulumi_nomad as nomad

from config.settings import Settings
from jobs.tasks.freeze_record import freeze_variable


def freeze_policy(name: str, settings: Settings, *, job: str, parent: pulumi.Resource) -> nomad.AclPolicy:
    """Make the ACL policy, bound to the job and named like it: tasks get it by their workload identity."""
    return nomad.AclPolicy(
        name,
        name=job,
        description=f"Lets job {job} make {settings.registry.name} read-only",
        rules_hcl=rules(settings, job),
        job_acl=nomad.AclPolicyJobAclArgs(namespace=settings.registry.namespace, job_id=job),
        opts=pulumi.ResourceOptions(parent=parent),
    )


def rules(settings: Settings, job: str) -> str:
    """Write rules that change two variables, the freeze's and the job's own, and look at allocations.

    These are the registry's, and those of who froze it. In its own variable a job records how it went.
    An allocation of the registry that did not notice a freeze is restarted (jobs/tasks/registry_mode.py).
    """
    registry = settings.registry
    return (
        f"namespace {json.dumps(registry.namespace)} {{\n"
        '  capabilities = ["read-job", "alloc-lifecycle"]\n'
        "  variables {\n"
        f"    path {json.dumps(freeze_variable(registry.name))} {{\n"
        '      capabilities = ["read", "write", "destroy"]\n'
        "    }\n"
        f"    path {json.dumps(freeze_variable(job))} {{\n"
        '      capabilities = ["read", "write"]\n'
        "    }\n"
        "  }\n"
        "}\n"
    )
