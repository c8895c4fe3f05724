"""Real parts against each other."""
