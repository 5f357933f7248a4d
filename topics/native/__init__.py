"""librdkafka called directly: messages in and out in columns, without an object for each."""
