"""How the steps are run: local workers, and the batch systems of clusters."""
