//! The configuration from outside: files that hold, files that do not and what is said about them,
//! and files that mean harm.

mod golden;
mod good;
mod hostile;
mod signing;
