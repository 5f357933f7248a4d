"""What the driver raises, told plainly, and which of it may heal."""

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
"""All that an exchange with a server may raise."""
_FOR_GOOD = (InvalidRequest, Unauthorized, ConfigurationException, SyntaxException, AuthenticationFailed)
_PASSING = (RequestExecutionException, OperationTimedOut, NoHostAvailable, ConnectionException, ErrorMessage)


def may_heal(error: BaseException) -> bool:
    """Whether the same request may succeed later: nodes are away, late or overloaded, rather than it is wrong."""
    return isinstance(error, _PASSING) and not isinstance(error, _FOR_GOOD)


def reason(error: BaseException) -> str:
    """An error in a few plain words."""
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
def plainly(address: CassandraAddress) -> Iterator[None]:
    """Turn what the driver raises into a `StoreError`."""
    try:
        yield
    except ERRORS as error:
        raise StoreError(f"Cassandra at {address}: {reason(error)}") from error
