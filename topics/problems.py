"""What can be wrong with a schema registry: apart from the registry itself, whose client takes long to load."""

from __future__ import annotations


class RegistryError(Exception):
    """A registry that cannot be used; the message is one line that names the setting, and shows no password."""
