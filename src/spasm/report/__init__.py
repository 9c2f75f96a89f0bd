"""A run, or answers to new segments, as one page that stands by itself."""
