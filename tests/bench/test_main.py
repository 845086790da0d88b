import msgspec
from bench.__main__ import main
from bench.table import render

from bench_result import result


def test_an_earlier_run_is_rendered_without_measuring(tmp_path, capsys):
    path = tmp_path / "latest.json"
    path.write_bytes(msgspec.json.encode(result()))
    assert main(["--render", str(path)]) == 0
    assert capsys.readouterr().out == render(result())


def test_an_unknown_measure_is_refused_with_code_2(tmp_path, capsys):
    assert main(["--measures", "chat,speed", "--out", str(tmp_path / "out.json")]) == 2
    assert "no measure speed; there are memory, chat" in capsys.readouterr().err


def test_asking_for_litellm_where_it_is_not_is_refused_with_code_2(tmp_path, capsys):
    missing, out = str(tmp_path / "no"), str(tmp_path / "out.json")
    assert main(["--only", "litellm", "--litellm", missing, "--out", out]) == 2
    assert "--litellm or $LITELLM_BIN" in capsys.readouterr().err


def test_a_result_that_is_not_there_is_refused_with_code_2(tmp_path, capsys):
    assert main(["--render", str(tmp_path / "none.json")]) == 2
    assert "is no result of an earlier run" in capsys.readouterr().err
