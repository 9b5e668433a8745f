# %% [markdown]
# # Is the write on the critical path?
#
# Three matrix multiplications in a row, `e1 → o1 → e2 → o2 → e3`. Somebody wants `o2` in DRAM as well.
# AccelForge's figure for the mapping grows by 1,024. Is that so, or can the write happen while `e3` computes?
#
# The inputs are AccelForge's own files, as they are: an architecture, a workload, and three mappings.

# %%
from pathlib import Path

import polylat

EXAMPLES = Path("../examples")


def load(mapping: str, splits: str = "Sequential") -> polylat.Spec:
    """The example with one of its mappings, and both of its splits of a kind."""
    files = ("arch.yaml", "workload.yaml", mapping)
    return polylat.load(*(EXAMPLES / file for file in files), top=splits, inner=splits)


print((EXAMPLES / "workload.yaml").read_text())

# %% [markdown]
# The mapping that keeps `o2` in SRAM for `e3`, and writes it to DRAM, too:

# %%
resident = load("tap_resident.yaml")
resident.mapping

# %% [markdown]
# ## What AccelForge says
#
# For each Einsum the time of its busiest component, and the sum of these. `polylat.roofline` does the same, to the
# digit.

# %%
untapped, refetched = load("untapped.yaml"), load("tap_refetched.yaml")
figures = {
    "o2 stays in SRAM": polylat.roofline(untapped).latency,
    "o2 to DRAM, fetched back by e3": polylat.roofline(refetched).latency,
    "o2 to DRAM, kept in SRAM for e3": polylat.roofline(resident).latency,
}
for what, figure in figures.items():
    print(f"{what:32} {figure:,}")

assert list(figures.values()) == [31744, 32768, 32768]

# %% [markdown]
# Whether `e3` fetches `o2` back or finds it in SRAM makes no difference there: each Einsum is charged for what it
# reads. Nor can a mapping say that nobody waits for the write.
#
# ## What the dependences say
#
# `analyze` works out which access waits for which, and what every port serves when.

# %%
without = polylat.analyze(untapped, granularity="tile")
fetched = polylat.analyze(refetched, granularity="tile")
waited = polylat.analyze(resident, granularity="tile")
hidden = polylat.analyze(resident, granularity="tile", background="o2")

assert without.latency == 31744
assert fetched.latency == 32768
assert waited.latency == 32256  # e3 reads the copy in SRAM: 512 less
assert hidden.latency == 31744  # nobody waits for the write: another 512 less
hidden

# %% [markdown]
# So the write costs nothing, if nobody waits for it. Is it on the critical path?

# %%
write = ("e2", "DRAM", "o2", "write")
print(f"bits of o2 written to DRAM: {hidden.accesses[write]}")
print(f"on the critical path:       {write in hidden.critical_totals}")

assert hidden.accesses[write] == 512
assert write not in hidden.critical_totals

# %% [markdown]
# What did the 512 consist of, that waiting for it cost? To write a row of `o2` back, it is read from SRAM, which takes
# 64. In the foreground, the next row of `e1` waits for that. In the background, `e1` fetches its operands meanwhile.

# %%
line = hidden.timeline()
for bar in line.bars:
    if bar.start <= 2496 < bar.finish:  # the moment at which e2 is done with its first row
        served = ", ".join(f"{part.action} {part.tensor or ''}".rstrip() for part in bar.parts)
        name = line.lanes[bar.lane].name
        print(f"{name:4} serves {bar.einsum} ({bar.kind}) until {bar.finish:,}: {served}")

assert waited.latency - hidden.latency == 8 * 64

# %% [markdown]
# No schedule of this mapping is faster: the latency equals a bound, the longest chain of dependences. And a
# certificate proves the schedule, for every tile iteration.

# %%
assert hidden.optimal and hidden.binding == "dependence"
assert hidden.latency == hidden.dependence_bound
hidden.verify()

# %% [markdown]
# ## Let the stages overlap
#
# With both splits a `Pipeline`, `e1`, `e2` and `e3` work at the same time, and DRAM is busy throughout. Now the
# write does cost its 512: not because somebody waits for it, but because DRAM does nothing else meanwhile.

# %%
kept = polylat.analyze(load("untapped.yaml", "Pipeline"), granularity="flow")
tapped = polylat.analyze(load("tap_resident.yaml", "Pipeline"), granularity="flow", background="o2")
(dram,) = (port for port in tapped.ports if port.name == "DRAM")

assert kept.latency == 24064 and kept.optimal
assert tapped.latency == 24576 and tapped.optimal
assert dram.utilization == 1 and tapped.binding == "resource"
tapped.ports_frame()

# %% [markdown]
# ## The picture
#
# One lane per port, one axis of time; the critical path is drawn in red, and what is in the background is hatched.

# %%
polylat.compare(
    {
        "AccelForge's accounting": polylat.roofline(resident),
        "o2 kept in SRAM, everybody waits for its write to DRAM": waited,
        "the same, written in the background": hidden,
        "stages overlap": tapped,
    }
)
