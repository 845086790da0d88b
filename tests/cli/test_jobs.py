"""`gatemill jobs` against a real server, whose provider fails on demand."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from cli_jobs_play import CONFIG, KIND, PATIENCE_S, chat
from cli_run import Command, clean_environment
from gatemill.cli import jobs_shown
from lab import on_terminal, provider
from openapi_examples import fetch
from running import serve
from site_under_fire import until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("jobs")
    (folder / "held.py").write_text(KIND)
    with (
        provider(folder) as url,
        serve(folder, CONFIG.format(url=url, kind=folder / "held.py")) as server,
    ):
        yield server


@pytest.fixture
def jobs(gatemill: Command, known):
    return lambda *arguments, **more: gatemill("jobs", *arguments, **(known | more))


@pytest.fixture
def ended(jobs):
    """The id of a job that has ended, whatever its end."""

    def run(*arguments: str) -> str:
        job_id = jobs("submit", *arguments).out.strip()
        jobs("watch", job_id)
        return job_id

    return run


# --- Submitting ---------------------------------------------------------------------------------------


def test_only_the_id_goes_to_standard_output(jobs) -> None:
    said = jobs("submit", "chat.completion", "--args", chat())
    assert said.code == 0, said.err
    assert said.out.startswith("job_")
    assert len(said.out.split()) == 1
    assert said.err.endswith(f": gatemill jobs watch {said.out}")


def test_with_wait_the_result_goes_to_standard_output(jobs) -> None:
    said = jobs("submit", "chat.completion", "--args", chat(), "--wait")
    assert said.code == 0, said.err
    assert msgspec.json.decode(said.out)["choices"][0]["message"]["content"] == "hello big world"
    assert "succeeded, after " in said.err


def test_with_wait_a_job_that_dies_is_code_1(jobs) -> None:
    said = jobs("submit", "chat.completion", "--args", chat("strict"), "--wait")
    assert (said.code, said.out) == (1, "")
    assert "dead, after " in said.err
    assert "content policy" in said.err


def test_with_wait_and_json_the_whole_job_is_printed(jobs) -> None:
    said = jobs("submit", "chat.completion", "--args", chat("strict"), "--wait", "--json")
    job = msgspec.json.decode(said.out)
    assert (said.code, job["state"], job["error"]["code"]) == (
        1,
        "dead",
        "content_policy_violation",
    )


def test_arguments_come_from_a_file_or_standard_input(jobs, monkeypatch) -> None:
    Path("args.json").write_text(chat())
    assert jobs("submit", "chat.completion", "--args", "@args.json", "--wait").code == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO(chat()))
    assert jobs("submit", "chat.completion", "--args", "@-", "--wait").code == 0


def test_what_is_said_of_a_job_is_kept(jobs) -> None:
    said = jobs(
        *("submit", "chat.completion", "--args", chat(), "--priority", "low", "--json"),
        *("--run-at", "+90m", "--ttl", "2h", "--metadata", "for=ada", "--metadata", "why=a=b"),
    )
    job = msgspec.json.decode(said.out)
    assert (job["state"], job["priority"]) == ("scheduled", "low")
    assert job["metadata"] == {"for": "ada", "why": "a=b"}
    assert job["run_at"] - job["created_at"] == pytest.approx(5400, abs=60)
    assert job["expires_at"] - job["run_at"] == pytest.approx(7200, abs=60)


def test_a_moment_is_passed_on_as_it_is_said(jobs) -> None:
    asks = ("submit", "chat.completion", "--args", chat(), "--json", "--run-at")
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
    said = msgspec.json.decode(jobs(*asks, at.isoformat()).out)
    assert said["run_at"] == at.timestamp()
    assert msgspec.json.decode(jobs(*asks, f"{at.timestamp()}").out)["run_at"] == at.timestamp()


def test_the_same_idempotency_key_gives_the_same_job(jobs) -> None:
    asks = ("submit", "chat.completion", "--args", chat(), "--idempotency-key", "monday")
    first, second = jobs(*asks).out, jobs(*asks).out
    assert first == second
    assert jobs("submit", "chat.completion", "--args", chat()).out != first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("submit", "chat.completoin"), "Did you mean chat.completion?"),
        (("submit", "chat.completion", "--args", "{"), "--args is no JSON"),
        (("submit", "chat.completion", "--args", "@nothere.json"), "cannot read nothere.json"),
        (("submit", "chat.completion", "--args", '{"model": 3}'), "args.model"),
        (("submit", "chat.completion", "--metadata", "ada"), "--metadata ada: not a pair"),
        (("submit", "chat.completion", "--ttl", "soon"), "--ttl soon: not a duration"),
        (("submit", "chat.completion", "--run-at", "+x"), "--run-at +x: not a duration"),
        (("submit", "test.held", "--args", '{"file": "x"}', "--run-at", "2001-01-01"), "run_at"),
        (("submit", "test.held", "--args", '{"file": "x"}', "--priority", "top"), "priority"),
        (("submit",), "Missing argument"),
    ],
)
def test_a_mistake_of_the_input_is_code_2(jobs, arguments, words) -> None:
    said = jobs(*arguments)
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_the_world_s_mistakes_are_code_1(jobs) -> None:
    unknown = jobs("show", "job_nobody")
    assert (unknown.code, "There is no" in unknown.err) == (1, True)
    assert jobs("watch", "job_nobody").code == 1
    nobody = jobs("ls", GATEMILL_URL="http://127.0.0.1:9")
    assert (nobody.code, "no gateway answers" in nobody.err) == (1, True)
    assert jobs("ls", GATEMILL_API_KEY="gm-wrong").code == 1


# --- Looking ------------------------------------------------------------------------------------------


def test_the_text_of_a_streamed_chat_is_printed_as_it_comes(jobs) -> None:
    job_id = jobs("submit", "chat.completion", "--args", chat(stream=True)).out.strip()
    said = jobs("watch", job_id)
    assert (said.code, said.out) == (0, "hello big world\n")
    assert "succeeded, after " in said.err
    assert jobs("watch", job_id).out == "hello big world\n"  # also afterwards


def test_a_job_is_shown_with_its_attempts_and_its_result(jobs, ended) -> None:
    out = jobs("show", ended("chat.completion", "--args", chat(), "--metadata", "for=ada")).out
    assert "\nstate      succeeded, 1 of 2 attempts\n" in out
    assert "\nmetadata   for=ada\n" in out
    assert '"content": "hello big world"' in out
    (attempt,) = [line for line in out.splitlines() if line.startswith("1 ")]
    assert attempt.split()[-1] == "succeeded"


def test_every_failed_attempt_is_shown_with_its_reason(jobs, ended) -> None:
    lines = jobs("show", ended("chat.completion", "--args", chat("down"))).out.splitlines()
    assert "state      dead, 2 of 2 attempts" in lines
    tries = [line for line in lines if line.startswith(("1 ", "2 "))]
    assert [line.split()[4] for line in tries] == ["retried", "failed"]
    assert all("upstream_error: The provider answered 500." in line for line in tries)


def test_why_it_is_tried_again_is_told_while_one_watches(jobs) -> None:
    job_id = jobs("submit", "chat.completion", "--args", chat("down")).out.strip()
    said = jobs("watch", job_id)
    assert said.code == 1
    assert "dead, after " in said.err
    assert "at attempt 2: The provider answered 500." in said.err


def test_a_long_result_is_cut_and_json_shows_all(jobs, ended) -> None:
    args = json.dumps({"model": "echo", "items": [f"item {n}" for n in range(20)]})
    job_id = ended("batch.predict", "--args", args)
    assert jobs("show", job_id).out.rstrip().endswith("… --json shows all")
    assert len(msgspec.json.decode(jobs("show", job_id, "--json").out)["result"]["data"]) == 20


def test_a_list_goes_over_as_many_pages_as_it_takes(jobs, running) -> None:
    at_s = datetime.now(UTC).timestamp() + 86_400
    one = {"kind": "test.held", "args": {"file": "x"}, "run_at": at_s}
    headers = {"authorization": f"Bearer {running.key}"}
    said = fetch(running.url + "/v1/jobs", headers, msgspec.json.encode({"jobs": [one] * 130}))
    assert said.status == 202, said.body
    asks = ("ls", "--state", "scheduled", "--kind", "test.held", "--json", "--limit")
    found = [job["id"] for job in msgspec.json.decode(jobs(*asks, "120").out)]
    assert len(set(found)) == 120
    assert len(msgspec.json.decode(jobs(*asks, "7").out)) == 7


def test_queues_are_shown_with_what_waits(jobs) -> None:
    lines = jobs("queues").out.splitlines()
    assert lines[0].split() == ["QUEUE", "HIGH", "DEFAULT", "LOW", "SCHEDULED", "RUNNING", "OLDEST"]
    assert {"inference", "test", "webhooks"} <= {line.split()[0] for line in lines[1:]}
    assert "paused" in msgspec.json.decode(jobs("queues", "--json").out)[0]


def test_a_queue_is_held_and_let_go(jobs) -> None:
    assert "\ndocuments (paused)  " in jobs("queues", "--pause", "documents").out
    assert "\ndocuments  " in jobs("queues", "--resume", "documents").out
    unknown = jobs("queues", "--pause", "nobody")
    assert (unknown.code, "There is no queue of this name" in unknown.err) == (1, True)


# --- Changing ----------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(jobs, known, tmp_path) -> None:
    later = jobs("submit", "chat.completion", "--args", chat(), "--run-at", "+1h").out.strip()
    said = jobs("cancel", later)
    assert (said.code, said.err) == (0, f"{later} is cancelled\n")
    held = jobs("submit", "test.held", "--args", '{"file": "/never"}').out.strip()
    _wait_for_state(jobs, held, "running")
    assert jobs("cancel", held).err == f"{held} is being stopped\n"
    watched = jobs("watch", held)
    assert (watched.code, "cancelled, after " in watched.err) == (1, True)


def test_a_dead_letter_is_looked_at_and_replayed_with_other_arguments(jobs, ended) -> None:
    job_id = ended("chat.completion", "--args", chat("strict"))
    listed = jobs("dlq", "ls", "--error", "content_policy_violation", "--limit", "1").out
    assert listed.splitlines()[1].split()[:3] == [
        job_id,
        "content_policy_violation",
        "chat.completion",
    ]
    shown = jobs("dlq", "show", job_id).out
    assert '"model": "strict"' in shown
    assert "error      content_policy_violation: " in shown
    said = jobs("replay", job_id, "--args", chat(), "--priority", "high")
    assert (said.code, "gatemill jobs watch" in said.err) == (0, True)
    assert jobs("watch", job_id).code == 0
    again = jobs("replay", job_id)
    assert (again.code, "no dead letter" in again.err) == (1, True)


def test_many_are_replayed_only_after_a_look_or_with_yes(jobs, ended) -> None:
    job_id = ended("chat.completion", "--args", chat("strict"))
    asks = ("dlq", "replay", "--kind", "chat.completion", "--error", "content_policy_violation")
    looked = jobs(*asks, "--dry-run")
    assert job_id in looked.out.split()
    assert looked.err.startswith("would replay ")
    refused = jobs(*asks)
    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert job_id in jobs("dlq", "ls", "--limit", "100").out
    done = jobs(*asks, "--yes")
    assert (done.code, " queued again" in done.err) == (0, True)
    assert jobs("watch", job_id).code == 1


def test_which_ones_are_meant_has_to_be_said(jobs) -> None:
    for verb in ("replay", "purge"):
        assert jobs("dlq", verb).code == 2
        assert jobs("dlq", verb, "job_1", "--all").code == 2
    assert jobs("dlq", "replay", "--kind", "test.held", "--yes").err == "nothing to replay\n"


def test_a_purged_letter_is_gone(jobs, ended) -> None:
    first, second = (ended("chat.completion", "--args", chat("strict")) for _ in range(2))
    one = jobs("dlq", "purge", first, "--yes")
    assert (one.code, one.err) == (0, "1 purged\n")
    assert jobs("show", first).code == 1
    there = set(jobs("dlq", "purge", "--all", "--dry-run").out.split())
    assert second in there
    everything = jobs("dlq", "purge", "--all", "--yes")
    assert (everything.code, everything.err.endswith(" purged\n")) == (0, True)
    # Jobs that another test has left may still die.
    left = msgspec.json.decode(jobs("dlq", "ls", "--limit", "100", "--json").out)
    assert not there & {each["id"] for each in left}


# --- On a terminal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [100, 40])
def test_progress_is_a_bar_where_there_is_room_and_words_where_not(
    jobs, known, tmp_path, columns
) -> None:
    file = tmp_path / "release"
    args = json.dumps({"file": str(file), "steps": 8})
    job_id = jobs("submit", "test.held", "--args", args).out.strip()
    file.touch()
    code, text = on_terminal(["jobs", "watch", job_id], columns, tmp_path, known)
    assert code == 0, text
    assert "8/8 100%" in text
    assert ("━━━━" in text) == (columns == 100)
    assert "succeeded, after " in text


@pytest.mark.parametrize("columns", [50, 80, 130, 200])
def test_an_id_is_never_broken_where_it_fits(jobs, known, tmp_path, columns, ended) -> None:
    job_id = ended("chat.completion", "--args", chat("strict"))
    code, text = on_terminal(["jobs", "dlq", "ls"], columns, tmp_path, known)
    assert code == 0, text
    assert (job_id in text) == (columns > 50)
    assert ("The prompt was refused" in text) == (columns >= 130)
    assert ("…" in text) == (columns == 130)
    assert all(len(line) <= columns for line in text.splitlines())


def test_someone_is_asked_before_many_are_purged(jobs, known, tmp_path, ended) -> None:
    job_id = ended("chat.completion", "--args", chat("strict"))
    answer = subprocess.run(
        ["script", "-qec", f"{sys.executable} -m gatemill jobs dlq purge --all", "/dev/null"],
        input=b"n\n",
        env=clean_environment(**known),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert b"purge " in answer.stdout
    assert b"[y/N]" in answer.stdout
    assert job_id in jobs("dlq", "ls", "--limit", "100").out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, "-"), (0.0021, "2 ms"), (4.21, "4.2 s"), (119, "119 s"), (150, "2.5 min")),
        *((600, "10 min"), (6_384, "1.8 h"), (90_000, "25 h"), (187_200, "2.2 d")),
    ],
)
def test_durations_have_the_unit_that_fits(seconds, text) -> None:
    assert jobs_shown.duration(seconds) == text


# --- Interrupted ----------------------------------------------------------------------------------------------


def test_who_stops_watching_stops_nothing(jobs, known, tmp_path) -> None:
    job_id = jobs("submit", "test.held", "--args", '{"file": "/never"}').out.strip()
    watcher = subprocess.Popen(
        [sys.executable, "-m", "gatemill", "jobs", "watch", job_id],
        env=clean_environment(**known),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stderr is not None
    while "running" not in watcher.stderr.readline():
        pass
    watcher.send_signal(signal.SIGINT)
    _, said = watcher.communicate(timeout=PATIENCE_S)
    assert watcher.returncode == 130
    assert said == f"\nit goes on without you: gatemill jobs watch {job_id}\n"
    assert msgspec.json.decode(jobs("show", job_id, "--json").out)["state"] == "running"
    jobs("cancel", job_id)


def _wait_for_state(jobs, job_id: str, state: str) -> None:
    def reached() -> bool:
        return msgspec.json.decode(jobs("show", job_id, "--json").out)["state"] == state

    until(reached, PATIENCE_S, state)
