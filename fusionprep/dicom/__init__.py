"""Fused images as DICOM, for the viewer that the images came from."""
