"""Files, errors, tables and processes, which every other package uses."""
