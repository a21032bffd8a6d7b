"""The registry's dashboard: what is shown, and by which queries.

`$job` is the stack's scrape job. The exporter's is called `$job-exporter` and the mirrors' `$job-mirrors`.
Names of metrics are those of distribution 3.1 and 2.8, and of jobs/tasks/exporter.py.
"""

from monitoring.dashboard import Panel, Query, Row


def _selected(metric: str, job: str, labels: tuple[str, ...]) -> str:
    chosen = ", ".join([f'job="{job}"', *labels])
    return f"{metric}{{{chosen}}}"


def _registry(metric: str, *labels: str) -> str:
    return _selected(f"registry_{metric}", "$job", labels)


def _exporter(metric: str, *labels: str) -> str:
    return _selected(f"docker_registry_{metric}", "$job-exporter", labels)


def _process(metric: str) -> str:
    return _selected(f"process_{metric}", "$job", ())


def _rate(selector: str) -> str:
    return f"rate({selector}[$__rate_interval])"


def _mirrors(metric: str, by: str = "mirror") -> str:
    selector = _selected(f"registry_proxy_{metric}_total", "$job-mirrors", ())
    return f"sum by ({by}) ({_rate(selector)})"


def _cache(kind: str) -> str:
    """Count requests, hits or errors: 3.x has a metric for each, 2.x one for all."""
    old = _registry("storage_cache_total", f'type="{kind.title()}"')
    return f"sum({_rate(_registry(f'storage_cache_{kind}s_total'))} or {_rate(old)})"


_REQUESTS = _rate(_registry("http_requests_total"))
_ERRORS = _rate(_registry("http_requests_total", 'code=~"5.."'))
_DENIED = _rate(_registry("http_requests_total", 'code=~"401|403"'))
_ACCEPTED = _rate(_registry("http_requests_total", 'code!~"401|403"'))
_DURATIONS = _rate(_registry("http_request_duration_seconds_bucket"))
_MANIFESTS = _rate(_registry("http_request_duration_seconds_bucket", 'handler="manifest"'))
_YES_NO = {1: "yes", 0: "no"}

NOW = Row(
    title="Now",
    panels=(
        Panel(
            title="Serves",
            kind="stat",
            width=3,
            words=_YES_NO,
            bad_below=1,
            queries=(Query(_exporter("up")),),
        ),
        Panel(
            title="Read-only",
            kind="stat",
            width=3,
            words=_YES_NO,
            bad_above=1,
            queries=(Query(_exporter("read_only")),),
            description="Maintenance makes it so for a while: pulls go on, and pushes get 405.",
        ),
        Panel(
            title="Requests",
            kind="stat",
            width=3,
            unit="reqps",
            queries=(Query(f"sum({_REQUESTS})"),),
        ),
        Panel(
            title="Server errors",
            kind="stat",
            width=3,
            unit="percentunit",
            bad_above=0.05,
            queries=(Query(f"sum({_ERRORS} or 0 * {_REQUESTS}) / sum({_REQUESTS})"),),
        ),
        Panel(
            title="Room left",
            kind="stat",
            width=3,
            unit="percentunit",
            bad_below=0.1,
            queries=(Query(f"min({_exporter('volume_free_bytes')} / {_exporter('volume_size_bytes')})"),),
        ),
        Panel(
            title="Certificate ends in",
            kind="stat",
            width=3,
            unit="s",
            bad_below=86_400,
            queries=(Query(f"min({_exporter('certificate_expiry_timestamp_seconds')}) - time()"),),
        ),
        Panel(
            title="Last backup",
            kind="stat",
            width=3,
            unit="s",
            queries=(Query("time() - " + _exporter("last_success_timestamp_seconds", 'kind="backup"')),),
        ),
        Panel(
            title="Maintenance overdue",
            kind="stat",
            width=3,
            bad_above=1,
            queries=(Query(f"sum({_exporter('due_timestamp_seconds')} < bool time())"),),
        ),
    ),
)

