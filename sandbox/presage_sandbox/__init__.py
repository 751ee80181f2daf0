"""A real Kubernetes on one machine, and an emulated engine to run on it."""
