"""Aligners: from a similarity matrix to boxes of copied spans. One implementation per file."""
