"""Settings, and their ranges."""
