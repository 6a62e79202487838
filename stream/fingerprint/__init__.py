"""From a fetched upload to its fingerprint and embedding: decode, key frames, encode, embed."""
