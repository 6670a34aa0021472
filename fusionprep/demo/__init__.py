"""A synthetic BIDS dataset with known truth."""
