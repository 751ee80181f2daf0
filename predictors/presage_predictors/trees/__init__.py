"""Gradient-boosted trees over a day of lags: the learned control."""
