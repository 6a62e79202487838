"""What runs: the stages of an upload as pure steps, and the agents that join them through Kafka."""
