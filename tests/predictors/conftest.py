"""Hypothesis without deadlines, as in the other rooms."""

from hypothesis import settings

settings.register_profile("presage", deadline=None)  # a busy machine is no failure
settings.load_profile("presage")
