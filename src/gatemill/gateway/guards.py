"""Which guards stand before a request, put together once for each set of scopes.

Rule: key over team over model over [guards], guard by guard. A request to which none applies costs one
look; a guard that is asked for and cannot stand refuses, it never steps aside.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import force_setattr

from gatemill.core.errors import GatemillError, GuardUnavailable, InvalidValue, Overloaded
from gatemill.core.guard import MODES, NOTHING, REMOTE, Flow, Use, Uses, layered
from gatemill.wire import harms

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Executor

    from gatemill.core.call import Key
    from gatemill.core.guard import Pattern, Piece, Remote, Verdict
    from gatemill.gateway.routes import Route

T = TypeVar("T")

POLICIES_MAX = 1_000  # sets of scopes that are remembered; then they are put together anew
SCANS_MAX = 100  # compiled sets of patterns; the same
# Larger texts are read by a thread: made to be slow, this much takes 40 ms.
HERE_BYTES_MAX = 8_192
READING_MAX = 256  # texts that threads read, or that wait for one; more are refused
FINDINGS_MAX = 1_000  # series of the metric; kinds of hooks and models beyond are OTHER
OTHER = "other"
SIZE = "size"
_ORDER = {"mask": 0, "restore": 0, "block": 1, "log": 2}


class Scanner(Protocol):
    """Finds what any of its patterns finds; `guards/scan.py` has the one there is."""

    def screen(self, body: bytes) -> bool:
        """Whether a raw JSON body may hold something; False is certain."""
        ...

    def pieces(self, text: bytes) -> list[Piece]:
        """A whole text in pieces; none where nothing is found."""
        ...

    def flow(self) -> Flow:
        """The same for a text that comes in parts."""
        ...

    @property
    def strings_known(self) -> int:
        """Strings that need not be read again."""
        ...


class Local(Struct, frozen=True):
    """A guard that is patterns: a file of `guards`."""

    kinds: tuple[str, ...]
    threshold: float
    patterns: Callable[[Sequence[str]], Sequence[Pattern]]  # of these kinds; () is all


class Known(Struct, frozen=True):
    """What a scope may ask for under one configuration."""

    local: Mapping[str, Local]
    hooks: Collection[str]


class Side(Struct, frozen=True):
    """What stands on one side of a request."""

    name: str  # "input" or "output"
    scan: Scanner | None
    local: Mapping[str, Use]  # by guard
    thresholds: Mapping[str, float]  # of the guards in `local`
    size: Use | None
    remotes: tuple[tuple[Use, Remote, float], ...]  # with their thresholds
    # These follow from the rest and are set here, so that requests need not look.
    reads_all: bool = False  # every text is wanted, also where the patterns would find nothing
    refuses: bool = False  # some guard does more than write down

    def __post_init__(self) -> None:
        force_setattr(self, "reads_all", self.size is not None or bool(self.remotes))
        force_setattr(self, "refuses", any(use.mode != "log" for use in self.uses))

    @property
    def uses(self) -> tuple[Use, ...]:
        """All of them."""
        first = () if self.size is None else (self.size,)
        return (*first, *self.local.values(), *(use for use, _, _ in self.remotes))


class Policy(Struct, frozen=True):
    """The guards of one request."""

    input: Side | None
    output: Side | None


class Making(Struct, frozen=True):
    """What guards are made with."""

    known: Known
    scan: Callable[[Sequence[tuple[str, Pattern]]], Scanner]
    # The guard that waits for somebody, and its threshold. Raises InvalidValue.
    remote: Callable[[Use], tuple[Remote, float]]


class Counts:
    """Numbers of the guards. They outlive a reload."""

    def __init__(self) -> None:
        self.findings: dict[tuple[str, ...], float] = {}  # side, guard, kind, mode
        self.failures: dict[tuple[str, ...], float] = {}  # by guard
        self.off_loop = 0  # texts that a thread has read
        self.refused = 0  # no room among those
        self.reading = 0  # under way or waiting
        self.rebuilt = 0  # times that more than POLICIES_MAX were wanted


class Guards:
    """One for a configuration."""

    def __init__(
        self,
        wide: Uses,
        making: Making,
        readers: Executor,
        counts: Counts,
        options: tuple[str, int],
    ) -> None:
        """`wide` is [guards]; `options` are on_failure and held_bytes_max."""
        self.wide = wide or NOTHING
        self.known = making.known
        self.counts = counts
        self.passes_on_failure = options[0] == "pass"
        self.held_bytes_max = options[1]
        self._making = making
        self._of_models = False  # some model has guards of its own; written by `prepare`
        self._readers = readers
        self._policies: dict[tuple[Uses, ...], Policy | None] = {}  # bounded by POLICIES_MAX
        self._scans: dict[tuple[tuple[str, tuple[str, ...]], ...], Scanner] = {}  # by SCANS_MAX

    @property
    def policies(self) -> int:
        """Sets of scopes that are remembered."""
        return len(self._policies)

    @property
    def strings_known(self) -> int:
        """Strings of requests and answers that need not be read again."""
        return sum(scan.strings_known for scan in self._scans.values())

    def policy(
        self, key: Key, route: Route | None = None, leaf: Route | None = None
    ) -> Policy | None:
        """The guards between this key and this model; None where none applies.

        `leaf` is the model that it leads to, whose guards stand like those of a wider scope. Raises
        GuardUnavailable for one that this configuration does not have.
        """
        model = NOTHING if route is None else route.guards
        below = NOTHING if leaf is None else leaf.guards
        if (
            key.guards is NOTHING
            and key.team_guards is NOTHING
            and model is NOTHING
            and below is NOTHING
            and self.wide is NOTHING
        ):
            return None
        scopes = (below, model, key.team_guards, key.guards)
        try:
            return self._policies[scopes]
        except KeyError:
            return self._remembered(scopes)

    def side(self, uses: Uses) -> Side | None:
        """The input of a policy with these guards and no others. Raises GuardUnavailable."""
        found = self._policies.get((uses,))
        if found is None and (uses,) not in self._policies:
            made = Policy(self._side("input", uses.input), None)
            found = self._kept((uses,), made if made.input is not None else None)
        return None if found is None else found.input

    def is_idle(self, key: Key) -> bool:
        """No guard stands before anything that this key asks."""
        return (
            key.guards is NOTHING
            and key.team_guards is NOTHING
            and self.wide is NOTHING
            and not self._of_models
        )

    def prepare(self, route: Route) -> None:
        """The guards of a model are compiled, for keys without guards of their own.

        Raises InvalidValue, and ExtraNotInstalled for one whose package is missing.
        """
        self._of_models |= route.guards is not NOTHING
        scopes = (NOTHING, route.guards, NOTHING, NOTHING)
        self._kept(scopes, self._made(scopes))

    def _remembered(self, scopes: tuple[Uses, ...]) -> Policy | None:
        try:
            found = self._made(scopes)
        except GatemillError as error:
            raise GuardUnavailable(
                f"A guard of this key, its team or this model cannot stand: {error.message}"
                " Tell whoever runs this server."
            ) from None
        return self._kept(scopes, found)

    def _kept(self, scopes: tuple[Uses, ...], policy: Policy | None) -> Policy | None:
        if len(self._policies) >= POLICIES_MAX:
            self._policies.clear()
            self.counts.rebuilt += 1
        self._policies[scopes] = policy
        return policy

    def _made(self, scopes: tuple[Uses, ...]) -> Policy | None:
        merged = self.wide
        for scope in scopes:
            merged = layered(merged, scope)
        made = Policy(self._side("input", merged.input), self._side("output", merged.output))
        return made if made.input is not None or made.output is not None else None

    def _side(self, name: str, uses: Sequence[Use]) -> Side | None:
        uses = [use for use in uses if use.mode != "off"]
        if not uses:
            return None
        known = self._making.known
        check(Uses(**{name: tuple(uses)}), known)
        # A text that two guards find belongs to the one that changes it, then to the one that blocks.
        ordered = sorted(uses, key=lambda use: _ORDER[use.mode])
        local = {use.guard: use for use in ordered if use.guard in known.local}
        thresholds = {
            name: known.local[name].threshold if use.threshold is None else use.threshold
            for name, use in local.items()
        }
        remotes = [(use, *self._making.remote(use)) for use in uses if use.guard in REMOTE]
        return Side(
            name=name,
            scan=self._scan(tuple((use.guard, use.kinds) for use in local.values())),
            local=local,
            thresholds=thresholds,
            size=next((use for use in uses if use.guard == SIZE), None),
            remotes=tuple(
                (use, remote, usual if use.threshold is None else use.threshold)
                for use, remote, usual in remotes
            ),
        )

    def _scan(self, wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> Scanner | None:
        if not wanted:
            return None
        found = self._scans.get(wanted)
        if found is None:
            looks = [
                (guard, pattern)
                for guard, kinds in wanted
                for pattern in self._making.known.local[guard].patterns(kinds)
            ]
            if len(self._scans) >= SCANS_MAX:
                self._scans.clear()
            found = self._scans[wanted] = self._making.scan(looks)
        return found

    async def read(self, work: Callable[[], T]) -> T:
        """What `work` gives, which reads a large text in a thread.

        Raises Overloaded when too many wait for one.
        """
        counts = self.counts
        if counts.reading >= READING_MAX:
            counts.refused += 1
            raise Overloaded(
                "Too many large texts wait for the guards. Retry later.", retry_after_s=1
            )
        counts.reading += 1
        counts.off_loop += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, work)
        finally:
            counts.reading -= 1

    def count(self, verdicts: Sequence[Verdict]) -> None:
        """These have been found."""
        findings = self.counts.findings
        for one in verdicts:
            name: tuple[str, ...] = (one.side, one.guard, one.kind, one.mode)
            if name not in findings and len(findings) >= FINDINGS_MAX:
                name = (one.side, one.guard, OTHER, one.mode)
            findings[name] = findings.get(name, 0) + one.count

    def failed(self, use: Use) -> None:
        """A guard could not answer."""
        failures = self.counts.failures
        failures[use.guard,] = failures.get((use.guard,), 0) + 1


def check(uses: Uses, known: Known, at: str = "guards") -> None:
    """Every use can stand. Raises InvalidValue, whose `param` begins with `at`."""
    for side, found in (("input", uses.input), ("output", uses.output)):
        seen: set[tuple[str, str]] = set()
        for index, use in enumerate(found):
            where = f"{at}.{side}.{index}"
            if use.name in seen:
                raise _wrong(f"{where}.guard", f"{use.guard} stands here twice. Keep one of them")
            seen.add(use.name)
            _check_guard(use, known, where)
            _check_mode(use, side, f"{where}.mode")
            _check_options(use, known, where)


def _check_guard(use: Use, known: Known, where: str) -> None:
    names = sorted((SIZE, *known.local, *REMOTE))
    if use.guard not in names:
        raise _wrong(f"{where}.guard", f"there is no such guard. Use {', '.join(names)}")
    local = known.local.get(use.guard)
    kinds = (SIZE,) if use.guard == SIZE else None if local is None else local.kinds
    for index, kind in enumerate(use.kinds):
        at = f"{where}.kinds.{index}"
        if kinds is not None and kind not in kinds:
            raise _wrong(at, f"{use.guard} knows no {kind}. Use {', '.join(kinds)}")
        meant = harms.meant(kind) if use.guard == "moderation" else None
        if meant is not None:  # else it would never be found
            raise _wrong(at, f"moderation finds no {kind}. Use {meant}")


def _check_mode(use: Use, side: str, where: str) -> None:
    if use.mode not in MODES:
        raise _wrong(where, f"there is no such mode. Use {', '.join(MODES)}")
    if use.guard == SIZE and use.mode in ("mask", "restore"):
        raise _wrong(where, "a size cannot be masked. Use block or log")
    if use.mode == "restore" and side == "output":
        raise _wrong(where, "only what came in can be put back. Use mask on the output")


def _check_options(use: Use, known: Known, where: str) -> None:
    if use.mode == "off":
        return
    if use.guard == SIZE and use.chars_max is None:
        raise _wrong(f"{where}.chars_max", "is required of size. Name the most characters")
    if use.guard != SIZE and use.chars_max is not None:
        raise _wrong(f"{where}.chars_max", f"belongs to size, not to {use.guard}. Leave it out")
    if use.guard == "http" and use.hook not in known.hooks:
        names = ", ".join(sorted(known.hooks)) or "none yet: add [guards.hooks.NAME]"
        what = f"there is no hook {use.hook}. Use" if use.hook else "is required of http:"
        raise _wrong(f"{where}.hook", f"{what} a name of [guards.hooks] ({names})")
    if use.guard != "http" and use.hook:
        raise _wrong(f"{where}.hook", f"belongs to http, not to {use.guard}. Leave it out")


def _wrong(where: str, text: str) -> InvalidValue:
    return InvalidValue(f"`{where}`: {text}.", param=where)


def unavailable(use: Use, error: GatemillError) -> GuardUnavailable:
    """What the caller hears of a guard that cannot answer: the reason's code, as its words may quote a text."""
    cause = error.__cause__
    code = cause.code if isinstance(cause, GatemillError) else error.code
    why = "" if code == GuardUnavailable.code else f" ({code})"
    return GuardUnavailable(
        f"The guard {' '.join(use.name).strip()} cannot answer{why}, and nothing passes it unseen."
        " Retry later.",
        retry_after_s=1,
    )
