"""Reader studies: people look for planted lesions, and their answers are scored."""
