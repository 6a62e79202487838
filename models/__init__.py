"""What is learned or measured on frames: encoder, key frames, aligners, metrics.

Knows no Kafka and no Faiss.
"""
