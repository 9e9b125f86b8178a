//! Reads variables, and gathers what is wrong with them.

use std::fmt;
use std::str::FromStr;

use crate::aws::secret::SecretSource;
use crate::mistake::Mistake;

/// Every mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrong settings: {}", self.0.join("; "))
    }
}

/// A variable of the environment.
pub(super) fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    std::env::var(name).ok()
}

/// Settings by name, as one program reads them.
pub(super) struct Reader<F> {
    pub(super) lookup: F,
    pub(super) mistakes: Vec<String>,
}

impl<F: Fn(&str) -> Option<String>> Reader<F> {
    /// The settings, if there is no mistake in them.
    pub(super) fn finish<T>(self, settings: T) -> Result<T, ConfigError> {
        if self.mistakes.is_empty() { Ok(settings) } else { Err(ConfigError(self.mistakes)) }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn required<T: Default>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> T {
        if self.text(name).is_none() {
            self.mistakes.push(format!("{name} is not set"));
        }
        self.parsed(name, parse).unwrap_or_default()
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Option<T> {
        let value = self.text(name)?;
        parse(&value).map_err(|reason| self.mistakes.push(format!("{name}: {reason}"))).ok()
    }

    pub(super) fn choice<T: Default + FromStr<Err = Mistake>>(&mut self, name: &str) -> T {
        self.parsed(name, str::parse).unwrap_or_default()
    }
}

/// A secret, or a reference to one; a secret that is given here is tried here.
pub(super) fn secret<T>(
    text: &str,
    parse: fn(&str) -> Result<T, Mistake>,
) -> Result<SecretSource, Mistake> {
    let source = SecretSource::parse(text)?;
    match &source {
        SecretSource::Text(text) => parse(text).map(|_| source),
        SecretSource::Parameter(_) | SecretSource::Secret(_) => Ok(source),
    }
}
