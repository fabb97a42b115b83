use std::{error::Error, fmt};

/// A number of a scene that `--set` can move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it is unless said.
    pub default: f64,
    /// The least that it can be.
    pub min: f64,
    /// The most that it can be.
    pub max: f64,
    /// Whether it is a whole number.
    pub whole: bool,
    /// What it is, and in which unit.
    pub help: &'static str,
}

/// The values of a scenario's [`Param`]s.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    params: &'static [Param],
    values: Vec<f64>,
}

/// A setting that a scenario does not have, or a value that it cannot have. Says which there are.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingError {
    what: String,
    params: &'static [Param],
}

// ===== impl Param =====

impl Param {
    /// A number of a scene.
    #[must_use]
    pub const fn new(name: &'static str, default: f64, (min, max): (f64, f64), help: &'static str) -> Self {
        Self { name, default, min, max, whole: false, help }
    }

    /// A whole number: of how many there are.
    #[must_use]
    pub const fn count(name: &'static str, default: u32, (min, max): (u32, u32), help: &'static str) -> Self {
        Self { name, default: default as f64, min: min as f64, max: max as f64, whole: true, help }
    }

    /// The value that it can have nearest to this one, whatever its range.
    #[must_use]
    pub fn nearest(&self, value: f64) -> f64 {
        if self.whole { value.round() } else { value }
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {} (from {} to {}): {}", self.name, self.default, self.min, self.max, self.help)
    }
}

// ===== impl Settings =====

impl Settings {
    /// All at their defaults.
    #[must_use]
    pub fn new(params: &'static [Param]) -> Self {
        Self { params, values: params.iter().map(|param| param.default).collect() }
    }

    /// Moves one.
    ///
    /// # Errors
    ///
    /// If there is none of that name, the value is out of its range, or it is no whole number and has to be.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), SettingError> {
        let Some(at) = self.params.iter().position(|param| param.name == name) else {
            return Err(self.error(format!("there is no setting `{name}`")));
        };
        let Param { min, max, whole, .. } = self.params[at];
        if !(min..=max).contains(&value) {
            return Err(self.error(format!("`{name}` goes from {min} to {max}, not to {value}")));
        }
        if whole && value.fract() != 0.0 {
            return Err(self.error(format!("`{name}` is a whole number, not {value}")));
        }
        self.values[at] = value;
        Ok(())
    }

    /// Moves one, as the command line says it: `NAME=VALUE`.
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), or if it is not a name, an equals sign and a number.
    pub fn parse(&mut self, text: &str) -> Result<(), SettingError> {
        let Some((name, value)) = text.split_once('=') else {
            return Err(self.error(format!("`{text}` is not NAME=VALUE")));
        };
        let (name, value) = (name.trim(), value.trim());
        let Ok(number) = value.parse() else {
            return Err(self.error(format!("`{value}` is not a number")));
        };
        self.set(name, number)
    }

    pub(crate) fn get(&self, name: &str) -> f64 {
        let at = self.params.iter().position(|param| param.name == name);
        at.map(|at| self.values[at]).expect("scenes ask for settings of their own")
    }

    fn error(&self, what: String) -> SettingError {
        SettingError { what, params: self.params }
    }
}

// ===== impl SettingError =====

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the settings of this scenario are:", self.what)?;
        self.params.iter().try_for_each(|param| write!(f, "\n  {param}"))
    }
}

impl Error for SettingError {}
