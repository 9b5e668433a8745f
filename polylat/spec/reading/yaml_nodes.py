"""Parse YAML text to nodes with ruamel's composer, so that no tag can construct an object."""

from __future__ import annotations

from typing import Any

from polylat.errors import SpecError
from polylat.spec.reading.suggest import format_value


def compose(text: str, file: str | None) -> Any:
    """Parse a YAML text to nodes, without constructing objects.

    Parameters
    ----------
    text
        The text of one document.
    file
        The file name, for messages.

    Returns
    -------
    Any
        The root node; None if the document is empty.

    Raises
    ------
    SpecError
        The text is not valid YAML, or is nested too deeply.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    yaml = YAML(typ="safe", pure=True)
    try:
        yaml.composer.warn_double_anchors = False
        return yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise SpecError(
            f"not valid YAML: {what or 'it cannot be parsed'}", where=line_text(file, line)
        ) from None
    except (RecursionError, MemoryError):
        raise SpecError("the YAML is nested too deeply", where=file) from None
    except YAMLError as error:
        first = str(error).strip().splitlines() or ["it cannot be parsed"]
        raise SpecError(f"not valid YAML: {first[0]}", where=file) from None
    except Exception as error:  # noqa: BLE001 - the parser itself may fail on unusual texts
        raise SpecError(
            f"not valid YAML: {type(error).__name__}: {format_value(str(error))}", where=file
        ) from None


def line_text(file: str | None, line: int | None) -> str | None:
    """Format a location in a file.

    Parameters
    ----------
    file
        The file name, if any.
    line
        The line, counted from 1, if known.

    Returns
    -------
    str or None
        The location; None if nothing is known.
    """
    if line is None:
        return file
    return f"{file}, line {line}" if file else f"line {line}"
