"""Doing it to pods: the operator that moves replicas ahead of load."""
