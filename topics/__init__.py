"""Kafka: topics, their messages, and the schema registry beside them."""
