"""Learners and indicators: pure state machines over arrays, one event at a time."""
