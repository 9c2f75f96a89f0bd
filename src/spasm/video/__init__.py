"""From a video to poses."""
