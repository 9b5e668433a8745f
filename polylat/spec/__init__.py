"""The input: a cascade, an architecture and a mapping, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from polylat.spec.arch import Arch
from polylat.spec.mapping import Branch
from polylat.spec.workload import Workload

if TYPE_CHECKING:
    from polylat.draw.tree import Tree

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec:
    """A cascade, an architecture and the mapping of the one onto the other.

    Parameters
    ----------
    workload, arch, mapping
        The three parts. The mapping is a tree; its root is a `Branch`.
    schedule
        Options of `analyze` given in the input (top-level key ``schedule``), by name.
    """

    workload: Workload
    arch: Arch
    mapping: Branch
    schedule: MappingType[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: MappingType[str, Any], **variables: Any) -> Spec:
        """The Spec that plain data describes, in the shape of AccelForge's YAML.

        Parameters
        ----------
        data
            The top-level keys ``workload``, ``arch``, ``mapping`` and so on. Nodes say their type:
            ``{"type": "Storage", ...}``.
        **variables
            Variables for its expressions; they override those under ``variables``.

        Raises
        ------
        PolylatError
            Where the data is no input that polylat can analyse; says what, where and what to do.
        """
        from polylat.spec.reading.build import build
        from polylat.spec.reading.tree import plain

        return build(plain(data), plain(variables))

    def tree(self) -> Tree:
        """The mapping as a tree with trip counts and flows, to be drawn."""
        from polylat.draw.tree import mapping_tree

        return mapping_tree(self.mapping, spec=self)

    def _repr_html_(self) -> str:
        from polylat.draw.html import spec_html

        return spec_html(self)
