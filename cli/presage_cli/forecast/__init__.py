"""What `presage forecast` does: from files to tasks, from scores to tables and charts."""
