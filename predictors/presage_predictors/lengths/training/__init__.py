"""Training of the length predictors, with torch; nothing here is loaded where requests are served."""
