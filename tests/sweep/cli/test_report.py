from pathlib import Path


def test_report_writes_one_page_and_prints_its_path(leaksweep, url, tmp_path):
    out = tmp_path / "new" / "r.html"
    ended = leaksweep("report", "--out", str(out), "held")
    assert ended.code == 0
    assert ended.out == f"{out}\n"
    assert out.read_text().startswith("<!doctype html>")
    assert "with failures" not in out.read_text()


def test_report_of_an_unknown_sweep_ends_with_1_and_the_valid_names(leaksweep, url, tmp_path):
    ended = leaksweep("report", "--out", str(tmp_path / "r.html"), "hold")
    assert ended.code == 1
    assert "Did you mean held?" in ended.err
    assert not (tmp_path / "r.html").exists()


def test_export_writes_figures_beside_the_tables_only_when_asked(leaksweep, url, tmp_path):
    plain = leaksweep("export", "--out", str(tmp_path / "plain"), "held")
    assert plain.code == 0
    assert {path.suffix for path in (tmp_path / "plain").iterdir()} == {".csv"}
    ended = leaksweep("export", "--out", str(tmp_path / "all"), "held", "--figures")
    assert ended.code == 0
    assert "Left out article_trace: no trial with frozen steps was" in ended.err
    written = {Path(line) for line in ended.out.splitlines()}
    assert written == set((tmp_path / "all").iterdir())
    assert tmp_path / "all" / "leak_rate_heatmap.png" in written
