//! Programs run to their end.
