"""What the engine can do by now. What it cannot is not asked of it in the random histories."""

TAKES_TEXT = False  # TXT values as items of an update
EACH_ITS_OWN = False  # items of different zones have results of their own
ONE_ORDER = False  # scripts and record sets, and all specs of one place over all reloads, are in one order
