//! Raw disks, partitions and images as sources and sinks.
