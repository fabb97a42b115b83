//! Many requests at once over any tower service: bounded, as completed, first-ok, quorum.
