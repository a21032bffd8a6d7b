"""`python -m ops …`: what people and CI ask of a stack."""
