"""One file a scenario. Each has `add_arguments(parser)` and `run(arguments) -> report`."""
