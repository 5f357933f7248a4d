"""The schema registry that the settings name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

if TYPE_CHECKING:
    from topics.registry import Registry


class RegistrySettings(Protocol):
    """The settings that say whether there is a registry, and where it is."""

    @property
    def schema_registry_url(self) -> SecretStr | None:
        """Its addresses."""


def registry_of(settings: RegistrySettings) -> Registry | None:
    """The schema registry that the settings name, if any; whoever opens it closes it.

    Raises:
        RegistryError: it is no address.
    """
    if settings.schema_registry_url is None:
        return None
    from topics.registry import Registry  # takes half a second to load

    return Registry(settings.schema_registry_url.get_secret_value())
