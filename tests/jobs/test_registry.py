"""Kinds are found, and what does not fit is refused with all that is missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw, Struct

from gatemill.core.errors import InvalidValue, StartRefused
from gatemill.jobs.registry import Kinds, is_hidden

if TYPE_CHECKING:
    from pathlib import Path

OURS = {
    "batch.predict",
    "chat.completion",
    "documents.ask",
    "documents.report",
    "embeddings.documents",
    "inference",
    "requests.replay",
}
GOOD = """
from msgspec import Struct

NAME = "invoice"
QUEUE = "cpu"
PRIORITY = 2
ATTEMPTS_MAX = 2
TIMEOUT_S = 30
DELAYS_S = (0, 1.5)

class Args(Struct):
    number: int
    more: list["Line"] = []

class Line(Struct):
    text: str

def check(args, key, gateway):
    pass

async def run(ctx, args):
    return args.number
"""


class Args(Struct):
    text: str


async def run(ctx: Any, args: Any) -> Any:
    return None


def kind(**more: Any) -> Any:
    return SimpleNamespace(**{"NAME": "mine", "QUEUE": "cpu", "Args": Args, "run": run, **more})


def refusal(*modules: Any) -> str:
    with pytest.raises(StartRefused) as caught:
        Kinds([(f"m{at}", module) for at, module in enumerate(modules)])
    return caught.value.message


def test_our_own_kinds_are_found_without_a_list():
    kinds = Kinds.load()
    assert set(kinds.names) >= OURS
    for name in kinds.names:
        assert name == kinds.find(name).NAME


def test_no_hidden_kind_is_offered():
    kinds = Kinds([("a", kind(NAME="shown")), ("b", kind(NAME="shown.not", HIDDEN=True))])
    assert is_hidden(kinds.find("shown.not"))
    with pytest.raises(InvalidValue) as caught:
        kinds.find("zzz")
    assert caught.value.message == "`kind`: zzz is not known here. Use shown."
    assert caught.value.param == "kind"


def test_the_nearest_name_is_told():
    with pytest.raises(InvalidValue, match=r"Did you mean chat\.completion\?"):
        Kinds.load().find("chat.completions")


def test_a_long_unknown_name_is_not_repeated_in_full():
    with pytest.raises(InvalidValue) as caught:
        Kinds.load().find("x" * 10_000)
    assert len(caught.value.message) < 400


def test_a_file_is_a_kind(tmp_path: Path):
    (tmp_path / "invoice.py").write_text(GOOD)
    found = Kinds.load([str(tmp_path / "invoice.py")]).find("invoice")
    assert (found.QUEUE, found.PRIORITY, found.ATTEMPTS_MAX, found.TIMEOUT_S) == ("cpu", 2, 2, 30)


def test_two_files_of_one_name_do_not_meet(tmp_path: Path):
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        text = GOOD.replace('"invoice"', f'"{name}"').replace("number: int", f"{name}: int")
        (tmp_path / folder / "kind.py").write_text(text)
    kinds = Kinds.load([str(tmp_path / "a" / "kind.py"), str(tmp_path / "b" / "kind.py")])
    assert kinds.find("first").Args.__struct_fields__ == ("first", "more")
    assert kinds.find("second").Args.__struct_fields__ == ("second", "more")


def test_a_module_is_a_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bills_of_mine.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert "invoice" in Kinds.load(["bills_of_mine"]).names
    finally:
        sys.modules.pop("bills_of_mine", None)


def test_an_installed_package_offers_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "offered_bills.py").write_text(GOOD)
    info = tmp_path / "offered_bills-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered-bills\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[gatemill.job_kinds]\ninvoice = offered_bills\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        assert "invoice" in Kinds.load().names
    finally:
        sys.modules.pop("offered_bills", None)


def test_a_module_that_is_not_there_is_refused():
    with pytest.raises(StartRefused, match=r"nowhere\.at_all cannot be imported.*jobs\.kinds"):
        Kinds.load(["nowhere.at_all"])


@pytest.mark.parametrize(
    ("text", "said"), [("import nowhere_at_all", "nowhere"), ("def", "syntax")]
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str, said: str):
    (tmp_path / "kind.py").write_text(text)
    with pytest.raises(StartRefused, match=said):
        Kinds.load([str(tmp_path / "kind.py")])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(StartRefused, match="directory where the process was started"):
        Kinds.load([str(tmp_path / "kind.py")])


def test_everything_that_is_missing_is_said_at_once():
    said = refusal(SimpleNamespace())
    assert said.startswith("The job kind m0 does not fit: ")
    for name in ("`NAME`", "`QUEUE`", "`Args`", "`async def run(ctx, args)`"):
        assert name in said


class Unknown:
    pass


def plain(ctx: Any, args: Any) -> Any:
    return None


async def narrow(ctx: Any) -> Any:
    return None


async def waiting_check(args: Any, key: Any, gateway: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"NAME": "Mine"}, "`NAME`"),
        ({"NAME": "m\n"}, "`NAME`"),
        ({"NAME": 3}, "`NAME`"),
        ({"QUEUE": ""}, "`QUEUE`"),
        ({"QUEUE": "high"}, "is a priority"),
        ({"Args": None}, "`Args`"),
        ({"Args": Unknown}, "`Args` must be a type that msgspec knows"),
        ({"Args": 3}, "`Args` cannot be read from JSON"),
        ({"run": None}, "`async def run"),
        ({"run": plain}, "`async def run"),
        ({"run": narrow}, "`async def run"),
        ({"check": waiting_check}, "`check`"),
        ({"check": plain}, "`check`"),
        ({"check": 3}, "`check`"),
        ({"PRIORITY": 3}, "`PRIORITY`"),
        ({"PRIORITY": True}, "`PRIORITY`"),
        ({"ATTEMPTS_MAX": 0}, "`ATTEMPTS_MAX`"),
        ({"ATTEMPTS_MAX": 101}, "`ATTEMPTS_MAX`"),
        ({"TIMEOUT_S": 0}, "`TIMEOUT_S`"),
        ({"TIMEOUT_S": "10"}, "`TIMEOUT_S`"),
        ({"TIMEOUT_S": True}, "`TIMEOUT_S`"),
        ({"DELAYS_S": ()}, "`DELAYS_S`"),
        ({"DELAYS_S": [1]}, "`DELAYS_S`"),
        ({"DELAYS_S": (-1,)}, "`DELAYS_S`"),
        ({"HIDDEN": "yes"}, "`HIDDEN`"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, Any], said: str):
    assert said in refusal(kind(**change))


@pytest.mark.parametrize("args", [Raw, dict, dict[str, int], Args])
def test_arguments_may_be_whatever_msgspec_reads(args: Any):
    assert Kinds([("m", kind(Args=args))]).find("mine").Args is args


def test_two_kinds_of_one_name_are_refused():
    said = refusal(kind(), kind())
    assert said == 'Two job kinds are called "mine": m0 and m1. Rename one.'


def test_a_kind_that_is_named_twice_is_one_kind():
    one = kind()
    assert Kinds([("m0", one), ("m1", one)]).names == ("mine",)
