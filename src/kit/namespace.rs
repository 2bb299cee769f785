//! Who this process is.

/// Whether this process may do all that root may.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
