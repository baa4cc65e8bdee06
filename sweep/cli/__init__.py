"""The command line: what a person types, and what they are told.

`app` has the commands in order, `main` and the exit codes; each other module is a command
or a few that belong together. Commands import what they need when they run, so that those
which only read answer at once.
"""
