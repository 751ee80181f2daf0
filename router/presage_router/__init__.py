"""Doing it to requests: the sidecar that is front and guard."""
