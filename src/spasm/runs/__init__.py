"""The run folder: files that a training writes."""
