"""Two drivers at the same time on one sweep, each with worker processes of its own."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

SPEC = f"""
workload = "small"
steps = 10

[[grid]]
optimizer = ["SGD"]
momentum = [0.0, 0.9]
weight_decay = [0.0, 0.1]
zero_grad = ["zero"]
seed = {list(range(50))}
"""
COUNTED = text("""
    SELECT count(*), count(DISTINCT fingerprint),
           sum(CASE WHEN verdict = 'failed' THEN 1 ELSE 0 END), count(DISTINCT sweep_id)
    FROM trial
""")
SETTINGS = text("SELECT DISTINCT momentum, weight_decay, seed FROM trial")


@pytest.mark.slow
def test_two_drivers_on_one_sweep_finish_it_and_lose_and_double_nothing(
    start_leaksweep, database_url, tmp_path
):
    spec = tmp_path / "mine.toml"
    spec.write_text(SPEC)
    command = ("run", spec, "--db", database_url, "--jobs", 2)
    both = [start_leaksweep(*command) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, "Traceback" in err) == (0, False)
    with create_engine(database_url, poolclass=NullPool).connect() as connection:
        assert connection.execute(COUNTED).one() == (200, 200, 0, 1)
        assert len(connection.execute(SETTINGS).all()) == 200
