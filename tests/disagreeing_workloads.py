"""Random Einsums whose index expressions disagree: the workloads of ``disagreeing``."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple, TypeVar

Data = dict[str, Any]
T = TypeVar("T")


class Tensor(NamedTuple):
    """A tensor with the sizes of its ranks, without the rank that shared loops index."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Drawn:
    """An Einsum that has been drawn.

    ``variables`` are the sizes of its own rank variables, in the order of its natural nest;
    ``sums`` are those that do not index the output.
    """

    name: str
    variables: dict[str, int]
    sums: set[str]
    reads: list[tuple[Tensor, tuple[str, ...], bool]]
    output: tuple[Tensor, tuple[str, ...]]
    batch: str = ""
    loops: list[Data] = field(default_factory=list)
    compute: str = ""


class WorkloadDraw:
    """Draws Einsums one after the other."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.sizes: dict[str, int] = {}
        self.produced: list[Tensor] = []
        self.inputs: list[Tensor] = []
        self.einsums: list[Drawn] = []
        self.batches: dict[str, str] = {}

    def often(self, probability: float) -> bool:
        """Draw a boolean."""
        return self.chance.random() < probability

    def choose(self, options: Sequence[T]) -> T:
        """Draw one of several."""
        return self.chance.choice(options)

    def variable(self, size: int, taken: Iterable[str]) -> str:
        """Make a rank variable of this size, or take one of another Einsum."""
        taken = set(taken)
        same = [name for name, other in self.sizes.items() if other == size and name not in taken]
        if same and self.often(0.75):
            return self.choose(same)
        name = f"x{len(self.sizes)}"
        self.sizes[name] = size
        return name

    def plain(self, shape: Sequence[int]) -> list[str]:
        """A rank variable for each rank."""
        names: list[str] = []
        for size in shape:
            names.append(self.variable(size, names))
        return names

    def input(self, prefix: str, shape: Sequence[int]) -> Tensor:
        """A tensor that nobody produces."""
        tensor = Tensor(f"{prefix}{len(self.inputs)}", tuple(shape))
        self.inputs.append(tensor)
        return tensor

    def base(self) -> tuple[int, ...]:
        """The shape of the first tensor."""
        if self.often(0.55):
            return (self.choose((60, 72, 96, 97, 120, 131, 150, 180, 240, 251, 300, 360, 480)),)
        one = self.choose((4, 5, 6, 8, 10, 12, 16, 20, 24, 30, 40))
        two = self.choose((6, 8, 10, 12, 15, 16, 20, 24))
        return (one, two)

    def einsum(self, room: int, batched: float) -> None:
        """Draw one Einsum with at most this number of operations per shared iteration."""
        if not self.produced or self.often(0.08):
            shape = self.produced[0].shape if self.produced else self.base()
            source, batch = self.input("i", shape), self.often(batched)
        else:
            recent = self.produced[-1]
            source = recent if self.often(0.7) else self.choose(self.produced)
            batch = True
        kinds = ["map", "weigh", "weigh", "window", "scatter"]
        kinds += ["flatten", "flatten", "sum"] if len(source.shape) == 2 else ["split", "expand"]
        self.chance.shuffle(kinds)
        for kind in [*kinds, "map"]:
            drawn = getattr(self, kind)(source)
            if drawn is not None and prod(drawn.variables.values()) <= room:
                break
        read, sums, out, extra = drawn.reads[0][1], drawn.sums, drawn.output, drawn.reads[1:]
        reads = [(source, read, batch), *[(t, e, self.often(batched)) for t, e, _ in extra]]
        others = [t for t in self.produced if t.shape == source.shape and t != source]
        if others and self.often(0.5):
            reads.append((self.choose(others), read, True))
        result = Drawn(drawn.name, drawn.variables, sums, reads, out)
        self.produced.append(out[0])
        self.einsums.append(result)

    def make(
        self,
        source: Tensor,
        read: Sequence[str],
        names: Sequence[str],
        out: Sequence[str],
        shape: Sequence[int],
        more: Sequence[tuple[Tensor, tuple[str, ...]]] = (),
    ) -> Drawn:
        """An Einsum that reads one tensor with these expressions, and perhaps more."""
        number = len(self.einsums)
        kept = " ".join(out)
        sums = {name for name in names if name not in kept.replace("*", " ").split()}
        reads = [(source, tuple(read), True), *[(t, e, False) for t, e in more]]
        output = (Tensor(f"t{number}", tuple(shape)), tuple(out))
        return Drawn(f"e{number}", {n: self.sizes[n] for n in names}, sums, reads, output)

    def map(self, source: Tensor) -> Drawn:
        """Element-wise."""
        names = self.plain(source.shape)
        return self.make(source, names, names, names, source.shape)

    def weigh(self, source: Tensor) -> Drawn:
        """Element-wise, several times: a reduction loop that the source does not have."""
        names = self.plain(source.shape)
        k = self.variable(self.choose((2, 2, 3, 3, 4, 5)), names)
        index = (*names, k) if self.often(0.5) else (k,)
        weight = self.input("w", [self.sizes[v] for v in index])
        places = [*names, k] if self.often(0.6) else [k, *names]
        return self.make(source, names, places, names, source.shape, [(weight, index)])

    def sum(self, source: Tensor) -> Drawn:
        """The sum over one rank."""
        names = self.plain(source.shape)
        kept = self.chance.randrange(2)
        return self.make(source, names, names, [names[kept]], [source.shape[kept]])

    def expand(self, source: Tensor) -> Drawn:
        """An outer product with a small vector."""
        names = self.plain(source.shape)
        n = self.variable(self.choose((2, 3, 4, 5)), names)
        weight = self.input("w", [self.sizes[n]])
        out = [*names, n] if self.often(0.5) else [n, *names]
        shape = [self.sizes[v] for v in out]
        return self.make(source, names, [*names, n], out, shape, [(weight, (n,))])

    def flatten(self, source: Tensor) -> Drawn:
        """Two ranks become one: the output index is interleaved."""
        one, two = names = self.plain(source.shape)
        a, b = source.shape
        index = f"{b}*{one} + {two}" if self.often(0.5) else f"{a}*{two} + {one}"
        return self.make(source, names, names, [index], [a * b])

    def split(self, source: Tensor) -> Drawn | None:
        """One rank becomes two: the input index is interleaved."""
        (size,) = source.shape
        parts = [a for a in (2, 3, 4, 5, 6, 8, 10, 12, 20, 30, 40) if size % a == 0 and a < size]
        if not parts:
            return None
        a = self.choose(parts)
        one, two = names = self.plain((a, size // a))
        index = f"{a}*{two} + {one}"
        if self.often(0.5):
            out, shape = [index], [size]
        else:
            out, shape = list(names), [a, size // a]
        if self.often(0.5):
            names = [two, one]
        return self.make(source, [index], names, out, shape)

    def window(self, source: Tensor) -> Drawn | None:
        """A strided or dilated window over the longest rank."""
        at = max(range(len(source.shape)), key=lambda k: source.shape[k])
        length = source.shape[at]
        taps, step, gap = self.choose((2, 3, 3, 4)), self.choose((1, 1, 2, 3)), self.choose((1, 2))
        outputs = (length - 1 - gap * (taps - 1)) // step + 1
        if outputs < 4:
            return None
        others = [n for k, n in enumerate(self.plain(source.shape)) if k != at]
        p = self.variable(outputs, others)
        r = self.variable(taps, [*others, p])
        read, out, shape = list(others), list(others), list(source.shape)
        read.insert(at, f"{step}*{p} + {gap}*{r}")
        out.insert(at, p)
        shape[at] = outputs
        names = [*out, r] if self.often(0.5) else [r, *out]
        more = [(self.input("f", [taps]), (r,))] if self.often(0.6) else []
        return self.make(source, read, names, out, shape, more)

    def scatter(self, source: Tensor) -> Drawn | None:
        """A transposed convolution: every element is updated in several places."""
        at = max(range(len(source.shape)), key=lambda k: source.shape[k])
        length = source.shape[at]
        taps, step, gap = self.choose((2, 3, 3, 4)), self.choose((1, 1, 2, 3)), self.choose((1, 2))
        touched = {step * p + gap * r for p in range(length) for r in range(taps)}
        if len(touched) != max(touched) + 1:
            return None
        names = self.plain(source.shape)
        r = self.variable(taps, names)
        out, shape = list(names), list(source.shape)
        out[at], shape[at] = f"{step}*{names[at]} + {gap}*{r}", len(touched)
        places = [*names, r] if self.often(0.4) else [r, *names]
        more = [(self.input("f", [taps]), (r,))] if self.often(0.6) else []
        return self.make(source, names, places, out, shape, more)
