"""Indexes that find the rows nearest to a vector, shared by the library and by search."""
