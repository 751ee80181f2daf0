"""Rolling-origin backtests: what each model would have said at every window, and how far off it was."""
