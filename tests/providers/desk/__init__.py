"""Tests of the engine that stands before all places."""
