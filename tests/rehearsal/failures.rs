//! What goes wrong half-way: the run fails, names node and cause, and leaves nothing open.
