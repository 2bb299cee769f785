//! Facts of the machine this runs on.
