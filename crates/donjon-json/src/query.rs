//! Writes a query from whatever serde can take apart into pairs.

use std::{
    error::Error,
    fmt::{self, Display},
};

use serde::{
    Serialize, Serializer,
    ser::{self, Impossible},
};

use crate::target::{Fault, QueryWriter};

/// Appends the pairs of `query`: of a struct, a map, or a sequence of pairs.
pub(crate) fn write<Q: Serialize + ?Sized>(mut writer: QueryWriter<'_>, query: &Q) -> Result<(), Fault> {
    query.serialize(Pairs { out: &mut writer, name: None }).map_err(|error| error.0)
}

/// What stands at the top: it has names.
struct Pairs<'a, 'b> {
    out: &'a mut QueryWriter<'b>,
    /// Of a map: the key whose value comes next.
    name: Option<String>,
}

/// An element of a sequence at the top: a name and a value.
struct Pair<'a, 'b> {
    out: &'a mut QueryWriter<'b>,
    name: Option<String>,
}

/// A value or a name: what can be written as text. A sequence is each of its elements, which are no sequences.
struct Text<'a> {
    name: &'a str,
    is_element: bool,
    put: &'a mut dyn FnMut(&dyn Display) -> fmt::Result,
}

#[derive(Debug)]
struct QueryError(Fault);

// ===== impl QueryError =====

impl QueryError {
    fn top() -> Self {
        Self("the query is neither a struct, nor a map, nor a list of pairs".into())
    }

    fn nested(name: &str) -> Self {
        Self(format!("the query value `{}` is neither a scalar nor a list of them", name.escape_debug()).into())
    }
}

impl ser::Error for QueryError {
    fn custom<T: Display>(_: T) -> Self {
        // The text may quote the value.
        Self("the query refused to be written".into())
    }
}

impl Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for QueryError {}

/// Writes `name` with each scalar of `value`.
fn put_value<T: Serialize + ?Sized>(out: &mut QueryWriter<'_>, name: &str, value: &T) -> Result<(), QueryError> {
    value.serialize(Text { name, is_element: false, put: &mut |value| out.pair(&name, value) })
}

fn name_of<T: Serialize + ?Sized>(key: &T) -> Result<String, QueryError> {
    let mut name = None;
    key.serialize(Text {
        name: "",
        // A list is no name.
        is_element: true,
        put: &mut |text| {
            name = Some(text.to_string());
            Ok(())
        },
    })?;
    name.ok_or_else(|| QueryError("a name in the query is empty".into()))
}

/// The methods of a serializer that have no meaning here.
macro_rules! refuse {
    ($error:expr; $($method:ident($($ty:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self $(, _: $ty)*) -> Result<$ok, QueryError> {
            Err($error(&self))
        }
    )*};
}

// ===== impl Pairs =====

impl<'a, 'b> Serializer for Pairs<'a, 'b> {
    type Ok = ();
    type Error = QueryError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), QueryError>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), QueryError>;

    refuse! { |_: &Self| QueryError::top();
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_none(self) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, QueryError> {
        Ok(self)
    }
}

macro_rules! elements {
    ($type:ty; $($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for $type {
            type Ok = ();
            type Error = QueryError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueryError> {
                self.element(value)
            }

            fn end(self) -> Result<(), QueryError> {
                Ok(())
            }
        }
    )*};
}

elements! { Pairs<'_, '_>;
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
}

impl Pairs<'_, '_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueryError> {
        value.serialize(Pair { out: self.out, name: None })
    }
}

impl ser::SerializeMap for Pairs<'_, '_> {
    type Ok = ();
    type Error = QueryError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), QueryError> {
        self.name = Some(name_of(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueryError> {
        put_value(self.out, &self.name.take().unwrap_or_default(), value)
    }

    fn end(self) -> Result<(), QueryError> {
        Ok(())
    }
}

impl ser::SerializeStruct for Pairs<'_, '_> {
    type Ok = ();
    type Error = QueryError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), QueryError> {
        put_value(self.out, name, value)
    }

    fn end(self) -> Result<(), QueryError> {
        Ok(())
    }
}

// ===== impl Pair =====

impl Serializer for Pair<'_, '_> {
    type Ok = ();
    type Error = QueryError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), QueryError>;
    type SerializeMap = Impossible<(), QueryError>;
    type SerializeStruct = Impossible<(), QueryError>;
    type SerializeStructVariant = Impossible<(), QueryError>;

    refuse! { |_: &Self| QueryError::top();
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), QueryError> {
        Err(QueryError::top())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, QueryError> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, QueryError> {
        Ok(self)
    }
}

macro_rules! pair {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Pair<'_, '_> {
            type Ok = ();
            type Error = QueryError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueryError> {
                match &self.name {
                    None => self.name = Some(name_of(value)?),
                    Some(name) => put_value(self.out, name, value)?,
                }
                Ok(())
            }

            fn end(self) -> Result<(), QueryError> {
                Ok(())
            }
        }
    )*};
}

pair! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
}

// ===== impl Text =====

impl Text<'_> {
    fn put(self, value: &dyn Display) -> Result<(), QueryError> {
        (self.put)(value).map_err(|_| QueryError::nested(self.name))
    }

    fn sequence(self) -> Result<Self, QueryError> {
        if self.is_element { Err(QueryError::nested(self.name)) } else { Ok(self) }
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), QueryError> {
        value.serialize(Text { name: self.name, is_element: true, put: self.put })
    }
}

macro_rules! scalars {
    ($($method:ident($ty:ty);)*) => {$(
        fn $method(self, value: $ty) -> Result<(), QueryError> {
            self.put(&value)
        }
    )*};
}

impl Serializer for Text<'_> {
    type Ok = ();
    type Error = QueryError;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), QueryError>;
    type SerializeMap = Impossible<(), QueryError>;
    type SerializeStruct = Impossible<(), QueryError>;
    type SerializeStructVariant = Impossible<(), QueryError>;

    scalars! {
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_i128(i128);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_u128(u128);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
    }

    refuse! { |this: &Self| QueryError::nested(this.name);
        serialize_bytes(&[u8]) -> ();
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_none(self) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), QueryError> {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), QueryError> {
        self.put(&variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<(), QueryError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), QueryError> {
        Err(QueryError::nested(self.name))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, QueryError> {
        self.sequence()
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, QueryError> {
        self.sequence()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, QueryError> {
        self.sequence()
    }
}

elements! { Text<'_>;
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
}
