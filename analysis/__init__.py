"""What the results say: frames, summary tables and their files.

Knows the database by its public schema, and pandas; imports nothing of `sweep`, never torch.
"""
