import re

import yaml

from jobs.config_template import config_template, htpasswd_template

HTTP, CONFIG = "secret/data/docker-registry/http", "secret/data/docker-registry/config"


def rendered(template, secrets):
    """Do what consul-template does, for the few expressions that these templates use."""
    for key, value in secrets.items():
        lookup = r'\{\{ with secret "[^"]+" \}\}\{\{ index \.Data\.data "' + re.escape(key)
        template = re.sub(lookup + r'" \| toJSON \}\}\{\{ end \}\}', f'"{value}"', template)
    return yaml.safe_load(template.replace('{{"{{"}}', "{{"))


def test_http_secret_is_looked_up_in_vault():
    template = config_template({"version": 0.1, "http": {"addr": ":5000"}}, HTTP, None)

    assert f'secret: {{{{ with secret "{HTTP}" }}}}' in template
    assert rendered(template, {"secret": "s3cret"})["http"] == {"addr": ":5000", "secret": "s3cret"}


def test_secrets_of_the_stack_are_looked_up_and_not_written():
    config = {
        "version": 0.1,
        "http": {},
        "redis": {"password": "hunter2"},
        "notifications": {"endpoints": [{"name": "a", "headers": {"Authorization": ["Bearer 1234"]}}]},
    }

    template = config_template(config, HTTP, CONFIG)

    assert "hunter2" not in template and "1234" not in template
    values = {
        "secret": "s",
        "redis.password": "hunter2",
        "notifications.endpoints.0.headers.Authorization.0": "Bearer 1234",
    }
    assert rendered(template, values) == {**config, "http": {"secret": "s"}}


def test_text_that_looks_like_a_template_reaches_the_registry_as_it_is():
    config = {"version": 0.1, "http": {}, "log": {"fields": {"note": '{{ env "HOME" }}'}}}

    template = config_template(config, HTTP, None)

    assert '{{ env "HOME" }}' not in template
    assert rendered(template, {"secret": "s"})["log"]["fields"]["note"] == '{{ env "HOME" }}'


def test_more_than_ten_secrets_do_not_run_into_each_other():
    headers = {f"X-Secret-{index}": ["v"] for index in range(12)}
    config = {"version": 0.1, "http": {"headers": headers}}

    template = config_template(config, HTTP, CONFIG)

    values = {f"http.headers.X-Secret-{index}.0": f"v{index}" for index in range(12)} | {"secret": "s"}
    assert rendered(template, values)["http"]["headers"]["X-Secret-11"] == ["v11"]


def test_htpasswd_has_a_line_for_each_user():
    assert htpasswd_template("secret/data/x/users") == (
        '{{ with secret "secret/data/x/users" }}'
        "{{ range $user, $hash := .Data.data }}{{ $user }}:{{ $hash }}\n{{ end }}{{ end }}"
    )
