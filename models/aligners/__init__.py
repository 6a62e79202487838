"""Aligners: from a similarity matrix to boxes of copied spans. One implementation per file.

`models.all_aligners` knows them by name, the pattern detector among them.
"""
