"""The parts of tests, bench and demo: a private name server, and sftdyn in front of it. Knows nothing of its inside."""
