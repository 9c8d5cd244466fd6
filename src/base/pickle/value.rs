//! What a pickle holds.

/// Position of a value.
pub type Id = u32;

/// A value of Python.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// None.
    None,
    /// True or False.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits.
    Long,
    /// A float.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// A list or a set.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// In the order of insertion.
    Dict(Vec<(Id, Id)>),
    /// A class or a function, `module.name`.
    Global(Box<str>),
    /// What `callable(*args)` would make, and the state it would then be given.
    Call {
        /// What is called.
        callable: Id,
        /// A tuple.
        args: Id,
        /// Attributes, or what else the object is restored from.
        state: Option<Id>,
    },
    /// An object that lies outside the pickle, by its id.
    Persistent(Id),
}

/// More values than this are no checkpoint's: the largest GPTs have a few thousand tensors of twenty each.
pub(super) const MAX_VALUES: usize = 1 << 19;

/// A phrase that follows the file's name.
pub(super) fn damaged() -> String {
    "its pickle is damaged".into()
}
