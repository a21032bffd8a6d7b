def test_refresh_is_a_command_of_its_own(ops):
    assert "restarts only if one changed" in ops("keys", "refresh", "--help").output


def test_a_stack_without_vaults_tokens_is_told_so(ops, pulumi):
    pulumi.configure(
        {
            "nomad:address": "http://127.0.0.1:4646",
            "consul:address": "127.0.0.1:8500",
            "vault:address": "http://127.0.0.1:8200",
        }
    )

    ended = ops("keys", "refresh")
    assert ended.exit_code == 1
    assert "docker-registry:auth.mode is htpasswd" in str(ended.exception)
