"""How a resource is replaced: the old one goes before the new one is made."""

from collections.abc import Mapping, Sequence

import pulumi

_PROVIDERS = frozenset({"command", "consul", "nomad", "vault"})
# Nomad does not delete a volume that a job has mounted, and one of its name may be on another node beside it.
_BESIDE = frozenset({"nomad:index/dynamicHostVolumeRegistration:DynamicHostVolumeRegistration"})
# Inputs that say where an object is, and that the provider changes in place. It would move a mount, which
# takes a right to `sys/remount`, and then fail to delete what was below it, at a path where no mount is any
# more. And Vault forgets a group's alias together with the group.
MOVED: Mapping[str, Sequence[str]] = {
    "vault:index/mount:Mount": ["path"],
    "vault:index/authBackend:AuthBackend": ["path"],
    "vault:jwt/authBackend:AuthBackend": ["path"],
    "vault:identity/groupAlias:GroupAlias": ["canonical_id", "mount_accessor"],
}


def delete_before_replacing() -> None:
    """Have each resource of the stack deleted before its successor is made.

    Pulumi's own order is the other one. All that this program makes has a name of its own, so by that order
    `pulumi up --replace` would write an object over the old one, and then delete it with the old one; and two
    jobs cannot have one port. A transformation puts it on all resources, whichever component makes them.
    """
    pulumi.runtime.register_stack_transformation(old_one_first)


def old_one_first(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Give the options of one resource, if it is one that a provider makes."""
    if args.type_.partition(":")[0] not in _PROVIDERS or args.type_ in _BESIDE:
        return None
    order = pulumi.ResourceOptions(
        delete_before_replace=True, replace_on_changes=[*MOVED.get(args.type_, ())]
    )
    opts = pulumi.ResourceOptions.merge(args.opts, order)
    return pulumi.ResourceTransformationResult(props=args.props, opts=opts)
