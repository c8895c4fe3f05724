"""What stands before every place where names live: order, zones, turns, pauses, late writes; it knows no protocol."""
