"""AccelForge's live objects: its ``Spec``, and the ``Mappings`` that its mapper finds.

An object becomes the same tree as its YAML (see `polylat.spec.reading.tree`), through its public
fields and attributes. AccelForge itself is not imported: a caller who has its objects has imported
it already, and others need not have it installed.
"""
