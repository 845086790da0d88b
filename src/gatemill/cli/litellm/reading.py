"""A YAML file as a tree in which every value knows its line. Rule: nothing here knows what the names mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gatemill.cli.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTES_MAX = 4 << 20
VALUES_MAX = 100_000  # after aliases are written out, which can multiply what stands in a file
FILES_MAX = 50
_DEPTH_MAX = 60
_TAG = "tag:yaml.org,2002:"


class Value(NamedTuple):
    """One value: a scalar, a `dict[str, Value]` or a `list[Value]`."""

    said: Any
    file: str
    line: int
    path: str  # such as "litellm_settings.cache_params"

    def entries(self) -> dict[str, Value]:
        """Of a table; of anything else none."""
        return self.said if isinstance(self.said, dict) else {}

    def items(self) -> list[Value]:
        """Of a list; of anything else none."""
        return self.said if isinstance(self.said, list) else []

    def plain(self) -> Any:
        """Without lines."""
        if isinstance(self.said, dict):
            return {name: value.plain() for name, value in self.said.items()}
        if isinstance(self.said, list):
            return [value.plain() for value in self.said]
        return self.said


def read(path: Path) -> Value:
    """The file, and those that it includes, as one table. Raises Failure."""
    whole: dict[str, Value] = {}
    waiting, seen = [path], {path.resolve()}
    while waiting:
        if len(seen) > FILES_MAX:
            raise Failure(f"{path} includes more than {FILES_MAX} files", code=2)
        file = waiting.pop(0)
        tree = _parsed(file)
        if tree.said is not None and not isinstance(tree.said, dict):
            raise Failure(
                f"{file}: expected a table with model_list",
                fix="name LiteLLM's config.yaml",
                code=2,
            )
        for other in _included(tree, file):
            if other.resolve() not in seen:
                seen.add(other.resolve())
                waiting.append(other)
        _merge(whole, tree.entries())
    return Value(whole, str(path), 1, "")


def _included(tree: Value, file: Path) -> Iterator[Path]:
    for value in tree.entries().get("include", tree).items():
        other = file.parent / str(value.said)
        if not other.is_file():
            raise Failure(
                f"{file}:{value.line}: include: there is no file {other}",
                fix="correct the name",
                code=2,
            )
        yield other


def _merge(whole: dict[str, Value], more: dict[str, Value]) -> None:
    """As LiteLLM does it: lists are one after the other, of tables the later entry counts."""
    for name, value in more.items():
        old = whole.get(name)
        if old is not None and isinstance(old.said, list) and isinstance(value.said, list):
            whole[name] = old._replace(said=[*old.said, *value.said])
        elif old is not None and isinstance(old.said, dict) and isinstance(value.said, dict):
            whole[name] = old._replace(said={**old.said, **value.said})
        elif name != "include":
            whole[name] = value


def _parsed(file: Path) -> Value:
    try:
        import yaml
    except ImportError:
        raise Failure(
            "reading YAML needs the package PyYAML",
            fix="pip install 'gatemill[yaml]', or uv run --extra yaml gatemill config import …",
        ) from None
    try:
        with file.open("rb") as stream:
            text = stream.read(BYTES_MAX + 1)
        if len(text) > BYTES_MAX:
            raise Failure(f"{file} has more than {BYTES_MAX} bytes", code=2)
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return Value(None, str(file), 1, "")
        return _Tree(str(file), loader).value(node, "", 1)
    except OSError as error:
        raise Failure(
            f"{file} cannot be read: {error.strerror}", fix="name LiteLLM's config.yaml", code=2
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else str(file)
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise Failure(f"{place}: not YAML: {said}", fix="correct the file", code=2) from error


class _Tree:
    """Makes values of one file's nodes."""

    def __init__(self, file: str, loader: Any) -> None:
        self._file = file
        self._loader = loader
        self._left = VALUES_MAX  # counted down by `value`

    def value(self, node: Any, path: str, line: int, depth: int = 0) -> Value:
        self._left -= 1
        if self._left < 0 or depth > _DEPTH_MAX:
            raise Failure(
                f"{self._file}: more than {VALUES_MAX} values, aliases written out, or too deep",
                code=2,
            )
        made: Any
        if node.id == "mapping":
            self._loader.flatten_mapping(node)
            made = {}
            for key, child in node.value:
                name = str(key.value)
                below = f"{path}.{name}" if path else name
                made[name] = self.value(child, below, key.start_mark.line + 1, depth + 1)
        elif node.id == "sequence":
            made = [
                self.value(child, f"{path}.{index}", child.start_mark.line + 1, depth + 1)
                for index, child in enumerate(node.value)
            ]
        elif node.tag.startswith(_TAG):
            made = self._loader.construct_object(node)
        else:
            made = str(node.value)  # of a tag that somebody's own loader understands
        return Value(made, self._file, line, path)
