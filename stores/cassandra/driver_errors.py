"""The driver's errors: as one line for a person, and which of them are transient."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cassandra import (
    AuthenticationFailed,
    ConfigurationException,
    DriverException,
    InvalidRequest,
    OperationTimedOut,
    ReadTimeout,
    RequestExecutionException,
    Unauthorized,
    Unavailable,
    WriteTimeout,
)
from cassandra.cluster import NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.protocol import ErrorMessage, OverloadedErrorMessage, ServerError, SyntaxException

from schemas.errors import StoreError
from stores.cassandra.address import CassandraAddress

ERRORS = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage)
"""Every error that a request may raise."""
_FOR_GOOD = (InvalidRequest, Unauthorized, ConfigurationException, SyntaxException, AuthenticationFailed)
_PASSING = (RequestExecutionException, OperationTimedOut, NoHostAvailable, ConnectionException, ErrorMessage)


def may_heal(error: BaseException) -> bool:
    """Whether the error is transient: nodes are down, slow or overloaded, and the request itself is valid."""
    return isinstance(error, _PASSING) and not isinstance(error, _FOR_GOOD)


def reason(error: BaseException) -> str:
    """The cause of an error in a few words."""
    match error:
        case WriteTimeout() | ReadTimeout():
            return f"{error.received_responses} of {error.required_responses} replicas answered in time"
        case Unavailable():
            return f"{error.alive_replicas} of {error.required_replicas} replicas needed are up"
        case OperationTimedOut():
            return "no answer in time"
        case NoHostAvailable():
            of_nodes = error.errors.values() if isinstance(error.errors, dict) else ()
            answers = [each for each in of_nodes if isinstance(each, ErrorMessage | RequestExecutionException)]
            return reason(answers[0]) if answers else "no node can be reached"
        case ConnectionException():
            return "no node can be reached"
        case OverloadedErrorMessage():
            return "the node is overloaded"
    told = re.search(r'message="(.*)"', str(error), re.DOTALL)
    words = told.group(1) if told else str(error)
    if isinstance(error, ServerError):
        words = f"the node failed: {words}"
    return " ".join(words.split()) or type(error).__name__


@contextmanager
def store_errors(address: CassandraAddress) -> Iterator[None]:
    """Raise the driver's errors as a `StoreError` of one line."""
    try:
        yield
    except ERRORS as error:
        raise StoreError(f"Cassandra at {address}: {reason(error)}") from error
