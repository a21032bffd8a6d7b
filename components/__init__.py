"""What Pulumi creates: one ComponentResource a file."""
