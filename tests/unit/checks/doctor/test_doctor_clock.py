from email.utils import formatdate

import pytest

from checks.doctor.clock import clocks_agree
from checks.servers import Server

NOW = 1_800_000_000


@pytest.fixture
def ahead(monkeypatch):
    """Let servers' clocks be ahead by so many seconds."""

    def by(**seconds):
        monkeypatch.setattr(Server, "clock", lambda self: NOW + seconds.get(self.name, 0))

    return by


def test_clocks_that_agree_to_the_second_are_ok(look, ahead):
    ahead(Nomad=1, Consul=-1)

    assert look(clocks_agree).state == "ok"


@pytest.mark.parametrize(
    ("seconds", "state", "words"),
    [(20, "warning", "20 s ahead of"), (-300, "failure", "299 s behind")],
)
def test_a_clock_that_differs_is_named(look, ahead, seconds, state, words):
    ahead(Vault=seconds)

    found = look(clocks_agree)

    assert found.state == state
    assert found.what.startswith(f"the clock of Vault's machine is {words}")
    assert found.fix.startswith("timedatectl set-ntp true")


def test_a_servers_clock_is_the_date_of_its_answer(web_server, read_settings):
    server = web_server(body='""', headers={"Date": formatdate(NOW, usegmt=True)})
    providers = read_settings(
        servers={
            "nomad:address": server.address,
            "consul:address": server.address,
            "vault:address": server.address,
        }
    ).providers

    assert Server(providers.nomad, None).clock() in (NOW, Server(providers.vault, None).clock())
