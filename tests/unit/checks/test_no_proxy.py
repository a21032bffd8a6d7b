import pytest

from checks.no_proxy import no_proxy


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_hosts_are_added_to_what_is_there_in_both_spellings(name):
    given = {name: "http://proxy.lan:3128", "no_proxy": "example.org,localhost"}

    entries = "example.org,localhost,127.0.0.1"
    assert no_proxy(given, "127.0.0.1", "localhost") == {"NO_PROXY": entries, "no_proxy": entries}


def test_without_a_proxy_nothing_is_set():
    assert no_proxy({"HTTP_PROXY": "", "NO_PROXY": "example.org"}, "127.0.0.1") == {}
