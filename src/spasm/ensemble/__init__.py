"""Several models into one probability and one label."""