REQUESTS = Row(
    title="Requests",
    panels=(
        Panel(
            title="By route",
            unit="reqps",
            queries=(Query(f"sum by (handler, method) ({_REQUESTS})", "{{method}} {{handler}}"),),
        ),
        Panel(
            title="By status",
            unit="reqps",
            queries=(Query(f"sum by (code) ({_REQUESTS})", "{{code}}"),),
        ),
        Panel(
            title="In flight",
            queries=(Query(f"sum by (handler) ({_registry('http_in_flight_requests')})", "{{handler}}"),),
        ),
        Panel(
            title="Latency by route, 95 of 100",
            unit="s",
            queries=(
                Query(
                    f"histogram_quantile(0.95, sum by (handler, method, le) ({_DURATIONS}))",
                    "{{method}} {{handler}}",
                ),
            ),
            description="Blobs take as long as their client needs.",
        ),
        Panel(
            title="Latency of manifests",
            unit="s",
            queries=tuple(
                Query(
                    f"histogram_quantile({share}, sum by (le) ({_MANIFESTS}))",
                    f"{share:.0%}",
                )
                for share in (0.5, 0.95, 0.99)
            ),
        ),
        Panel(
            title="Bytes",
            unit="Bps",
            queries=(
                Query(f"sum({_rate(_registry('http_response_size_bytes_sum'))})", "sent"),
                Query(
                    f"sum({_rate(_registry('http_request_size_bytes_sum'))})",
                    "received",
                ),
            ),
        ),
    ),
)

STORAGE = Row(
    title="Storage",
    panels=(
        Panel(
            title="Actions",
            unit="ops",
            queries=(
                Query(
                    f"sum by (action) ({_rate(_registry('storage_action_seconds_count'))})",
                    "{{action}}",
                ),
            ),
        ),
        Panel(
            title="Latency by action, 95 of 100",
            unit="s",
            queries=(
                Query(
                    "histogram_quantile(0.95, sum by (action, le) "
                    f"({_rate(_registry('storage_action_seconds_bucket'))}))",
                    "{{action}}",
                ),
            ),
        ),
        Panel(
            title="Cache",
            unit="ops",
            width=4,
            queries=tuple(Query(_cache(kind), f"{kind}s") for kind in ("request", "hit", "error")),
        ),
        Panel(
            title="Found in the cache",
            unit="percentunit",
            width=4,
            queries=(Query(f"{_cache('hit')} / {_cache('request')}"),),
        ),
    ),
)

AUTHENTICATION = Row(
    title="Authentication",
    panels=(
        Panel(
            title="Accepted and denied",
            unit="reqps",
            width=12,
            queries=(
                Query(
                    f"sum({_ACCEPTED})",
                    "accepted",
                ),
                Query(
                    f"sum by (code) ({_DENIED})",
                    "denied, {{code}}",
                ),
            ),
            description="A client is denied once before it logs in: so it learns how.",
        ),
        Panel(
            title="Denied",
            unit="percentunit",
            width=12,
            queries=(Query(f"sum({_DENIED}) / sum({_REQUESTS})"),),
        ),
    ),
)

MIRRORS = Row(
    title="Mirrors",
    panels=(
        Panel(
            title="Served without the upstream",
            unit="percentunit",
            queries=(
                Query(
                    f"{_mirrors('hits', 'mirror, type')} / {_mirrors('requests', 'mirror, type')}",
                    "{{mirror}} {{type}}",
                ),
            ),
        ),
        Panel(
            title="Requests",
            unit="reqps",
            queries=(
                Query(_mirrors("requests"), "{{mirror}}"),
                Query(_mirrors("misses"), "{{mirror}}, missed"),
            ),
        ),
        Panel(
            title="Bytes",
            unit="Bps",
            queries=(
                Query(_mirrors("pushed_bytes"), "{{mirror}}, sent to clients"),
                Query(_mirrors("pulled_bytes"), "{{mirror}}, from the upstream"),
            ),
        ),
    ),
)

MAINTENANCE = Row(
    title="Maintenance",
    panels=(
        Panel(
            title="Since it last went well",
            unit="s",
            queries=(Query(f"time() - {_exporter('last_success_timestamp_seconds')}", "{{kind}}"),),
        ),
        Panel(
            title="Time left to go well again",
            unit="s",
            queries=(Query(f"{_exporter('due_timestamp_seconds')} - time()", "{{kind}}"),),
        ),
        Panel(
            title="Last run failed",
            width=4,
            queries=(Query(_exporter("last_run_failed"), "{{kind}}"),),
        ),
        Panel(
            title="Not to be asked",
            width=4,
            queries=(Query(f"1 - {_exporter('exporter_can_ask')}", "{{part}}"),),
            description="What the exporter could not ask; its log says why.",
        ),
    ),
)

