"""What the scripts share: flags, messages, progress, exit codes."""
