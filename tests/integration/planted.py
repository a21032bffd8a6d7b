"""Secrets at places of config.yml that are chosen anew each time, encrypted as people do."""

import copy
import random
import secrets

SECRET = object()  # a text that may be encrypted


def places():
    """A configuration that harms nobody, wherever its secrets are: nothing is sent, and no cache is asked."""
    header = f"X-{secrets.token_hex(3)}"
    quiet = {"ignore": {"actions": ["pull", "push", "mount", "delete"]}, "timeout": "1s", "threshold": 1}
    return {
        "log": {
            "level": "warn",
            "hooks": [
                {
                    "type": "mail",
                    "levels": ["panic"],
                    "options": {
                        "smtp": {"addr": SECRET, "username": SECRET, "password": SECRET},
                        "from": SECRET,
                        "to": [SECRET, SECRET],
                    },
                }
            ],
        },
        "health": {"http": [{"uri": "http://127.0.0.1:5001/debug/vars", "headers": {header: [SECRET]}}]},
        "notifications": {
            "endpoints": [
                {"name": "first", "url": SECRET, "headers": {header: [SECRET, SECRET]}, **quiet},
                {"name": "second", "url": "http://127.0.0.1:9/", "headers": {"X-A.b": [SECRET]}, **quiet},
            ]
        },
    }


def plant(deployment, count=4):
    """Write that configuration, and encrypt some of its texts; gives them by their places."""
    config = places()
    found = list(_secrets(config, ()))
    chosen = random.sample(found, count)
    known = {}
    for path in found:
        text = f"planted-{secrets.token_hex(8)}"
        if path[-1] == "url":
            text = f"http://127.0.0.1:9/{text}"
        _put(config, path, text)
        if path in chosen:
            known[path] = text
    clear = copy.deepcopy(config)
    for path in known:
        _put(clear, path, "http://127.0.0.1:9/" if path[-1] == "url" else "clear")
    deployment.change("registry", config=clear)
    for path, text in known.items():
        deployment.encrypt("registry.config" + "".join(map(_step, path)), text)
    return {".".join(map(str, path)): text for path, text in known.items()}


def _step(step):
    return f"[{step}]" if isinstance(step, int) else f'["{step}"]'


def _secrets(value, at):
    if value is SECRET:
        yield at
    for key, each in (
        value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ())
    ):
        yield from _secrets(each, (*at, key))


def _put(config, path, text):
    for step in path[:-1]:
        config = config[step]
    config[path[-1]] = text
