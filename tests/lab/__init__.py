"""The parts of tests, bench and demo: private name servers, and sftdyn in front of them. Knows nothing of its inside."""
