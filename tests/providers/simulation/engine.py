"""What the engine can do by now. What it cannot is not asked of it, unless everything is (./tests/simulate --everything)."""

import os

EVERYTHING = "SIMULATE_EVERYTHING"  # set in the environment: what the engine cannot do yet is a violation, too
ASKED_FOR = bool(os.environ.get(EVERYTHING))

TAKES_TEXT = False  # TXT values as items of an update
EACH_ITS_OWN = False or ASKED_FOR  # items of different zones have results of their own
ONE_ORDER = False or ASKED_FOR  # scripts and record sets, and all specs of one place over all reloads, are in one order
TOLD_OF_QUESTIONS = False or ASKED_FOR  # what a question confirmed is watched like what was written
RECOVERS = False or ASKED_FOR  # the first request after a trouble of a zone waits for no other zone
