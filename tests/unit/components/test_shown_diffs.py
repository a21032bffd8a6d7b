import pulumi
import pulumi_nomad as nomad

from components.shown_diffs import without_computed

JOB = "nomad:index/job:Job"


def options_of(kind):
    opts = pulumi.ResourceOptions(protect=True)
    args = pulumi.ResourceTransformationArgs(resource=None, type_=kind, name="job", props={}, opts=opts)
    made = without_computed(args)
    return made.opts if made else opts


def properties(kind):
    """Names as the engine knows them."""
    found = {name: each.fget for name, each in vars(kind).items() if isinstance(each, property)}
    return {getattr(getter, "_pulumi_name", name) for name, getter in found.items()}


def test_of_a_job_nothing_is_hidden_that_somebody_wrote():
    hidden = set(options_of(JOB).hide_diffs)

    assert {"allocationIds", "modifyIndex"} <= hidden <= properties(nomad.Job)
    assert not hidden & properties(nomad.JobArgs)
    assert options_of(JOB).protect, "its other options stay"


def test_of_other_resources_everything_is_shown():
    assert options_of("vault:index/policy:Policy").hide_diffs is None
