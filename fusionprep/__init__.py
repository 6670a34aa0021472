"""Preprocess and fuse brain PET, MRI and CT."""

from fusionprep._version import __version__

__all__ = ["__version__"]
