"""The training methods of the text-video encoder, one file each, over the `Step` of `step.py`."""
