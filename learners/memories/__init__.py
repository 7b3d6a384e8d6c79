"""Memories: learners that store what came, and say what an event brings back."""
