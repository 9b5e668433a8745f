# %% [markdown]
# # Recurrences
#
# A state-space layer computes `H[t]` from `H[t-1]`: each step waits for the one before, whatever the ports could do. How much does
# that cost, and what hides it?

# %%
from pathlib import Path

import matplotlib.pyplot as plt

import polylat

EXAMPLES = Path("../examples")


def analyze(slots: int = 2, heads: int = 1) -> polylat.Report:
    """Analyze the state-space layer: 32 heads, 4,096 tokens, `heads` of them inside the loop over t."""
    files = ("state_space_layer.yaml", "state_space_layer_schedule.yaml")
    spec = polylat.load(*(EXAMPLES / file for file in files), heads=heads)
    return polylat.analyze(spec, slots=slots)


# %% [markdown]
# ## What limits the layer?
#
# `HH[t] = A[t] * H[t-1]` runs on a multiplier, `H[t] = HH[t] + U[t] * X[t]` on an adder. An operation takes 4 cycles per head and
# step on each of them, and its result passes 10 cycles later. So a step takes 2 · (4 + 10) = 28, where each unit is busy for 4.

# %%
report = analyze()
(ring,) = report.recurrences
print(ring)
assert (ring.einsums, ring.tensors) == (("HH", "H"), ("H",))
assert (ring.interval, ring.busy) == (28, 4)

# %% [markdown]
# AccelForge's figure does not contain the recurrence: a roofline has no dependences. The largest bound of polylat does, and the
# latency is close to it.

# %%
print(f"roofline {report.roofline:,}  resource {report.resource_bound:,}")
print(f"dependence {float(report.dependence_bound):,.0f}  latency {float(report.latency):,.0f}")
assert report.resource_bound < report.roofline < report.dependence_bound <= report.latency
assert report.latency / report.dependence_bound < 1.001

# %% [markdown]
# ## What would help?
#
# Faster units hardly: the latency of their results remains. Half of that latency saves more. Other heads inside the loop over steps
# save most: from eight heads with five buffer slots on, the recurrence is hidden. Every single change is an analysis of its own.

# %%
faster = report.what_if({"multiplier": 2, "adder": 2}).latency
print(f"units twice as fast: {float(faster):,.0f} instead of {float(report.latency):,.0f}")
assert 0.84 < faster / report.latency < 0.87  # 24 instead of 28 per step

helpful = report.changes().helpful
for change in helpful:
    print(f"{change.what}: {change.found}")
best = helpful[0]
assert best.what == "8 of the 32 iterations of b inside the loop over t, 5 slots"
assert best.hides
assert all(change.kind == "loop" for change in helpful[:5])

# %% [markdown]
# Why these numbers? Other heads do not wait for this one. Inside the loop over steps, they fill the gaps: with B heads a step takes
# 28 as long as their operations take less, if the buffers have room. A tile of `HH` lives from its multiplication until the adder has read it, 4 + 10 + 4
# cycles; so with n slots a head takes at least 18 / n.

# %%
heads = (1, 2, 4, 8, 16)
per_head = {
    slots: [float(analyze(slots, heads=n).recurrences[0].interval / n) for n in heads]
    for slots in (2, 3, 5)
}
fig, ax = plt.subplots(figsize=(6, 3.2))
for slots, times in per_head.items():
    ax.plot(heads, times, marker="o", label=f"{slots} slots")
ax.axhline(4, color="gray", linestyle=":", label="busy time of a unit")
ax.set_xscale("log", base=2)
ax.set_xticks(heads, [str(n) for n in heads])
ax.set_xlabel("heads inside the loop over steps")
ax.set_ylabel("recurrence, cycles per head and step")
ax.set_ylim(0)
ax.legend()
plt.show()

assert [times[0] for times in per_head.values()] == [28, 28, 28]
assert [times[-1] for times in per_head.values()] == [9, 6, 3.6]

# %% [markdown]
# With five slots and eight heads, the recurrence is hidden: the units are busy all the time but for the first and the last steps.

# %%
hidden = analyze(5, heads=8)
print(f"latency {float(hidden.latency):,.0f}  resource bound {hidden.resource_bound:,}")
assert not hidden.recurrences[0].binding
assert hidden.latency / hidden.resource_bound < 1.0001

# %% [markdown]
# ## Is that exact?
#
# 4,096 steps are sampled and extrapolated, and the extrapolation is proven: `report.exact`. `verify` proves it again, from the mapping.

# %%
assert report.exact
assert report.engine == "periodic"
certificate = report.verify()
assert certificate.latency == report.latency
certificate
