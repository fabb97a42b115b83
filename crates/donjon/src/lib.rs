//! Tower middleware that still stands when the rest has fallen: retry, limits, deadlines, JSON clients.
