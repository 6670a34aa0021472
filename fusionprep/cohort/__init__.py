"""Simulated cohorts in template space, for which it is known how well classes can be told apart."""
