"""Does a trial that is run again show what was recorded?

`trial_sources` reads what was recorded, `rerun` runs it again, and `comparison` holds the two
against each other. Nothing is written.
"""
