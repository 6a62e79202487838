"""Telling others what happens: secrets, requests, and who sends them when."""
