"""What is seen of a video without a network: frames as squares, cuts, motion."""
