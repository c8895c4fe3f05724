"""What the engine can do by now. What it cannot is not asked of it, unless everything is (./tests/simulate --everything)."""

import os

EVERYTHING = "SIMULATE_EVERYTHING"  # set in the environment: what the engine cannot do yet is a violation, too
ASKED_FOR = bool(os.environ.get(EVERYTHING))

TAKES_TEXT = True  # TXT values as items of an update
EACH_ITS_OWN = True  # items of different zones have results of their own
ONE_ORDER = True  # scripts and record sets, and all specs of one place over all reloads, are in one order
TOLD_OF_QUESTIONS = True  # what a question confirmed is watched like what was written
