"""The template language of prompts: a small part of Jinja, with a bound on everything.

Rule: a template can read its variables and features, and nothing else. There are no calls, no
arithmetic, no assignments, no imports; loops, filters and comparisons draw on one budget for each
rendering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes, pass_context
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec.json import encode

from gatemill.core.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jinja2 import Template
    from jinja2.runtime import Context

# Of one rendering: characters and places that filters and comparisons see, and 100 for each turn of a loop.
WORK_MAX = 1_000_000
TURN = 100
DEPTH_MAX = 20  # of nested blocks and expressions
_BUDGET = "_budget"  # its name in a template's context; no variable begins with an underscore

_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.If,
    nodes.CondExpr,
    nodes.For,
    nodes.Filter,
    nodes.Test,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Tuple,
    nodes.List,
    nodes.Keyword,
)
_TESTS = (
    "boolean",
    "defined",
    "eq",
    "even",
    "false",
    "in",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
)
_LOOP = ("index", "index0", "first", "last", "length")


class Exhausted(Exception):
    """A rendering has used up what it may."""


class Budget:
    """What one rendering may still do."""

    def __init__(self, most: int) -> None:
        self.left = most

    def take(self, amount: int) -> None:
        """Raises Exhausted."""
        self.left -= amount
        if self.left < 0:
            raise Exhausted


class _Environment(ImmutableSandboxedEnvironment):
    """Fields of objects and places of arrays, and of a loop what it counts; no attribute of Python."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, StrictUndefined):
            return obj  # a default may follow; otherwise the first missing name is told
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        is_place = isinstance(argument, int) and not isinstance(argument, bool)
        if isinstance(obj, list) and is_place and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


# --- Filters ---------------------------------------------------------------------------------------


def _of_text(work: Callable[[str], Any]) -> Callable[..., Any]:
    @pass_context
    def apply(context: Context, value: Any) -> Any:
        text = _text(value)
        _budget(context).take(1 + len(text))
        return work(text)

    return apply


@pass_context
def _default(context: Context, value: Any, default: Any = "", boolean: bool = False) -> Any:
    _budget(context).take(1)
    is_there = not isinstance(value, StrictUndefined) and (value or not boolean)
    return value if is_there else default


@pass_context
def _join(context: Context, value: Any, separator: str = "") -> str:
    budget = _budget(context)
    found: list[str] = []
    for each in _items(value, budget):
        text = _text(each)
        budget.take(1 + len(text) + len(separator))
        found.append(text)
    return str(separator).join(found)


@pass_context
def _json(context: Context, value: Any) -> str:
    text = encode(_known(value)).decode()
    _budget(context).take(1 + len(text))
    return text


@pass_context
def _length(context: Context, value: Any) -> int:
    _budget(context).take(1)
    return len(_known(value)) if isinstance(value, (str, list, dict)) else len(_text(value))


@pass_context
def _first(context: Context, value: Any) -> Any:
    items = _items(value, _budget(context))
    return items[0] if items else ""


@pass_context
def _last(context: Context, value: Any) -> Any:
    items = _items(value, _budget(context))
    return items[-1] if items else ""


@pass_context
def _turns(context: Context, value: Any) -> Iterator[Any]:
    """What every loop goes through."""
    budget = _budget(context)
    for each in _items(value, budget):
        budget.take(TURN)
        yield each


def _budget(context: Context) -> Budget:
    found = context[_BUDGET]
    assert isinstance(found, Budget)
    return found


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    """What every comparison looks at, all of which it may have to walk through."""
    budget = _budget(context)
    left = [value]
    while left:
        each = left.pop()
        budget.take(1 + len(each) if isinstance(each, (str, list, dict)) else 1)
        if isinstance(each, list):
            left.extend(each)
        elif isinstance(each, dict):
            left.extend(each.values())
    return value


def _items(value: Any, budget: Budget) -> Any:
    budget.take(1)
    if isinstance(value, dict):
        budget.take(len(value))
        return list(value)
    if not isinstance(value, (list, tuple, str)):
        _known(value)
        raise TypeError(f"a loop or a filter wants an array, not {type(value).__name__}")
    return value


def _known(value: Any) -> Any:
    if isinstance(value, StrictUndefined):
        str(value)  # raises, with its name
    return value


def _text(value: Any) -> str:
    """As a prompt says it: JSON's words for true, false, null, arrays and objects."""
    _known(value)
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, (bool, list, dict)):
        return encode(value).decode()
    if isinstance(value, (int, float)):
        return str(value)
    raise TypeError(f"there is no text for a {type(value).__name__}")


_FILTERS: dict[str, Callable[..., Any]] = {
    "default": _default,
    "d": _default,
    "lower": _of_text(str.lower),
    "upper": _of_text(str.upper),
    "title": _of_text(str.title),
    "capitalize": _of_text(str.capitalize),
    "trim": _of_text(str.strip),
    "string": _of_text(str),
    "length": _length,
    "count": _length,
    "first": _first,
    "last": _last,
    "join": _join,
    "tojson": _json,
}
_TURNS, _WEIGHED = "_turns", "_weighed"  # put in by `compiled`; no template can name them


