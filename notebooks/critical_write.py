# %% [markdown]
# # Is the write on the critical path?
#
# Three matrix multiplications in a row, `e1 → o1 → e2 → o2 → e3`. Now `o2` is needed in DRAM as well. AccelForge's
# latency of the mapping increases by 1,024. Is that so, or can the write take place while `e3` computes?
#
# The inputs are AccelForge files: an architecture, a workload, and three mappings.

# %%
from pathlib import Path

import polylat

EXAMPLES = Path("../examples")


def load(mapping: str, splits: str = "Sequential") -> polylat.Spec:
    """Load the example with one of its mappings, and with the given kind for both splits."""
    files = ("arch.yaml", "workload.yaml", mapping)
    return polylat.load(*(EXAMPLES / file for file in files), top=splits, inner=splits)


print((EXAMPLES / "workload.yaml").read_text())

# %% [markdown]
# The mapping that keeps `o2` in SRAM for `e3`, and also writes it to DRAM:

# %%
resident = load("tap_resident.yaml")
polylat.tree(resident)

# %% [markdown]
# ## AccelForge's latency
#
# For each Einsum the time of its slowest component, and the sum of these. `polylat.roofline` repeats it, to the
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
# Whether `e3` fetches `o2` back or finds it in SRAM makes no difference: AccelForge charges each Einsum for its
# reads. Nor can a mapping express that nothing waits for the write.
#
# ## The latency from the dependences
#
# `analyze` derives which access waits for which, and schedules the accesses on the ports.

# %%
without = polylat.analyze(untapped)
fetched = polylat.analyze(refetched)
waited = polylat.analyze(resident)
hidden = polylat.analyze(resident, background="o2")

assert without.latency == 31744
assert fetched.latency == 32768
assert waited.latency == 32256  # e3 reads the copy in SRAM: 512 less
assert hidden.latency == 31752  # no barrier waits for the write: another 504 less
hidden

# %% [markdown]
# So the write costs 8 if it is in the background, and not 1,024. Is it on the critical path?

# %%
write = ("e2", "DRAM", "o2", "write")
print(f"bits of o2 written to DRAM: {hidden.accesses[write]}")
print(f"on the critical path:       {hidden.critical_totals[write]}")

assert hidden.accesses[write] == 512
assert hidden.critical_totals[write] == 8

# %% [markdown]
# Only the last value is on it. It has been computed when `e3` starts, and `e3` needs DRAM to the end. So its write comes
# last, at the lowest priority. Where rows are handed over as a whole (`granularity="tile"`), it is the last row.

# %%
last = hidden.critical_path[-1]
print(last)
by_row = polylat.analyze(resident, granularity="tile", background="o2")

assert (last.einsum, last.tensor, last.action, last.duration) == ("e2", "o2", "write", 8)
assert by_row.latency == 31744 + 64

# %% [markdown]
# Why does waiting for the write cost 512? To write a row of `o2` back, it is read from SRAM, which takes 64. If the write
# streams, the next row of `e1` waits for that. In the background, SRAM serves `e1` first, and the write-back while `e1`
# still waits for DRAM.

# %%
line = by_row.timeline()
for bar in line.bars:
    if bar.start <= 2496 < bar.finish:  # the time at which e2 finishes its first row
        served = ", ".join(f"{part.action} {part.tensor or ''}".rstrip() for part in bar.parts)
        name = line.lanes[bar.lane].name
        print(f"{name:4} serves {bar.einsum} ({bar.kind}) until {bar.finish:,}: {served}")

assert waited.latency - without.latency == 8 * 64

# %% [markdown]
# ## Streamed or staged
#
# AccelForge assumes that reads, computation and writes of an Einsum overlap freely, and so does polylat by
# default: the fastest that an exchange within an Einsum can be. Double-buffered hardware hands over tiles as a whole.
# SRAM holds `o2` as one tile, so that its write starts when all of it has been computed, and is not hidden.

# %%
as_a_whole = polylat.analyze(resident, background="o2", staged="all")
print(f"streamed {hidden.latency:,}, staged {as_a_whole.latency:,}")

assert as_a_whole.latency == 31744 + 512

# %% [markdown]
# ## Is that the best?
#
# The barriers alone take 31,744: no schedule of this mapping is faster than that. A certificate proves the schedule, for
# every tile iteration: nothing is moved before it exists, or used before it has arrived.

# %%
assert hidden.barrier_bound == 31744
hidden.verify()

# %% [markdown]
# ## Let the stages overlap
#
# With both splits a `Pipeline`, `e1`, `e2` and `e3` work at the same time, and DRAM is busy throughout. Now the write
# does cost its 512: nothing waits for it, but DRAM, which is the bottleneck, has to serve it.

# %%
kept = polylat.analyze(load("untapped.yaml", "Pipeline"), granularity="flow")
tapped = polylat.analyze(load("tap_resident.yaml", "Pipeline"), granularity="flow", background="o2")
(dram,) = (port for port in tapped.ports if port.name == "DRAM")

assert kept.latency == 24064 and kept.optimal
assert tapped.latency == 24576 and tapped.optimal
assert dram.utilization == 1 and tapped.binding == "resource"
tapped.ports_frame()

# %% [markdown]
# ## The timelines
#
# One lane per port, one time axis; the critical path is red, and write-backs in the background are hatched.

# %%
polylat.timelines(
    {
        "AccelForge's accounting": polylat.roofline(resident),
        "o2 kept in SRAM, its write to DRAM streams": polylat.analyze(resident, granularity="tile"),
        "the same, each row written in the background": by_row,
        "stages overlap": tapped,
    }
)
