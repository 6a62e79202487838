"""Search among the videos' vectors: a view of `video.embedded` that text is compared with."""
