"""Learners whose memory is a state that runs on between events."""
