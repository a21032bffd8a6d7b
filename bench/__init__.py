"""`python -m bench …`: how fast it is, and how much it takes; one table a bench."""
