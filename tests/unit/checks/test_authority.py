import pytest
import trustme

from checks.authority import authority_certificate
from checks.errors import CheckError

PATH = "vault /v1/pki/ca/pem"


@pytest.fixture
def shown(servers, ready):
    """What is taken for the authority's certificate when Vault shows some text."""

    def ask(text):
        settings = ready()
        return authority_certificate(servers(settings, {PATH: {"status": 200, "body": text}}).vault, "pki")

    return ask


def test_the_certificate_is_given_as_one_pem_text(shown):
    pem = trustme.CA().cert_pem.bytes().decode()

    assert shown(f"{pem}\n\n") == pem


@pytest.mark.parametrize("text", ["", "<html>\nEND\nid >/tmp/x\n", "-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_certificate_goes_to_no_machine(shown, text):
    with pytest.raises(CheckError, match="shows no certificate of an authority at pki/"):
        shown(text)
