"""Every way in: a request becomes an update, and what became of it a reply and a line in the log."""
