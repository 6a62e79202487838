"""The frame encoder: network and export. Needs torch; serving uses the exported ONNX file."""