ROOM = Row(
    title="Room and certificates",
    panels=(
        Panel(
            title="Free",
            unit="bytes",
            queries=(Query(_exporter("volume_free_bytes"), "{{volume}}"),),
        ),
        Panel(
            title="Used",
            unit="percentunit",
            queries=(
                Query(
                    f"1 - {_exporter('volume_free_bytes')} / {_exporter('volume_size_bytes')}", "{{volume}}"
                ),
            ),
        ),
        Panel(
            title="Certificates end in",
            unit="s",
            queries=(Query(f"{_exporter('certificate_expiry_timestamp_seconds')} - time()", "{{address}}"),),
        ),
    ),
)

PROCESS = Row(
    title="Process",
    panels=(
        Panel(
            title="Memory",
            unit="bytes",
            queries=(Query(_process("resident_memory_bytes"), "{{instance}}"),),
        ),
        Panel(
            title="CPU",
            unit="percentunit",
            queries=(Query(_rate(_process("cpu_seconds_total")), "{{instance}}"),),
        ),
        Panel(
            title="Restarts in an hour",
            queries=(Query(f"changes({_process('start_time_seconds')}[1h])", "{{instance}}"),),
        ),
    ),
)

# By the text of the lines: 2.x has no field with the repository of a request that went well, and none with
# the user who is denied.
_PULLS = (
    '{job="$job"} |= `"msg":"response completed"` |= `"http.request.method":"GET"` '
    '| regexp `"http.request.uri":"/v2/(?P<repository>[^"]+)/manifests/` | repository!=""'
)
_DENIED_USERS = (
    '{job="$job"} |~ "user failed to authenticate|error authenticating user" '
    r'| regexp `(?:"username":"|error authenticating user .")(?P<user>[^"\\]+)`'
)
# How clients learn that they have to log in, with passwords and with tokens.
_USUAL = '!~ "invalid authorization credential|authorization token required"'
_DENIED_ADDRESSES = (
    f'{{job="$job"}} |= "error authorizing context" {_USUAL} '
    # Without the port that it has if no proxy is in between.
    r'| regexp `"http.request.remoteaddr":"(?P<address>[0-9]+\.[0-9.]+|\[.+?\]|[^"]+)`'
)


def _most(lines: str, label: str) -> tuple[Query]:
    return (
        Query(f"topk(10, sum by ({label}) (count_over_time({lines} [$__interval])))", f"{{{{{label}}}}}"),
    )


LOGS = Row(
    title="Logs",
    panels=(
        Panel(
            title="Lines by level",
            source="loki",
            width=6,
            queries=(
                Query(
                    'sum by (level) (count_over_time({job="$job", level=~".+"} [$__interval]))', "{{level}}"
                ),
            ),
        ),
        Panel(title="Pulls by repository", source="loki", width=6, queries=_most(_PULLS, "repository")),
        Panel(
            title="Denied by address",
            source="loki",
            width=6,
            queries=_most(_DENIED_ADDRESSES, "address"),
            description="Wrong passwords, and tokens that are wrong or not for this.",
        ),
        Panel(
            title="Denied logins by user",
            source="loki",
            width=6,
            queries=_most(_DENIED_USERS, "user"),
            description="With passwords. 3.x does not log the names of users that do not exist.",
        ),
        Panel(
            title="Warnings and errors",
            kind="logs",
            source="loki",
            width=12,
            # What is no JSON has no level: why it did not start.
            queries=(
                Query(
                    f'{{job="$job", task="registry", level!~"debug|info"}} {_USUAL} '
                    '!= `"http.response.status":404`'
                ),
            ),
            description="Without what is usual: clients before they log in, and looks for what is not there.",
        ),
        Panel(
            title="Maintenance",
            kind="logs",
            source="loki",
            width=12,
            queries=(Query('{job=~"$job-.+", task!="registry"}'),),  # mirrors have a task of that name
        ),
    ),
)

ROWS = (NOW, REQUESTS, STORAGE, AUTHENTICATION, MIRRORS, MAINTENANCE, ROOM, PROCESS, LOGS)
