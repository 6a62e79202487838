"""Who may: one-time links, sessions, tokens, and what guards every request."""
