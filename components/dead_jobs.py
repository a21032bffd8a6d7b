"""No deploy leaves a job of the stack dead."""

import json

import pulumi

from checks.dead_jobs import require_alive, started_anew
from checks.errors import CheckError
from checks.servers import Servers
from config.settings import Settings

_JOB = "nomad:index/job:Job"


def start_dead_jobs(settings: Settings) -> None:
    """Start what Nomad has given up anew, and stop at a job that is dead when it has been deployed.

    The provider only looks at a job's status, which is `running` as long as one of its groups runs; and Nomad
    starts nothing of an unchanged job whose deployment failed. A transformation does it for all jobs,
    whichever component makes them.
    """

    def marked(jobspec: str) -> str:
        job = json.loads(jobspec)
        try:
            with Servers(settings.providers) as servers:
                anew = started_anew(servers.nomad, job)
        except CheckError as error:
            raise pulumi.RunError(str(error)) from None
        return jobspec if anew == job else json.dumps(anew, sort_keys=True)

    def look(args: pulumi.ResourceHookArgs) -> None:
        job = json.loads((args.new_inputs or {})["jobspec"])
        with Servers(settings.providers) as servers:
            require_alive(servers.nomad, job["ID"], settings)

    hook = pulumi.ResourceHook("job-lives", look)
    binding = pulumi.ResourceHookBinding(after_create=[hook], after_update=[hook])

    def transform(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        if args.type_ != _JOB:
            return None
        jobspec = pulumi.Output.from_input(args.props["jobspec"]).apply(marked)
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(hooks=binding))
        return pulumi.ResourceTransformationResult(props={**args.props, "jobspec": jobspec}, opts=opts)

    pulumi.runtime.register_stack_transformation(transform)
