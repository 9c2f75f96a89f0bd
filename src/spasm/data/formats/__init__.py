"""Other systems' data layouts."""
