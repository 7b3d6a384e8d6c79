"""Benchmarks: `synaptide bench NAME` runs `main` of the module of that name."""
