"""How long a deploy takes, compared with how it is usually done: docs/benchmarks.md."""
