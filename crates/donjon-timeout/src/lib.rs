//! One deadline for a whole request, a timeout for each attempt, and idle timeouts for bodies.
