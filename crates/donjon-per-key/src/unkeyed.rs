/// What becomes of a call that has no state of its own: one [without a key](crate::PerKeyLayer::without_key), or one for
/// whose key there is [no room](crate::PerKeyLayer::when_full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unkeyed {
    /// It goes past the layer, as if the layer were not there.
    Bypass,
    /// It is refused: as `NoKey` if it has none, as `Overloaded` if there is no room.
    Refuse,
    /// It shares one state with all others of its kind. Calls without a key have one, calls without room another.
    Share,
}
