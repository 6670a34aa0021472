"""Training of fusion models."""
