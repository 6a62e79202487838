"""What operators do to a running service: verify, reshard, restore, take down, submit again."""
