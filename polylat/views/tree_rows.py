"""The rows of a mapping's tree and the flows between them, with their texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["TreeFlow", "TreeRow", "critical_mark", "describe_flow", "stem"]


@dataclass(frozen=True)
class TreeRow:
    """A node of the tree.

    Parameters
    ----------
    kind
        *loop*, *spatial*, *storage*, *toll*, *split* or *compute*.
    text
        The node in words, such as ``"DRAM keeps w1"``.
    note
        Trip count and tile shape of a loop; elements per tile of a holder; binding of a Pipeline;
        may be empty.
    branches
        For each split above the node: whether the node is in the split's last branch.
    first
        Whether the node is the first of its branch.
    share
        Of a holder or a leaf: the time of its accesses on the critical path, as a fraction of the
        latency; None without a report.
    """

    kind: str
    text: str
    note: str
    branches: tuple[bool, ...]
    first: bool
    share: Fraction | None = None


@dataclass(frozen=True)
class TreeFlow:
    """A tensor that one leaf writes to a shared holder and another leaf reads there.

    Parameters
    ----------
    source, target
        The numbers of the rows of the writing and the reading leaf.
    tensor
        The tensor.
    component
        The component of the shared holder.
    produced
        True if the source computes the tensor, False if it fetches it.
    recurrent
        Whether the target reads what the source computed in an earlier tile iteration.
    """

    source: int
    target: int
    tensor: str
    component: str
    produced: bool
    recurrent: bool = False


def describe_flow(rows: Sequence[TreeRow], flow: TreeFlow) -> str:
    """Return a flow in words.

    Parameters
    ----------
    rows
        The rows of the tree.
    flow
        A flow between two of them.

    Returns
    -------
    str
        Such as ``"e1 -> e2: o1 through SRAM"``.
    """
    source, target = (rows[k].text.split()[0] for k in (flow.source, flow.target))
    how = " (recurrence)" if flow.recurrent else "" if flow.produced else " (fetched)"
    return f"{source} -> {target}: {flow.tensor} through {flow.component}{how}"


def stem(row: TreeRow) -> str:
    """Return the lines to the left of a row in box-drawing characters.

    Parameters
    ----------
    row
        The row.

    Returns
    -------
    str
        Three characters per split above the row.
    """
    parts = ["   " if last else "│  " for last in row.branches]
    if row.first and parts:
        parts[-1] = "└─ " if row.branches[-1] else "├─ "
    return "".join(parts)


def critical_mark(row: TreeRow) -> str:
    """Return the mark of a row on the critical path.

    Parameters
    ----------
    row
        The row.

    Returns
    -------
    str
        Its share of the latency in percent; empty if it has none.
    """
    if not row.share:
        return ""
    return f"  ◀ critical {max(float(row.share), 0.001):.1%}"
