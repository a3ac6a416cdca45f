//! The simulation as a test: some seeds, replay, and that its laws see.
