"""Where videos come from: one scheme per file, behind `stream.fetch`."""
