"""Searching for better settings."""
