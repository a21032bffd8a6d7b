"""What a preview shows of a change: the inputs that change, not what a server will compute of them."""

import pulumi

_JOB = "nomad:index/job:Job"
# The provider has them change with the jobspec (terraform-provider-nomad, resourceJobCustomizeDiff).
_COMPUTED = [
    "allocationIds",
    "datacenters",
    "deploymentId",
    "deploymentStatus",
    "modifyIndex",
    "name",
    "namespace",
    "region",
    "status",
    "taskGroups",
    "type",
    "version",
]


def show_inputs_only() -> None:
    """Leave out of every preview what Nomad computes of a job, whichever component makes the job."""
    pulumi.runtime.register_stack_transformation(without_computed)


def without_computed(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Give the options of one resource, if it is a job."""
    if args.type_ != _JOB:
        return None
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(hide_diffs=_COMPUTED))
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)
