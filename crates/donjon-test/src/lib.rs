//! A contract kit for tower middleware: a probe service and named checks, one for each law.
