"""`presage simulate`: systems from policies and predictors, runs with progress, a table and a report."""
