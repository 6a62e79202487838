"""Losses of training, one per file; each names its paper and equation."""
