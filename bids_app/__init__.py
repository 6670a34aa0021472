"""Command line of the fusionapp BIDS App."""
