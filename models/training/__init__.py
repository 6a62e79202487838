"""Training: data, edits, loops. Needs the `train` extra; serving never imports it."""
