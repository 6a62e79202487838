"""Where people work: a read model of the topics, pages for moderators and an HTTP API."""
