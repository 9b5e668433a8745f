"""polylat: the latency of a fused tensor-accelerator mapping, from its dependences."""
