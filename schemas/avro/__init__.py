"""Avro: messages of topics into columns of events, and scores into messages."""
