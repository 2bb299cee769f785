//! Network interfaces of this machine.
