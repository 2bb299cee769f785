//! Step files: where each node stands.
