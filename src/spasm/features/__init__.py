"""Channels and kinematic features of a pose."""
