"""The report: one HTML page that says what was run, what was found, and how to repeat it.

`analysis.report.content` gathers it from a database, `analysis.report.page` makes the file.
"""
