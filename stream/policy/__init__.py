"""Which matches become alerts: rights holders' rules, moderators' verdicts, floods. No broker."""
