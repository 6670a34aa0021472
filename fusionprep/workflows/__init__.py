"""Builders of Nipype workflows."""
