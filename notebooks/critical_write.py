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
without = polylat.analyze(untapped, granularity="tile")
fetched = polylat.analyze(refetched, granularity="tile")
waited = polylat.analyze(resident, granularity="tile")
hidden = polylat.analyze(resident, granularity="tile", background="o2")

assert without.latency == 31744
assert fetched.latency == 32768
assert waited.latency == 32256  # e3 reads the copy in SRAM: 512 less
assert hidden.latency == 31744  # nothing waits for the write: another 512 less
hidden

# %% [markdown]
# So the write costs nothing if it is in the background. Is it on the critical path?

# %%
write = ("e2", "DRAM", "o2", "write")
print(f"bits of o2 written to DRAM: {hidden.accesses[write]}")
print(f"on the critical path:       {write in hidden.critical_totals}")

assert hidden.accesses[write] == 512
assert write not in hidden.critical_totals

# %% [markdown]
# Why does waiting for the write cost 512? To write a row of `o2` back, it is read from SRAM, which takes 64. In the
# foreground, the next row of `e1` waits for that. In the background, `e1` fetches its operands meanwhile.

# %%
line = hidden.timeline()
for bar in line.bars:
    if bar.start <= 2496 < bar.finish:  # the time at which e2 finishes its first row
        served = ", ".join(f"{part.action} {part.tensor or ''}".rstrip() for part in bar.parts)
        name = line.lanes[bar.lane].name
        print(f"{name:4} serves {bar.einsum} ({bar.kind}) until {bar.finish:,}: {served}")

assert waited.latency - hidden.latency == 8 * 64

# %% [markdown]
# No schedule of this mapping is faster: the latency equals the dependence bound. And a certificate proves the
# schedule, for every tile iteration.

# %%
assert hidden.optimal and hidden.binding == "dependence"
assert hidden.latency == hidden.dependence_bound
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
# One lane per port, one time axis; the critical path is red, and background write-backs are hatched.

# %%
polylat.timelines(
    {
        "AccelForge's accounting": polylat.roofline(resident),
        "o2 kept in SRAM, its write to DRAM in the foreground": waited,
        "the same, written in the background": hidden,
        "stages overlap": tapped,
    }
)
