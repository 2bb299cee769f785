//! Disks and image files: tables, the guard, attaching to loop devices.
