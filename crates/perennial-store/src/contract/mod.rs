//! The contract as a test suite.
