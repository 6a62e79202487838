"""The workers: each wraps one pure step and moves its events in and out of Kafka."""
