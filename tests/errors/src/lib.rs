//! What the compiler says of the likely mistakes. The cases are in `tests/cases`; there is nothing here.
