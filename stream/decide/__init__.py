"""From the shards' answers to alerts and one decision: join, policy, verdicts, floods."""
