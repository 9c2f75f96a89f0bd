"""Train the folds of a model."""
