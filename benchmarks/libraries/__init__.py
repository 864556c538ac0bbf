"""One module a library: `Library(contender, threads)` with `version` and `prepare(task) -> Case`."""
