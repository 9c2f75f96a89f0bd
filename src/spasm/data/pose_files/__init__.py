"""Pose files of other tools."""
