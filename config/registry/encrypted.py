"""A text that the stack file has encrypted, told apart from the others by its type."""


class Encrypted(str):
    """A text that is encrypted in the stack file: it goes to Vault whatever its key, and nothing shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "(not shown)"
