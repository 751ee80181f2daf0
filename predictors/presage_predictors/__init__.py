"""What will happen: forecasts of load and predictions of answer length."""
