"""What crosses the borders between folders? Words, axes, settings, schedules, outcomes.

Plain values that know nothing of torch, of databases or of one another's makers.
"""
