"""The ramp under a loupe: sensitivity to capacity, what each part is worth, the same constants elsewhere."""
