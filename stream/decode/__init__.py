"""From a video file to evenly spaced, prepared frames, in a child process with limits."""
