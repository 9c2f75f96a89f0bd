"""Files, errors, tables and processes: what everything else stands on."""
