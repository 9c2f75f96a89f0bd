"""Predictions for new segments and recordings."""
