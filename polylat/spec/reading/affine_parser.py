"""A recursive-descent parser of affine expressions and comparisons."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from polylat.spec.affine import Affine, add_multiple
from polylat.spec.reading.numbers import BadNumber, check_count
from polylat.spec.reading.suggest import format_value, shortened

_MAX_LENGTH = 4_000
_MAX_NESTING = 50
_MAX_ITEMS = 100
_MAX_DIGITS = 100

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z_#$@][A-Za-z0-9_]*)|(?P<number>[0-9]+)"
    r"|(?P<sign><=|>=|==|!=|&&|\|\||[-+*/%(),<>=;&|]))"
)
_COMPARISONS = {"<=", "<", ">=", ">", "=", "=="}
_AND = {"and", "&&", ";", "&"}
_NOT_AFFINE = {"mod", "floor", "ceil", "exists", "not", "implies", "or", "||", "|", "!=", "%", "/"}


class BadAffine(ValueError):
    """The text is not an affine expression, or not a conjunction of affine constraints.

    Parameters
    ----------
    why
        The reason, for messages.
    unsupported
        True if the text has a meaning to AccelForge that is not affine.
    """

    def __init__(self, why: str, *, unsupported: bool = False) -> None:
        super().__init__(why)
        self.unsupported = unsupported


Constants = Callable[[str], int | Fraction | None]
"""Maps a name to its value if it is a constant, to None if it is a rank variable."""


class AffineParser:
    """A recursive-descent parser; one method per rule of the grammar.

    Parameters
    ----------
    text
        The text to parse.
    variables
        Values of the names that are constants; all other names are rank variables.
    """

    def __init__(self, text: str, variables: Constants | None) -> None:
        if len(text) > _MAX_LENGTH:
            raise BadAffine(f"it is longer than {_MAX_LENGTH} characters")
        self._variables = variables
        self._nesting = 0
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position:].lstrip()
                raise BadAffine(f"unexpected character {rest[:1]!r}")
            self._tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            position = match.end()
        self._position = 0

    def expression(self) -> Affine:
        """Parse the text as an expression.

        Returns
        -------
        Affine
            The expression.

        Raises
        ------
        BadAffine
            If the text is not an affine expression.
        """
        result = self._sum()
        self._end()
        return result

    def conjunction(self) -> tuple[Affine, ...]:
        """Parse the text as a conjunction of comparisons.

        Returns
        -------
        tuple of Affine
            Expressions; the conjunction holds where all of them are ≥ 0.

        Raises
        ------
        BadAffine
            If the text is not such a conjunction.
        """
        found: list[Affine] = []
        while True:
            found.extend(self._comparison())
            if not self._take(_AND):
                break
        self._end()
        return tuple(found)

    def _peek(self) -> tuple[str, str]:
        if self._position < len(self._tokens):
            return self._tokens[self._position]
        return ("end", "")

    def _take(self, texts: set[str]) -> str | None:
        kind, text = self._peek()
        if kind in ("sign", "name") and text.lower() in texts:
            self._position += 1
            return text.lower()
        return None

    def _end(self) -> None:
        kind, text = self._peek()
        if kind != "end":
            raise self._unexpected(text)

    def _unexpected(self, text: str) -> BadAffine:
        if text.lower() in _NOT_AFFINE:
            return BadAffine(f"{text!r} is not affine", unsupported=True)
        if not text:
            return BadAffine("unexpected end")
        return BadAffine(f"unexpected {text!r}")

    def _comparison(self) -> list[Affine]:
        found: list[Affine] = []
        left = self._expressions()
        if self._peek()[1] not in _COMPARISONS:
            raise self._unexpected(self._peek()[1])
        while (sign := self._take(_COMPARISONS)) is not None:
            right = self._expressions()
            for a in left:
                for b in right:
                    found.extend(_compare(a, sign, b))
            left = right
        return found

    def _expressions(self) -> list[Affine]:
        items = [self._sum()]
        while self._take({","}):
            items.append(self._sum())
        if len(items) > _MAX_ITEMS:
            raise BadAffine(f"a list of more than {_MAX_ITEMS} expressions")
        return items

    def _sum(self) -> Affine:
        total = Affine()
        sign = -1 if self._take({"-"}) else 1
        if sign == 1:
            self._take({"+"})
        total = add_multiple(total, self._product(), sign)
        while (found := self._take({"+", "-"})) is not None:
            total = add_multiple(total, self._product(), 1 if found == "+" else -1)
        return _checked(total)

    def _product(self) -> Affine:
        result = self._factor()
        while True:
            kind, text = self._peek()
            if text == "*":
                self._position += 1
            elif not (
                result.terms == () and (text == "(" or (kind == "name" and not _is_keyword(text)))
            ):
                return result  # like isl, accept the products "2p" and "2(p + r)"
            right = self._factor()
            if result.terms and right.terms:
                product = shortened(f"{result} times {right}")
                raise BadAffine(f"{product} is not affine", unsupported=True)
            if right.terms:
                result, right = right, result
            factor = right.constant
            result = _checked(
                Affine(
                    tuple((n, c * factor) for n, c in result.terms if factor),
                    result.constant * factor,
                )
            )

    def _factor(self) -> Affine:
        kind, text = self._peek()
        self._position += 1
        if kind == "number":
            if len(text) > _MAX_DIGITS:
                raise BadAffine("a number is too long")
            return Affine((), int(text))
        if kind == "name" and not _is_keyword(text):
            value = self._variables(text) if self._variables is not None else None
            if value is None:
                return Affine(((text, 1),), 0)
            if isinstance(value, Fraction):
                raise BadAffine(f"{text} = {format_value(value)} is not a whole number")
            return Affine((), value)
        if text in ("(", "-", "+"):
            self._nesting += 1
            if self._nesting > _MAX_NESTING:
                raise BadAffine("it is nested too deeply")
            if text == "(":
                inner = self._sum()
                if not self._take({")"}):
                    raise BadAffine("a parenthesis is not closed")
            else:
                inner = add_multiple(Affine(), self._factor(), 1 if text == "+" else -1)
            self._nesting -= 1
            return inner
        raise self._unexpected(text)


def _is_keyword(text: str) -> bool:
    return text.lower() in _NOT_AFFINE or text.lower() in _AND


def _compare(a: Affine, sign: str, b: Affine) -> list[Affine]:
    """Return the expressions that are ≥ 0 where the comparison of integers holds."""
    one = Affine((), 1)
    at_most, at_least = add_multiple(b, a, -1), add_multiple(a, b, -1)  # b - a, a - b
    if sign == "<=":
        return [at_most]
    if sign == "<":
        return [add_multiple(at_most, one, -1)]
    if sign == ">=":
        return [at_least]
    if sign == ">":
        return [add_multiple(at_least, one, -1)]
    return [at_most, at_least]


def _checked(value: Affine) -> Affine:
    try:
        for number in (value.constant, *(c for _, c in value.terms)):
            check_count(number)
    except BadNumber as error:
        raise BadAffine(str(error)) from None
    return value
