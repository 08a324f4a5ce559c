"""Counters, statistics, and the E-model."""
