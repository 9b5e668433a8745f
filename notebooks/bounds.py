# %% [markdown]
# # Bounds, certificates, sensitivity
#
# A latency by itself invites four questions. Is it the best? Can I trust it? What does it depend on? What would change
# it? Each has an exact answer.

# %%
from fractions import Fraction
from pathlib import Path

import matplotlib.pyplot as plt

import polylat

EXAMPLES = Path("../examples")


def load(mapping: str, splits: str = "Sequential") -> polylat.Spec:
    """The example with one of its mappings, and both of its splits of a kind."""
    files = ("arch.yaml", "workload.yaml", mapping)
    return polylat.load(*(EXAMPLES / file for file in files), top=splits, inner=splits)


sequential = polylat.analyze(load("tap_resident.yaml"), granularity="tile", background="o2")
pipelined = polylat.analyze(
    load("tap_resident.yaml", "Pipeline"), granularity="flow", background="o2"
)
refetched = polylat.analyze(load("tap_refetched.yaml"), granularity="tile")

# %% [markdown]
# ## Is it the best?
#
# No schedule of a mapping is faster than its busiest port (the *resource bound*), nor than its longest chain of
# dependences (the *dependence bound*). If the latency equals the larger one, it is optimal, and the bound says why.

# %%
reports = {"sequential": sequential, "pipelined": pipelined, "fetched back": refetched}
for name, report in reports.items():
    print(
        f"{name:12} latency {report.latency:,}  resource {report.resource_bound:,}  dependence"
        f" {report.dependence_bound:,}  {'optimal' if report.optimal else 'not proven optimal'}"
    )

assert (sequential.latency, sequential.dependence_bound) == (31744, 31744)
assert (pipelined.latency, pipelined.resource_bound) == (24576, 24576)
assert (refetched.latency, refetched.resource_bound, refetched.dependence_bound) == (
    32768,
    25088,
    20680,
)
assert [report.optimal for report in reports.values()] == [True, True, False]

# %% [markdown]
# The two optimal ones call for different things. The first is bound by dependences: reorder the work, or let stages
# overlap. The second is bound by a port: only less traffic or more bandwidth helps. Of the third it is not known; it
# may be the order of the ports, or the bounds may be out of reach.
#
# `exact` is another matter: whether the latency given is that of the schedule. Where a granularity is too fine to be
# settled, `lower_bound` and `gap` say between what it lies. Here it is exact.

# %%
assert all(report.exact and report.gap == 0 for report in reports.values())

# %% [markdown]
# ## Can I trust it?
#
# `verify` forgets how the schedule was found, derives every rule again from the mapping, and lets ISL decide. It
# returns a certificate, or raises with a smallest counterexample.

# %%
certificate = sequential.verify()
assert certificate.latency == 31744
assert {"flow", "barrier", "ports", "latency", "witness"} <= {p.kind for p in certificate.proven}
certificate

# %% [markdown]
# ## What does it depend on?
#
# Per access: how much of it is on the critical path, how many times as long it could take for free (*slack*: 1 is
# none), and what the latency would be without it.

# %%
table = sequential.sensitivity_frame()
table

# %%
write = table.query("component == 'DRAM' and tensor == 'o2' and action == 'write'").iloc[0]
assert write["critical"] == 0
assert write["slack"] == 15  # the write to DRAM could be 15 times as slow
assert write["latency_if_free"] == 31744  # and if it were free, nothing would be gained

# %% [markdown]
# ## What would change it?
#
# One answer for one change: `what_if`. The order in which ports serve stays as it is; to let it change, too, analyse
# the changed architecture.

# %%
for factor in (2, 4):
    print(f"DRAM {factor} times as fast: {sequential.what_if({'DRAM': factor}).latency:,}")

assert sequential.what_if({"DRAM": 2}).latency == 25792
assert sequential.what_if({"mac": 2}).latency == 31744  # the computation is nowhere critical

# %% [markdown]
# All answers at once: `curve`, which is exact. It is a convex function of the time that DRAM takes for a bit, of as
# many straight pieces as there are different critical paths.

# %%
curve = sequential.curve("DRAM")
for (scale, latency), slope in zip(curve.breakpoints, curve.slopes, strict=True):
    print(
        f"from {float(scale):.3f} times today's time on: {float(latency):10,.1f}, slope {slope:,}"
    )

assert curve.at(1) == 31744
assert curve.at_bandwidth(2) == 25792
assert curve.beyond == Fraction(184, 65)  # more than 2.83 times the bandwidth gains nothing
assert curve.at_bandwidth(curve.beyond) == curve.at_bandwidth(100) == 24064

# %%
factors = [Fraction(n, 20) for n in range(10, 81)]
figure, axes = plt.subplots(figsize=(7, 3.5))
for name, report in (("sequential", sequential), ("pipelined", pipelined)):
    line = report.curve("DRAM")
    latencies = [float(line.at_bandwidth(factor)) for factor in factors]
    axes.plot([float(factor) for factor in factors], latencies, label=name)
axes.axvline(float(curve.beyond), color="grey", linestyle=":", label="beyond: no gain (sequential)")
axes.set(xlabel="bandwidth of DRAM (1: today's)", ylabel="latency", ylim=(0, None))
axes.legend()
figure.tight_layout()

# %% [markdown]
# With half the bandwidth, the pipelined schedule takes twice as long, as DRAM is what binds it; the sequential one
# takes less than that, as only a part of its critical path is DRAM's. With more, both end at 24,064, where SRAM is
# the busiest port: the pipelined one almost at once, the sequential one at 2.83 times the bandwidth.

# %%
assert sequential.curve("DRAM").at_bandwidth(Fraction(1, 2)) < 2 * 31744
assert pipelined.curve("DRAM").at_bandwidth(100) == 24064
assert pipelined.curve("DRAM").at_bandwidth(Fraction(1, 2)) == 2 * 24576
