"""What `leaksweep run` imports, save for torch: by the process that drivers fork from."""

import alembic.command
import pandas
import quick_leaksweep
import rich.progress
import rich.table
import sqlalchemy.dialects.sqlite

import analysis.load
import analysis.tables
import sweep.cli.app
import sweep.cli.progress
import sweep.driver
import sweep.grid
import sweep.grid.spec_file
import sweep.running.runner
import sweep.store.migrate
import sweep.store.store

__all__ = ["alembic", "analysis", "pandas", "quick_leaksweep", "rich", "sqlalchemy"]
__all__ += ["sweep"]
