"""The brokers: the user's cluster, a real Kafka on this machine, or one inside the process."""
