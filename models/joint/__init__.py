"""Key-frame extractor and pattern detector trained together, as SSAN does."""
