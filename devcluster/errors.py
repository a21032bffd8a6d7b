"""The one error that the cluster's commands show to a person."""


class ClusterError(Exception):
    """Says what is wrong, where, and what to do; printed without a traceback."""