def _is_odd(value: Any) -> bool:
    # Jinja's own would take a text for a format, and fill it in: "%1000000000d" is a gigabyte.
    if not isinstance(value, int):
        _known(value)
        raise TypeError(f"only a whole number is odd or even, not {type(value).__name__}")
    return value % 2 == 1


def _is_even(value: Any) -> bool:
    return not _is_odd(value)


def _made() -> _Environment:
    made = _Environment(undefined=StrictUndefined, autoescape=False, finalize=_text, cache_size=0)
    made.filters.clear()
    made.filters |= {**_FILTERS, _TURNS: _turns, _WEIGHED: _weighed}
    made.tests = {name: test for name, test in made.tests.items() if name in _TESTS}
    made.tests |= {"odd": _is_odd, "even": _is_even}
    made.globals.clear()
    return made


_environment = _made()


# --- Templates --------------------------------------------------------------------------------------


def compiled(text: str, where: str) -> tuple[Template, set[str]]:
    """A template, and the names that it reads. Raises InvalidValue, which names `where`."""
    try:
        tree = _environment.parse(text)
        _check(tree, where, 0)
        names = find_undeclared_variables(tree)
        _bound(tree)
        return _environment.from_string(tree), names
    except TemplateSyntaxError as error:
        message = f"`{where}`: line {error.lineno}: {error.message}. Write {{{{ name }}}}."
        raise InvalidValue(message, param=where) from None
    except RecursionError:
        raise _refused(where, "is nested too deeply") from None


def _bound(tree: nodes.Template) -> None:
    """Loops and comparisons draw on the budget."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = _through(_TURNS, loop.iter)
    for compare in list(tree.find_all(nodes.Compare)):
        compare.expr = _through(_WEIGHED, compare.expr)
        for other in compare.ops:
            other.expr = _through(_WEIGHED, other.expr)
    for test in list(tree.find_all(nodes.Test)):
        if test.name in ("eq", "in"):
            test.node = _through(_WEIGHED, test.node)
            test.args = [_through(_WEIGHED, each) for each in test.args]


def _through(name: str, node: nodes.Node) -> nodes.Expr:
    assert isinstance(node, nodes.Expr), "what is compared and looped over has a value"
    return nodes.Filter(node, name, [], [], None, None)


def _check(node: nodes.Node, where: str, depth: int) -> None:
    if not isinstance(node, _NODES) or depth > DEPTH_MAX:
        what = type(node).__name__.lower() if depth <= DEPTH_MAX else "so deep a nesting"
        raise _refused(where, f"has a {what} in line {node.lineno}, which prompts do not have")
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise _refused(
            where, f"has no filter `{node.name}`; there are {', '.join(sorted(_FILTERS))}"
        )
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise _refused(where, f"has no test `{node.name}`; there are {', '.join(_TESTS)}")
    if isinstance(node, nodes.Name) and node.name in ("self", "super", "varargs", "kwargs"):
        raise _refused(where, f"reads `{node.name}`, which is no variable")
    if isinstance(node, (nodes.Filter, nodes.Test)) and (node.dyn_args or node.dyn_kwargs):
        raise _refused(where, "spreads arguments, which prompts do not do")
    if isinstance(node, nodes.Test) and node.kwargs:
        raise _refused(where, "names an argument of a test, which prompts do not do")
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and not _is_text(node.value):
        raise _refused(where, f"has half a surrogate pair in line {node.lineno}")
    if isinstance(node, nodes.For) and node.recursive:
        raise _refused(where, "has a recursive loop, which prompts do not have")
    for child in node.iter_child_nodes():
        _check(child, where, depth + 1)


def _is_text(value: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in value)


def _refused(where: str, what: str) -> InvalidValue:
    return InvalidValue(
        f"`{where}`: the template {what}. Use variables, if, for and filters.", param=where
    )


def rendered(template: Template, values: dict[str, Any], chars_max: int) -> str:
    """The text. Raises InvalidValue where something is missing, or it would be too long or too slow."""
    found: list[str] = []
    left = Budget(chars_max)
    try:
        for piece in template.generate({**values, _BUDGET: Budget(WORK_MAX)}):
            found.append(piece)
            left.take(len(piece))
    except Exhausted:
        raise InvalidValue(
            f"The prompt would be longer than {chars_max} characters, or take too long to make. Send"
            " shorter variables.",
            param="prompt_variables",
        ) from None
    except UndefinedError as error:
        raise InvalidValue(
            f"The prompt reads what is not there: {str(error)[:200]}. Name the `entities` whose features"
            " it uses, and give its objects all fields.",
            param="entities",
        ) from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(
            f"The prompt cannot use a variable as it is: {str(error)[:200]}.",
            param="prompt_variables",
        ) from None
    return "".join(found)
