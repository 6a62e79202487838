"""The edits that people make to copies: on one picture, and on whole batches on a device."""
