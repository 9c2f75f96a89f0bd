"""Segments, labels, folds and recordings, checked."""
