"""Key-frame selectors: which candidate frames are stored. One implementation per file."""
