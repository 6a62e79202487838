"""Brings a video to this machine's disk, from where the settings allow. One scheme per file."""
