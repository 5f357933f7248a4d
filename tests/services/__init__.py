"""Real servers for tests, benchmarks and development, from Maven Central's artifacts; they need Java 17 and Maven."""
