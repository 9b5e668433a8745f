"""What mutations put into inputs: numbers, names, expressions and options."""

from __future__ import annotations

NUMBERS = (
    ("0", "1", "2", "3", "7", "-1", "-7", "0.5", "1.5", "1/3", "-1/3", "0/0", "1/0", "1e-30")
    + ("1e-400", str(2**31), str(2**62 - 1), str(2**62), str(2**63 - 1), str(2**63), str(2**64))
    + (str(2**64 + 1), "-9223372036854775809", "1e17", "1e30", "1e300", "1e400", "1e3999")
    + ("nan", ".nan", "inf", "-inf", ".inf", "9" * 400, "9" * 4200, "1e9999", "0x" + "f" * 40)
    + (
        "1_000",
        "0b101",
        "1:30",
        "true",
        "null",
        "100000",
        "1000003",
        "1e9",
        "0.1e-9",
        "12345678901",
    )
)

NAMES = (
    ("", " ", "a b", "and", "or", "not", "mod", "exists", "floor", "x0", "i0", "All", "Nothing")
    + ("Inputs", "Outputs", "None", "True", "inf", "nan", "e", "pi", "self", "__class__", "lambda")
    + ("a.b", "a'b", 'a"b', "a@b", "a|b", "a+b", "=1+1", "+1", "-1", "@sum", "\tx", "a\u200bb")
    + ("a\u202eb", "\u2066a", "\u00e9", "\u0435", "\u4e2d", "\U0001f600", "a\x1b[31mb", "a\x07b")
    + ("a\rb", "a\nb", "x" * 300, "<script>", "]]>", "${x}", "{{ x }}", "%s", "\\", "[bold]x", "é")
)

EXPRESSIONS = (
    ("1/0", "2**100000", "factorial(2000)", "factorial(3000)", "2**2**2**2**2", "1e400", "10**4000")
    + ("inf-inf", "inf*0", "0*inf", "-inf", "1/inf", "max()", "max(1, inf)", "min([])", "log2(0)")
    + ("sqrt(-1)", "list([1])*5000", "[[1]*9999]*9999", "range(10**9)", "sum(range(10000))")
    + ("'a'*10", "len(All)", "All", "~All", "All - All", "Inputs & Outputs", "x if True else y")
    + ("__import__('os')", "().__class__", "(lambda: 1)()", "[i for i in range(9999)]", "1 if")
    + ("(" * 100 + "1" + ")" * 100, "-" * 500 + "1", "1" + "+1" * 900, "max(" * 60 + "1" + ")" * 60)
    + ("read_actions", "max(read_actions, write_actions)", "2*read_actions+1e30*write_actions")
    + ("m", "m+n", "2*m", "-m", "m*n", "m-1", "1000000000000000000000*m", "m+r", "m/2", "m%2", "3")
    + (
        "0 <= m",
        "m < 8",
        "0 <= m < 10**30",
        "0 <= m < 1e400",
        "0 <= m < -1",
        "0 <= m < n",
        "m >= 0",
    )
    + ("0 <= m < 9223372036854775808", "-4611686018427387904 <= m < 4611686018427387904", "m = 3")
    + ("0 <= m < 3 or 5 <= m < 9", "m != 2", "0 <= 3*m < 100", "{{ 1 }}", "{% for i in [] %}")
)

SCHEDULES = (
    '{granularity: "full"}',
    '{granularity: "tile", order: "oldest"}',
    '{background: "all"}',
    '{staged: "all"}',
    '{staged: "all", background: "all", slots: 1}',
    "{slots: 1e30}",
    "{slots: null}",
    "{slots: 0}",
    '{pipelined: "all"}',
    '{pipelined: "all", staged: "all", slots: 3}',
    "{setup: {SRAM: {write: 1e30}}}",
    "{latency: {SRAM: {write: 1/3, read: 1e400}}}",
    "{burst: {SRAM: {write: 1e20}}}",
    "{burst: {SRAM: {write: 7}}, setup: {DRAM: {read: 1/7}}}",
    "{rigid: [mac]}",
    "{max_tiles: 0}",
    "{max_tiles: 1e30}",
    "{unknown: 1}",
    "[]",
)

TEXTS = (
    ("{{ 'x' * 10 }}", "{% for i in range(100000) %}a{% endfor %}", "{{ include('x.yaml') }}", "{{")
    + ("{{ include_text('/etc/hostname') }}", "{% assert false, '\\x1b[31m' %}", "!include x.yaml")
    + ("!!python/object:os.system x", "&a [*a]", "<<: *a", "<<: {a: 1}", "%YAML 1.1", "---", "...")
    + (
        "\t",
        "\x00",
        "\x1b[2J",
        "\ufeff",
        "\u2028",
        "!Unknown {}",
        "? [a]\n: b",
        "*undefined",
        "- -",
    )
    + ("mapping: {nodes: []}", "workload: null", "variables: {a: a}", "variables: {a: b, b: a}")
    + ("schedule: {background: all, staged: all}", "schedule: {granularity: full}", "[" * 500)
)
"""Lines that mutations of texts insert."""

DEPTHS = (2, 10, 60, 200, 1000)
