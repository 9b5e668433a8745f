"""Normal form of the option `pipelined` of `analyze`: the splits whose branches overlap."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from polylat.errors import OptionError
from polylat.spec.reading.suggest import did_you_mean, format_value

ALL = "all"
"""The word for every split."""


def normalize_pipelined(
    value: object, splits: Collection[str], *, where: str | None = None
) -> tuple[str, ...]:
    """Normalize the option `pipelined`, the splits that are treated as Pipelines.

    Parameters
    ----------
    value
        True or ``"all"``; False or None; or one or several names of splits, such as ``"e1|e2+e3"``.
    splits
        The names of all splits with several branches, in tree order.
    where
        Location in the input, for messages.

    Returns
    -------
    tuple of str
        Names of splits, in tree order.

    Raises
    ------
    OptionError
        The value has another form, or the mapping has no such split.

    Examples
    --------
    >>> normalize_pipelined(True, ["e1+e2|e3", "e1|e2"])
    ('e1+e2|e3', 'e1|e2')
    >>> normalize_pipelined("e1 | e2", ["e1+e2|e3", "e1|e2"])
    ('e1|e2',)
    """
    if value is None or value is False:
        return ()
    if value is True:
        return tuple(splits)
    names = [value] if isinstance(value, str) else value
    if (
        not isinstance(names, Iterable)
        or isinstance(names, Mapping)
        or not all(isinstance(name, str) for name in names)
    ):
        raise OptionError(
            f"pipelined is {format_value(value)}",
            where=where,
            fix='give True, or names of splits such as "e1|e2+e3"; polylat tree shows them',
        )
    chosen = ["".join(name.split()) for name in names]
    for name in chosen:
        if name != ALL and name not in splits:
            raise OptionError(
                f"pipelined names the split {name!r}, which the mapping does not have",
                where=where,
                fix=did_you_mean(name, [*splits, ALL])
                if splits
                else "leave it out: the mapping has no split with several branches",
            )
    return tuple(name for name in splits if name in chosen or ALL in chosen)
