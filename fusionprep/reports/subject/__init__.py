"""The report of a subject."""
