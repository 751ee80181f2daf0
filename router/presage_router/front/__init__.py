"""As front: reads a client's request, finds it a place, relays the answer."""
