"""What the user writes: typed settings, and the model of the registry's own config.yml. No Pulumi here."""
