"""Fitting engine profiles to measured tables, and holding them against real runs."""
