"""The dual encoder: one vector for a text, one for a video, alike where one tells of the other."""
