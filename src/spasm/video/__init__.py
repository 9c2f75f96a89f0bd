"""From videos and cameras to poses."""
