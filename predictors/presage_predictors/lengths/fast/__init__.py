"""The fast tier: a small network of hashed words that was taught by a transformer; numpy is all it needs."""
