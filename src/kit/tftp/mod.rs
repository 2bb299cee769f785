//! TFTP: a server on async-tftp, a client of our own.
