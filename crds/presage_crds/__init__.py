"""What a user declares: the Presage API, written once as pydantic models."""
