"""Combine several models into one probability and one label."""
