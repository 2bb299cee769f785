//! Boot decisions, and the words each boot loader wants them in.
