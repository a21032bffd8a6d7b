"""Redis, by which several instances know which layers there are."""

from checks.doctor.facts import Facts
from checks.doctor.finding import Finding, not_looked_at, ok, warning
from jobs.tasks.redis import RedisError, UnreachableError, connected

_TIMEOUT = 5  # seconds


def redis_answers(facts: Facts) -> Finding:
    """Redis answers this machine, and takes the password.

    Symptom: Pulls and pushes are slower: the registry asks the bucket each time. A garbage collection fails,
    which has to empty Redis.

    Cause: Redis is down, is at another address, or has another password.

    Fix: start Redis; or `registry.redis.address` and `registry.redis.password` as Redis has them, then
    `pulumi up`.
    """
    redis, stack = facts.settings.registry.redis, facts.settings.stack
    if redis is None:
        return not_looked_at("the stack has no registry.redis")
    try:
        with connected(redis.address, redis.password, _TIMEOUT) as connection:
            connection.ask("PING")
    except UnreachableError as error:
        moved = facts.set("registry.redis.address", "HOST:PORT")
        return warning(f"{error}, from here", f"systemctl start redis-server   # there; or {moved}")
    except RedisError as error:
        return warning(
            str(error),
            "pulumi config set --secret --path docker-registry:registry.redis.password "
            f"--stack {stack}\n{facts.up}",
        )
    return ok(f"Redis at {redis.address} answers from here")


CHECKS = (redis_answers,)
