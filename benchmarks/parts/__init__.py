"""What can be measured; each part is a module with `measure(session)`, which gives rows for docs/benchmarks.json."""
