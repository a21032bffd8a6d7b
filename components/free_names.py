"""No resource of the stack takes the place of another stack's."""

import pulumi

from checks.servers import Servers
from checks.taken_name import CHECKED, require_free
from config.settings import Settings


def require_free_names(settings: Settings) -> None:
    """Have each resource that is about to be made looked for on its server first, at preview too.

    Only the engine knows what the stack has already, and it asks a hook for what it has not. A transformation
    puts the hook on all of them, whichever component makes them.
    """

    def look(args: pulumi.ResourceHookArgs) -> None:
        with Servers(settings.providers) as servers:
            require_free(servers, settings, args.type, args.new_inputs or {})

    hook = pulumi.ResourceHook("name-is-free", look, pulumi.ResourceHookOptions(on_dry_run=True))
    binding = pulumi.ResourceHookBinding(before_create=[hook])

    def bind(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if args.type_ not in CHECKED:
            return None
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(hooks=binding))
        return pulumi.ResourceTransformationResult(props=args.props, opts=opts)

    pulumi.runtime.register_stack_transformation(bind)
