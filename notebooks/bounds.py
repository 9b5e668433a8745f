# %% [markdown]
# # Bounds, certificates, sensitivity
#
# A latency raises four questions. Is it optimal? Can I trust it? What does it depend on? What would change it? Each
# has an exact answer.

# %%
from fractions import Fraction
from pathlib import Path

import matplotlib.pyplot as plt

import polylat

EXAMPLES = Path("../examples")


def load(mapping: str, splits: str = "Sequential") -> polylat.Spec:
    """Load the example with one of its mappings, and with the given kind for both splits."""
    files = ("arch.yaml", "workload.yaml", mapping)
    return polylat.load(*(EXAMPLES / file for file in files), top=splits, inner=splits)


sequential = polylat.analyze(load("tap_resident.yaml"), granularity="tile")
tapped = polylat.analyze(load("tap_resident.yaml"), granularity="tile", background="o2")
pipelined = polylat.analyze(
    load("tap_resident.yaml", "Pipeline"), granularity="flow", background="o2"
)
refetched = polylat.analyze(load("tap_refetched.yaml"), granularity="tile")

# %% [markdown]
# ## Is it optimal?
#
# No schedule of a mapping is faster than its busiest port (the *resource bound*), than its longest chain of
# dependences (the *dependence bound*), or than the branches of its Sequentials one after another (the *barrier bound*).
# If the latency equals the largest bound, it is optimal, and the bound says why.

# %%
reports = {
    "sequential": sequential,
    "pipelined": pipelined,
    "fetched back": refetched,
    "background": tapped,
}
for name, report in reports.items():
    print(
        f"{name:12} latency {report.latency:,}  resource {report.resource_bound:,}  dependence"
        f" {report.dependence_bound:,}  barrier {report.barrier_bound:,}"
        f"  {'optimal' if report.optimal else 'not proven optimal'}"
    )

assert (sequential.latency, sequential.dependence_bound) == (32256, 32256)
assert (pipelined.latency, pipelined.resource_bound) == (24576, 24576)
assert (refetched.latency, refetched.barrier_bound) == (32768, 32768)
assert (refetched.resource_bound, refetched.dependence_bound) == (25088, 20680)
assert (tapped.latency, tapped.barrier_bound) == (31808, 31744)
assert [report.optimal for report in reports.values()] == [True, True, True, False]

# %% [markdown]
# The first three latencies call for different measures. The first is limited by dependences: reorder the work, or let stages
# overlap. The second is limited by a port: only less traffic or more bandwidth helps. The third is limited by barriers:
# no order of service is faster, as each branch waits for all of the branch before; let stages overlap. The fourth one
# equals no bound: another order of service may be faster, or the bounds cannot be attained. Here they cannot: the write
# of the last row of `o2` is not among the foregrounds that the barrier bound counts, and DRAM is busy until then.
#
# `lower_bound` is the largest bound, and `gap` says by how much the latency exceeds it: no schedule of the mapping, in any
# order, gains more. `exact` has a different meaning: whether the latency is determined exactly. If a granularity needs
# too many samples, `latency` is an upper bound, and lies between `lower_bound` and that. Here all results are exact.

# %%
assert all(report.exact for report in reports.values())
assert [report.gap == 0 for report in reports.values()] == [r.optimal for r in reports.values()]

# %% [markdown]
# ## Can I trust it?
#
# `verify` takes the schedule as a claim, derives every rule again from the mapping, and has ISL prove that none is
# violated. It returns a certificate, or raises an error with a smallest counterexample.

# %%
certificate = sequential.verify()
assert certificate.latency == 32256
kinds = {proven.kind for proven in certificate.proven}
assert {"flow", "causality", "barrier", "ports", "latency", "witness"} <= kinds
certificate

# %% [markdown]
# ## What does it depend on?
#
# Per access: its time on the critical path, the factor by which it could be slowed down without increasing the
# latency (*slack*: 1 is none), and the latency if it took no time.

# %%
table = sequential.sensitivity_frame()
table

# %%
write = table.query("component == 'DRAM' and tensor == 'o2' and action == 'write'").iloc[0]
assert write["critical"] == 0
assert write["slack"] == 16  # the write to DRAM could be 16 times as slow
assert write["latency_if_free"] == 32256  # no time at all would not help

# %% [markdown]
# ## What would change it?
#
# `what_if` answers this for one change. It keeps the order of service; to let the order change as well, analyze the
# changed architecture.

# %%
for factor in (2, 4):
    print(f"DRAM {factor} times as fast: {sequential.what_if({'DRAM': factor}).latency:,}")

assert sequential.what_if({"DRAM": 2}).latency == 25856
assert sequential.what_if({"mac": 2}).latency == 32256  # the computation is never critical

# %% [markdown]
# `curve` answers it for all bandwidths of a component, exactly. It is a convex, piecewise linear function of the time
# that DRAM takes per bit; different critical paths give the pieces different slopes.

# %%
curve = sequential.curve("DRAM")
for (scale, latency), slope in zip(curve.breakpoints, curve.slopes, strict=True):
    print(
        f"from {float(scale):.3f} times the time per bit: {float(latency):10,.1f}, slope {slope:,}"
    )

assert curve.at(1) == 32256
assert curve.at_bandwidth(2) == 25856
assert curve.beyond == Fraction(23, 8)  # above 2.875 times the bandwidth, nothing changes
assert curve.at_bandwidth(curve.beyond) == curve.at_bandwidth(100) == 24064

# %%
factors = [Fraction(n, 20) for n in range(10, 81)]
figure, axes = plt.subplots(figsize=(7, 3.5))
for name, report in (("sequential", sequential), ("pipelined", pipelined)):
    line = report.curve("DRAM")
    latencies = [float(line.at_bandwidth(factor)) for factor in factors]
    axes.plot([float(factor) for factor in factors], latencies, label=name)
axes.axvline(float(curve.beyond), color="grey", linestyle=":", label="no gain beyond (sequential)")
axes.set(xlabel="bandwidth of DRAM, relative", ylabel="latency", ylim=(0, None))
axes.legend()
figure.tight_layout()

# %% [markdown]
# With half the bandwidth, the latency of the pipelined schedule doubles, as DRAM is its bottleneck; that of the
# sequential one less than doubles, as only a part of its critical path is DRAM time. With a higher bandwidth, both
# converge to 24,064, where SRAM is the bottleneck: the pipelined one almost at once, the sequential one at 2.875
# times the bandwidth.

# %%
assert sequential.curve("DRAM").at_bandwidth(Fraction(1, 2)) < 2 * 32256
assert pipelined.curve("DRAM").at_bandwidth(100) == 24064
assert pipelined.curve("DRAM").at_bandwidth(Fraction(1, 2)) == 2 * 24576
