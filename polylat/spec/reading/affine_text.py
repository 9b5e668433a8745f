"""Parse affine expressions and constraints: ``2*p + r``, ``0 <= m < 8 and n >= 1``."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from polylat.spec.affine import Affine
from polylat.spec.reading.numbers import BadNumber, check_size

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


def parse_affine(text: str, variables: Constants | None = None) -> Affine:
    """Parse an affine expression.

    Parameters
    ----------
    text
        Names, whole numbers, ``+ - *`` and parentheses.
    variables
        Values of the names that are constants; all other names are rank variables.

    Returns
    -------
    Affine
        The expression.

    Raises
    ------
    BadAffine
        If the text is not an affine expression.

    Examples
    --------
    >>> print(parse_affine("2*p + r - 1"), parse_affine("3(a + b)"))
    2*p + r - 1 3*a + 3*b
    """
    parser = _Parser(text, variables)
    result = parser.sum()
    parser.end()
    return result


def parse_constraints(text: str, variables: Constants | None = None) -> tuple[Affine, ...]:
    """Parse a conjunction of comparisons.

    Parameters
    ----------
    text
        Comparisons of affine expressions, joined by ``and``, ``&&``, ``&`` or ``;``.
    variables
        Values of the names that are constants; all other names are rank variables.

    Returns
    -------
    tuple of Affine
        Expressions; the conjunction holds where all of them are ≥ 0.

    Raises
    ------
    BadAffine
        If the text is not such a conjunction.

    Examples
    --------
    >>> [str(c) for c in parse_constraints("0 <= m < 8")]
    ['m', '-m + 7']
    """
    parser = _Parser(text, variables)
    found: list[Affine] = []
    while True:
        found.extend(parser.comparison())
        if not parser.take(_AND):
            break
    parser.end()
    return tuple(found)


def add_multiple(left: Affine, right: Affine, factor: int = 1) -> Affine:
    """Compute ``left + factor * right``.

    Parameters
    ----------
    left, right
        The expressions.
    factor
        The factor on `right`.

    Returns
    -------
    Affine
        The sum, without zero coefficients.
    """
    terms = dict(left.terms)
    for name, coefficient in right.terms:
        terms[name] = terms.get(name, 0) + factor * coefficient
    return Affine(
        tuple((n, c) for n, c in terms.items() if c), left.constant + factor * right.constant
    )


class _Parser:
    """A recursive-descent parser; one method per rule of the grammar."""

    def __init__(self, text: str, variables: Constants | None) -> None:
        if len(text) > _MAX_LENGTH:
            raise BadAffine(f"it is longer than {_MAX_LENGTH} characters")
        self.variables = variables
        self.nesting = 0
        self.tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                rest = text[position:].lstrip()
                raise BadAffine(f"unexpected character {rest[:1]!r}")
            self.tokens.append((str(match.lastgroup), str(match[str(match.lastgroup)])))
            position = match.end()
        self.position = 0

    def peek(self) -> tuple[str, str]:
        if self.position < len(self.tokens):
            return self.tokens[self.position]
        return ("end", "")

    def take(self, texts: set[str]) -> str | None:
        kind, text = self.peek()
        if kind in ("sign", "name") and text.lower() in texts:
            self.position += 1
            return text.lower()
        return None

    def end(self) -> None:
        kind, text = self.peek()
        if kind != "end":
            raise self.unexpected(text)

    def unexpected(self, text: str) -> BadAffine:
        if text.lower() in _NOT_AFFINE:
            return BadAffine(f"{text!r} is not affine", unsupported=True)
        if not text:
            return BadAffine("unexpected end")
        return BadAffine(f"unexpected {text!r}")

    def comparison(self) -> list[Affine]:
        found: list[Affine] = []
        left = self.expressions()
        if self.peek()[1] not in _COMPARISONS:
            raise self.unexpected(self.peek()[1])
        while (sign := self.take(_COMPARISONS)) is not None:
            right = self.expressions()
            for a in left:
                for b in right:
                    found.extend(_compare(a, sign, b))
            left = right
        return found

    def expressions(self) -> list[Affine]:
        items = [self.sum()]
        while self.take({","}):
            items.append(self.sum())
        if len(items) > _MAX_ITEMS:
            raise BadAffine(f"a list of more than {_MAX_ITEMS} expressions")
        return items

    def sum(self) -> Affine:
        total = Affine()
        sign = -1 if self.take({"-"}) else 1
        if sign == 1:
            self.take({"+"})
        total = add_multiple(total, self.product(), sign)
        while (found := self.take({"+", "-"})) is not None:
            total = add_multiple(total, self.product(), 1 if found == "+" else -1)
        return _checked(total)

    def product(self) -> Affine:
        result = self.factor()
        while True:
            kind, text = self.peek()
            if text == "*":
                self.position += 1
            elif not (
                result.terms == () and (text == "(" or (kind == "name" and not _is_keyword(text)))
            ):
                return result  # like isl, accept the products "2p" and "2(p + r)"
            right = self.factor()
            if result.terms and right.terms:
                raise BadAffine(f"{result} times {right} is not affine", unsupported=True)
            if right.terms:
                result, right = right, result
            factor = right.constant
            result = _checked(
                Affine(
                    tuple((n, c * factor) for n, c in result.terms if factor),
                    result.constant * factor,
                )
            )

    def factor(self) -> Affine:
        kind, text = self.peek()
        self.position += 1
        if kind == "number":
            if len(text) > _MAX_DIGITS:
                raise BadAffine("a number is too long")
            return Affine((), int(text))
        if kind == "name" and not _is_keyword(text):
            value = self.variables(text) if self.variables is not None else None
            if value is None:
                return Affine(((text, 1),), 0)
            if isinstance(value, Fraction):
                raise BadAffine(f"{text} = {value} is not a whole number")
            return Affine((), value)
        if text in ("(", "-", "+"):
            self.nesting += 1
            if self.nesting > _MAX_NESTING:
                raise BadAffine("it is nested too deeply")
            if text == "(":
                inner = self.sum()
                if not self.take({")"}):
                    raise BadAffine("a parenthesis is not closed")
            else:
                inner = add_multiple(Affine(), self.factor(), 1 if text == "+" else -1)
            self.nesting -= 1
            return inner
        raise self.unexpected(text)


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
            check_size(number)
    except BadNumber as error:
        raise BadAffine(str(error)) from None
    return value
