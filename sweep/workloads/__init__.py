"""What is trained? The built-in workloads, and the import of a user's own.

`sizes` says how large the built-in ones are without torch; `workload` is what any of them is.
"""
