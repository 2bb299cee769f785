//! Archives: tar, written and read with every attribute a system has.
