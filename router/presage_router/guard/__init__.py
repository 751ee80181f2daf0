"""As guard of its own engine: admits, counts, anticipates, pulls, and answers what peers ask."""
