"""PET, CT and FLAIR with the T1w they belong to: finding, pairing, metadata, derivative names."""
