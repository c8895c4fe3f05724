"""What etc/install computes: the words it is called with, addresses, zones, confs, and what is still as it was made."""
