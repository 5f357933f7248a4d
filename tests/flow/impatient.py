"""The dataflow of the environment, which gives Cassandra up after 2 s in place of three minutes."""

from functools import partialmethod

from bytewax.dataflow import Dataflow

from dataflow import flow_of_environment
from stores.cassandra.writer import CassandraWriter


def impatient_flow() -> Dataflow:
    """Called by Bytewax alone: whoever only imports this module (pytest, looking for doctests) keeps his patience."""
    CassandraWriter.__init__ = partialmethod(CassandraWriter.__init__, deadline=2.0)
    return flow_of_environment()
