//! Filesystems: made, mounted, probed; and what stands in them.
