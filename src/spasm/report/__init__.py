"""A run, or its predictions for new segments, as one page that stands by itself; a model card; text and plots."""
