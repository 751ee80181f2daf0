"""The `presage` command: composition roots, and the demo."""
