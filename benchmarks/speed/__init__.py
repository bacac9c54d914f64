"""Speed of meta-training, adaptation and serving."""
