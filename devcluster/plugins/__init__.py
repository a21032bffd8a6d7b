"""Stand-ins for the published provider plugins, for places that cannot download them.

Each speaks Pulumi's provider protocol under the published plugin's name and version, implements just
the resource types that the program uses, and behaves like the published one where it shows.
"""
