"""What can go wrong with a server, each as one plain line (with the end of its log where that helps)."""

from __future__ import annotations


class ServiceError(Exception):
    """A server cannot be had or does not answer."""


class MissingTool(ServiceError):
    """Java or Maven is not on this machine; the message names it and says how to get it."""


class PortTaken(ServiceError):
    """Another program listens at the port that was asked for."""
