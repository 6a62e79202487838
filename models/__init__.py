"""What is learned or measured on frames: encoder, key frames, aligners, metrics. No Kafka, no Faiss."""
