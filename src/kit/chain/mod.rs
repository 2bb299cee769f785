//! One stream from one machine to many, node by node.
