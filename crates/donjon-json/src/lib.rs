//! Typed JSON calls over any tower HTTP service, with errors that say what happened.
