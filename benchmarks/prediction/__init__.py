"""Behind docs/evaluation/prediction.md: forecasts against the truth, cost by the hour, means of lengths."""
