"""What was seen of host names, how each of them is, and what follows from it."""
