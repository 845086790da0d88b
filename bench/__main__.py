"""`python -m bench`: measure, write the result, print the table. Rule: arguments in, text out."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shlex
import sys
import tempfile
from pathlib import Path

import msgspec

from bench import machine, rounds, stage, subjects, table
from bench.failures import BenchStopped
from bench.figures import Result, ratios
from bench.subjects import Options


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 when a run stopped, 2 when it could not begin."""
    asked = _parser().parse_args(arguments)
    try:
        result = _earlier(Path(asked.render)) if asked.render else _measured(asked, arguments)
    except BenchStopped as stopped:
        sys.stderr.write(f"bench: {stopped}\n")
        return stopped.code
    sys.stdout.write(table.render(result))
    return 0


def _earlier(path: Path) -> Result:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Result)
    except (OSError, msgspec.DecodeError) as error:
        message = f"{path} is no result of an earlier run: {error}"
        raise BenchStopped(message, code=2) from error


def _measured(asked: argparse.Namespace, arguments: list[str]) -> Result:
    out = Path(asked.out).absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    options = Options(
        litellm=asked.litellm or os.getenv("LITELLM_BIN"),
        before=Path(asked.before).absolute() if asked.before else None,
        extra=asked.extra,
        profile_path=out.with_name("gatemill.prof") if asked.profile else None,
    )
    names, notes = _names(asked.only, options)
    measures = asked.measures.split(",") if asked.measures else list(rounds.MEASURES)
    if asked.profile:
        measures = [name for name in measures if name != "start"]  # a start would overwrite it
        notes.append(f"Gatemill ran under cProfile, which slows it: {options.profile_path}.")
    _require_known(measures)
    machine.require_tools({"h2load"} | ({"nginx"} & set(names)))
    here = machine.describe()
    cores = machine.cores(os.sched_getaffinity(0))
    if cores.gateway == cores.load:
        notes.append("One core for everything: only CPU and memory mean something.")
    os.sched_setaffinity(0, cores.load)
    plan = rounds.QUICK if asked.quick else rounds.FULL
    with (
        tempfile.TemporaryDirectory(prefix="gatemill-bench-") as folder,
        stage.opened(_reachable(folder), cores, options) as opened,
    ):
        run = rounds.Run(opened, plan, measures)
        run.measure(names)
    result = Result(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        command=shlex.join(["python", "-m", "bench", *arguments]),
        machine=here,
        subjects=names,
        versions={name: subjects.version(name, options) for name in names},
        setups=run.setups,
        notes=[*notes, *run.notes],
        figures=run.tally.figures,
        ratios=ratios(run.tally.figures, names),
    )
    out.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2))
    return result


def _names(only: str | None, options: Options) -> tuple[list[str], list[str]]:
    """The subjects to measure, and what to say of those that are not here."""
    names = subjects.available(options)
    notes = []
    if only:
        names = only.split(",")
    if "litellm" not in names and not only:
        notes.append("LiteLLM is not installed: its column is left out (`--litellm PATH`).")
    if "litellm" in names and subjects.litellm_path(options) is None:
        message = "LiteLLM is not installed here; name its command with --litellm or $LITELLM_BIN"
        raise BenchStopped(message, code=2)
    for note in notes:
        rounds.say(note)
    return names, notes


def _require_known(measures: list[str]) -> None:
    unknown = sorted(set(measures) - set(rounds.MEASURES))
    if unknown:
        message = f"no measure {', '.join(unknown)}; there are {', '.join(rounds.MEASURES)}"
        raise BenchStopped(message, code=2)


def _reachable(folder: str) -> Path:
    path = Path(folder)
    path.chmod(0o755)  # for nginx's worker, which gives up root
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Gatemill against nginx and LiteLLM, in one run."
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="fewer and shorter rounds, under 90 seconds")
    add("--only", metavar="A,B", help="subjects, e.g. gatemill,nginx")
    add("--measures", metavar="A,B", help=f"some of {','.join(rounds.MEASURES)}")
    add("--litellm", metavar="PATH", help="its command; else $LITELLM_BIN, else litellm on PATH")
    add("--before", metavar="DIR", help="another checkout of Gatemill, as a column")
    add("--extra", metavar="NAME=COMMAND", help="any proxy; {port} and {upstream} are filled in")
    add("--out", metavar="FILE", default="bench-out/latest.json", help="default: %(default)s")
    add("--profile", action="store_true", help="Gatemill under cProfile, written beside --out")
    add("--render", metavar="FILE", help="print the table of an earlier run, measure nothing")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
