"""The fusion models, one file for each paper."""
