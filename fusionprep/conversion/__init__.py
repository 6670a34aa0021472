"""Images of other kinds (DICOM, MINC, pictures, two files) made into a BIDS dataset."""
