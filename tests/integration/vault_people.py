"""Users of Vault with an entity, as identity tokens need one."""

import secrets

import hvac


def person(cluster, name, *policies):
    """Make a userpass user with policies; gives a token of theirs."""
    client = hvac.Client(url=cluster.vault_address, token=cluster.vault_token)
    if "userpass/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("userpass")
    password = secrets.token_hex(16)
    client.auth.userpass.create_or_update_user(name, password, policies=",".join(policies))
    login = hvac.Client(url=cluster.vault_address).auth.userpass.login(name, password)
    return login["auth"]["client_token"]


def registry_token(cluster, vault_token, role):
    """Let Vault sign a token of an identity token role."""
    client = hvac.Client(url=cluster.vault_address, token=vault_token)
    return client.read(f"identity/oidc/token/{role}")["data"]["token"]
