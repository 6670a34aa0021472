"""Nipype interfaces: file I/O around one function each."""
