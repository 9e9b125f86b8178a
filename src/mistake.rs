//! What is wrong with the text of a setting. Whoever reads settings adds the setting's name, and
//! shows all mistakes at once; nobody decides by them.

/// What is wrong with a setting's text, or with a secret. Never quotes a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mistake(pub String);

impl From<&str> for Mistake {
    fn from(what: &str) -> Self {
        Self(what.into())
    }
}

impl From<String> for Mistake {
    fn from(what: String) -> Self {
        Self(what)
    }
}

/// Makes a setting out of an enum: its words in the environment, and the mistake that lists them.
macro_rules! words {
    ($type:ident, $($word:literal => $value:ident),+) => {
        impl $type {
            /// The setting's word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::mistake::Mistake;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$value),)+
                    _ => Err(format!("expected one of {}", [$($word),+].join(", ")).into()),
                }
            }
        }
    };
}

pub(crate) use words;
