"""Simulated infants."""
