"""Doing it in virtual time, with the same policies as the live system."""
