"""Prompts: messages with places for variables. Rule: what a prompt needs is declared, and asked for by name.

A rendering takes a bounded time and gives a bounded text; a template is compiled once for each version.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gatemill.core.errors import InvalidType, InvalidValue, MissingParameter
from gatemill.gateway.parts import Filled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gatemill.core.ports import Json

TEMPLATE_BYTES_MAX = 64 << 10
MESSAGES_MAX = 50
VARIABLES_MAX = 50
TEXT_CHARS_MAX = 262_144  # of all messages of one rendering
VALUES_BYTES_MAX = 1 << 20  # of all variables of one request
FEATURES = "features"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}", re.IGNORECASE | re.ASCII)
# The caller's own, and those that would change what is answered to whom.
_NOT_PARAMS = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "prompt_id",
        "prompt_variables",
        "entities",
        "features",
        "metadata",
        "store",
    )
)
Type = Literal["string", "number", "integer", "boolean", "array", "object"]
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}
_WORDS = {"string": "a string", "number": "a number", "integer": "a whole number"}
_WORDS |= {"boolean": "true or false", "array": "an array", "object": "an object"}


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One message of a prompt."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str  # in the language of registry.language


class Variable(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a caller may say, or must where there is no default."""

    type: Type = "string"
    default: Any | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=1000)] = ""


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    """A version of a prompt, as it is stored."""

    messages: Annotated[tuple[Message, ...], Meta(min_length=1, max_length=MESSAGES_MAX)]
    variables: dict[str, Variable] = {}
    params: dict[str, Any] = {}  # fields of the request that the caller may replace


class Prompt:
    """A version of a prompt, ready to be filled in."""

    def __init__(self, version: str, template: Template) -> None:
        """Raises InvalidValue for a template that cannot be used."""
        self._language = _language()
        self.version = version  # "greet:3"
        self.template = template
        self.needs: set[str] = set()  # names of variables
        self._parts = []
        for at, message in enumerate(template.messages):
            made, names = self._language.compiled(message.content, f"template.{at}.content")
            self._parts.append((message.role, made))
            self.needs |= names
        self.uses_features = FEATURES in self.needs
        self.needs.discard(FEATURES)

    def fill(self, variables: Mapping[str, Any], facts: Mapping[str, Any]) -> Filled:
        """The messages with everything in place.

        `facts` are features, as "user.tier" -> value. Raises InvalidValue and its kinds, which name
        the variable.
        """
        values = {**self._values(variables), FEATURES: _nested(facts)}
        left = TEXT_CHARS_MAX
        messages: list[Json] = []
        for role, made in self._parts:
            text = self._language.rendered(made, values, left)
            left -= len(text)
            messages.append({"role": role, "content": text})
        return Filled(messages, dict(self.template.params), self.version)

    def _values(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        known = self.template.variables
        for name in variables:
            if name not in known:
                names = f"It knows {', '.join(known)}" if known else "It has none"
                raise InvalidValue(
                    f"`prompt_variables.{name[:60]}`: {self.version} has no such variable. {names}.",
                    param=f"prompt_variables.{name[:60]}",
                )
        _check_size(variables)
        return {name: self._value(name, variables) for name in known}

    def _value(self, name: str, variables: Mapping[str, Any]) -> Any:
        declared = self.template.variables[name]
        if name in variables:
            check_type(variables[name], declared.type, f"prompt_variables.{name}")
            return variables[name]
        if declared.default is UNSET:
            raise MissingParameter(
                f"`prompt_variables.{name}`: {self.version} needs {_WORDS[declared.type]} here.",
                param=f"prompt_variables.{name}",
            )
        return declared.default


def read(template: Any, variables: dict[str, Any] | None, params: dict[str, Any]) -> Template:
    """The template of a new version, checked. Raises InvalidValue and its kinds.

    `template` is an array of messages, or a text, which is one message of the user's. Without
    `variables`, every name in the template is a string that callers must give.
    """
    messages = [{"role": "user", "content": template}] if isinstance(template, str) else template
    try:
        said: dict[str, Any] = {"messages": messages, "params": params}
        found = msgspec.convert({**said, "variables": variables or {}}, Template)
    except msgspec.ValidationError as error:
        where = "template" if "messages" in str(error) else "variables"
        raise InvalidValue(f"`{where}`: {error}. Send an array of messages.", param=where) from None
    _check_params(params)
    if len(msgspec.json.encode(found)) > TEMPLATE_BYTES_MAX:  # before anything is compiled
        raise InvalidValue(
            f"`template`: holds more than {TEMPLATE_BYTES_MAX} bytes. Put long texts into variables.",
            param="template",
        )
    needs = Prompt("", found).needs
    if variables is None:
        found = msgspec.structs.replace(
            found, variables={name: Variable() for name in sorted(needs)}
        )
    _check_variables(found, needs)
    return found


def check_type(value: Any, kind: str, where: str) -> None:
    """Raises InvalidType."""
    fits = isinstance(value, _TYPES[kind])
    if isinstance(value, bool) and kind in ("number", "integer"):
        fits = False
    if not fits:
        raise InvalidType(f"`{where}`: must be {_WORDS[kind]}.", param=where)


def _check_variables(found: Template, needs: set[str]) -> None:
    if len(found.variables) > VARIABLES_MAX:
        raise InvalidValue(f"`variables`: at most {VARIABLES_MAX} are taken.", param="variables")
    for name, declared in found.variables.items():
        if not _NAME.fullmatch(name) or name == FEATURES:
            raise InvalidValue(
                f"`variables.{name[:60]}`: a name is a letter and then letters, digits and _; and not"
                f" `{FEATURES}`.",
                param="variables",
            )
        if declared.default is not UNSET:
            check_type(declared.default, declared.type, f"variables.{name}.default")
    missing = sorted(needs - found.variables.keys())
    if missing:
        raise InvalidValue(
            f"`variables.{missing[0]}`: the template reads it, and it is not declared. Declare it, or"
            " leave `variables` out.",
            param=f"variables.{missing[0]}",
        )


def _check_params(params: dict[str, Any]) -> None:
    for name in params:
        if name in _NOT_PARAMS:
            raise InvalidValue(
                f"`params.{name}`: a prompt does not set this. The request does.",
                param=f"params.{name}",
            )


def _check_size(variables: Mapping[str, Any]) -> None:
    if variables and len(msgspec.json.encode(variables)) > VALUES_BYTES_MAX:
        raise InvalidValue(
            f"`prompt_variables`: hold more than {VALUES_BYTES_MAX} bytes. Send less.",
            param="prompt_variables",
        )


def _nested(facts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in facts.items():
        entity, _, feature = name.partition(".")
        found.setdefault(entity, {})[feature] = value
    return found


def _language() -> Any:
    # Jinja takes 50 ms to import, which only those who have prompts pay.
    return import_module("gatemill.registry.language")
