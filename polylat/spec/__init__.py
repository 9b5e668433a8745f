"""The input: a cascade, an architecture and a mapping, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from polylat.spec.functions import CustomFunctions, check_functions
from polylat.spec.hoisting import hoisted
from polylat.spec.parts import SpecParts
from polylat.spec.reading.evaluate import evaluate
from polylat.spec.reading.mapping_paths import check_paths
from polylat.spec.reading.plain_data import to_tree
from polylat.spec.writing.yaml_output import input_keys, to_yaml
from polylat.tables import Column, Table, Tabular

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec(SpecParts, Tabular):
    """A cascade, an architecture and the mapping of the one onto the other.

    Parameters
    ----------
    workload, arch, mapping
        The three parts. The mapping is a tree; its root is a `Branch`.
    schedule
        Options of `analyze` given in the input (top-level key ``schedule``), by name.
    source
        What workload and architecture were evaluated from; None for values made in Python.
    """

    @classmethod
    def from_dict(
        cls,
        data: Mapping[str, Any],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        recurrences: Mapping[str, str] | None = None,
        **variables: Any,
    ) -> Spec:
        """Evaluate plain data in the shape of AccelForge's YAML.

        Parameters
        ----------
        data
            The top-level keys ``workload``, ``arch``, ``mapping`` and so on. Nodes give their
            type: ``{"type": "Storage", ...}``.
        functions
            Functions that its expressions may call, by name: see `polylat.load`.
        recurrences
            Tensors that are earlier states: see `polylat.load`.
        **variables
            Variables for its expressions; they override those under ``variables``.

        Returns
        -------
        Spec
            The input.

        Raises
        ------
        PolylatError
            polylat cannot analyze the data; the message says what is wrong, where, and how to fix
            it.
        """
        own = CustomFunctions(check_functions(functions))
        return cls.from_parts(
            evaluate(to_tree(data), to_tree(variables), functions=own, recurrences=recurrences)
        )

    @classmethod
    def from_parts(cls, parts: SpecParts) -> Spec:
        """Make a Spec of its parts.

        Parameters
        ----------
        parts
            The parts, evaluated.

        Returns
        -------
        Spec
            The input.
        """
        return cls(parts.workload, parts.arch, parts.mapping, parts.schedule, parts.source)

    def to_yaml(self, *, schedule: bool = True) -> str:
        """Write the input as AccelForge's YAML, for the command line and for AccelForge.

        Parameters
        ----------
        schedule
            Whether to write the options under the key ``schedule``, which AccelForge does not have
            and refuses. Without options, no such key is written.

        Returns
        -------
        str
            The text of one file; `polylat.load` of it returns the same Spec (without options if
            they are not written). Expressions and variables are kept; includes and templates are
            resolved.

        Raises
        ------
        UnsupportedError
            Workload or architecture were made or changed in Python, as in the ``spec`` of a change
            that makes a component faster.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml", "examples/untapped.yaml")
        >>> text = polylat.load(*files).with_pipelines(["e1|e2"]).to_yaml()
        >>> print(text[text.index("mapping:") :][:123])
        mapping:
          nodes:
            - !Storage
              component: SRAM
              tensors: [o2]
            - !Sequential
              nodes:
                - !Nested
        """
        return to_yaml(self, schedule=schedule)

    def with_variables(self, **values: Any) -> Spec:
        """Evaluate workload and architecture again, with other values of variables.

        Parameters
        ----------
        **values
            Variables under the key ``variables`` of the input, or used in its expressions.

        Returns
        -------
        Spec
            The input with these values; its mapping and options are kept as they are.

        Raises
        ------
        UnsupportedError
            Workload or architecture were made or changed in Python.
        PolylatError
            The input does not use a variable, or cannot be analyzed with these values.

        Examples
        --------
        >>> import polylat
        >>> spec = polylat.load("examples/two_convolutions.yaml")
        >>> polylat.analyze(spec).latency, polylat.analyze(spec.with_variables(P=20)).latency
        (216, 266)
        """
        keys = input_keys(self, schedule=True)
        functions = None if self.source is None else self.source.functions
        return Spec.from_parts(evaluate(to_tree(keys), to_tree(values), functions=functions))

    def with_pipelines(self, names: Collection[str] | None = None) -> Spec:
        """Replace Sequential splits by Pipelines.

        Parameters
        ----------
        names
            Names of the splits, such as ``"e1|e2+e3"``; None: all.

        Returns
        -------
        Spec
            The input with overlapping stages.
        """
        return replace(self, mapping=self.mapping.with_pipelines(names))

    def hoist(self, tensor: str, component: str) -> Spec:
        """Keep a tensor above the split whose branches exchange it.

        Parameters
        ----------
        tensor, component
            The tensor, and the component that keeps it in a branch, such as ``"o2", "SRAM"``.

        Returns
        -------
        Spec
            The input with one Storage above the innermost split that has all Einsums that access
            the tensor, instead of those in the branches.

        Raises
        ------
        OptionError
            There is no such Storage.
        MappingError
            A holder may not stand there.

        Examples
        --------
        >>> import polylat
        >>> files = ("examples/arch.yaml", "examples/workload.yaml")
        >>> refetched = polylat.load(*files, "examples/tap_refetched.yaml")
        >>> resident = polylat.load(*files, "examples/tap_resident.yaml")
        >>> refetched.hoist("o2", "SRAM") == resident
        True
        """
        mapping = hoisted(self.mapping, self.workload, tensor, component)
        check_paths(mapping, self.workload, self.arch)
        return replace(self, mapping=mapping)

    def headline(self) -> tuple[str, ...]:
        """Return the sizes of the input.

        Returns
        -------
        tuple of str
            One sentence; another one if the mapping leaves Einsums out.
        """
        einsums, components = len(self.workload.einsums), len(self.arch.order)
        head = f"{einsums} Einsums on {components} components"
        if self.workload.unmapped:
            return head, f"Not mapped, thus left out: {', '.join(self.workload.unmapped)}."
        return (head,)

    def tables(self) -> tuple[Table, ...]:
        """Return the Einsums and the components; `polylat.tree` shows the mapping.

        Returns
        -------
        tuple of Table
            Workload and architecture.
        """
        einsums = tuple(
            (e.name, ", ".join(e.reads), ", ".join(e.outputs), ", ".join(e.rank_variables))
            for e in self.workload.einsums
        )
        known = {c.name: c for path in self.arch.paths.values() for c in path}
        components = tuple(
            (
                name,
                known[name].kind,
                known[name].size,
                known[name].fanout,
                "by total_latency"
                if known[name].total_latency
                else ", ".join(port.name or "one" for port in known[name].ports),
            )
            for name in self.arch.order
            if name in known
        )
        return (
            Table(
                (
                    Column("einsum", "Einsum"),
                    Column("reads", "reads"),
                    Column("produces", "produces"),
                    Column("rank_variables", "rank variables"),
                ),
                einsums,
                "Workload",
            ),
            Table(
                (
                    Column("component", "Component"),
                    Column("kind", "kind"),
                    Column("size", "size (bits)", "number"),
                    Column("units", "units", "number"),
                    Column("ports", "ports"),
                ),
                components,
                "Architecture",
            ),
        )
