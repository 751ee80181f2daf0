"""How fast virtual time runs: requests a second of CPU, beside the slow reference; and its memory."""
