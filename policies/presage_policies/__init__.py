"""What to do about it: pure decisions over frozen dataclasses, without I/O or a clock."""
