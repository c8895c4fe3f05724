"""The benchmark: sftdyn beside its rivals, measured in one run. `./bench/run` starts it."""
