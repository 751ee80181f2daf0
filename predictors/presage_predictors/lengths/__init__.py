"""How long a response will be: what a prompt's text, the model and the recent past tell of it."""
