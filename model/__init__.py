"""The business logic: sequences, features, propensity. It knows nothing of Bytewax, Kafka, Avro files or stores."""
