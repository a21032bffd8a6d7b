from config.registry import dotted, secret_paths, value_at

CONFIG = {
    "http": {"secret": "s", "headers": {"X-Frame-Options": ["DENY"]}, "tls": {"key": "/path/of/key.pem"}},
    "storage": {"s3": {"accesskey": "a", "secretkey": "b", "bucket": "c", "keyid": "d"}},
    "middleware": {"storage": [{"name": "cloudfront", "options": {"privatekey": "/path/of/key.pem"}}]},
    "notifications": {"endpoints": [{"name": "n", "headers": {"Authorization": ["Bearer t"], "X-A": ["b"]}}]},
    "health": {"http": [{"uri": "http://x", "headers": {"X-Token": ["t"]}}]},
}


def test_secrets_are_found_wherever_they_stand_and_paths_of_key_files_are_none():
    assert [dotted(path) for path in secret_paths(CONFIG)] == [
        "http.secret",
        "storage.s3.accesskey",
        "storage.s3.secretkey",
        "notifications.endpoints.0.headers.Authorization.0",
        "notifications.endpoints.0.headers.X-A.0",
        "health.http.0.headers.X-Token.0",
    ]


def test_a_value_is_found_by_its_path():
    assert value_at(CONFIG, ("notifications", "endpoints", 0, "headers", "X-A")) == ["b"]
    assert value_at(CONFIG, ("notifications", "endpoints", 7)) is None
    assert value_at(CONFIG, ("http", "secret", "deeper")) is None
