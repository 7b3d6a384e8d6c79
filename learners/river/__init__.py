"""River's estimators as learners: built by dotted name, with their state as named arrays."""
