"""The demo: two equal services under one replayed load, one scaled ahead of it and one behind it."""
