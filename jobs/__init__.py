"""What Nomad runs: jobs as typed data that renders to its API's JSON. No Pulumi here."""
