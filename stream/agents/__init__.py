"""The workers: each wraps one pure step and moves its events in and out of Kafka."""

from stream.agents.batches import install

install()  # before any consumer is made
