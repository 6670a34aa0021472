"""Measures of registration, segmentation and fusion."""
