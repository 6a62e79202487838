"""The frame library: deterministic state machines over one ordered log, one per shard."""
