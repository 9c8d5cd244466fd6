//! Where tensors live, chosen with `--device`.

use std::fmt;
use std::str::FromStr;

use crate::base::error::Error;

/// A device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The CPU, through burn's flex backend and the kernels of this crate.
    #[default]
    Flex,
}

impl Device {
    /// The device burn knows.
    pub fn burn(self) -> burn::tensor::Device {
        match self {
            Device::Flex => burn::tensor::Device::flex(),
        }
    }

    /// What `--device` takes in this build.
    pub const NAMES: &[&str] = &["flex"];

    /// All devices of this build, with a word each.
    pub fn all() -> &'static [(&'static str, &'static str)] {
        &[("flex", "the CPU, in pure Rust")]
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flex")
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "flex" => Ok(Device::Flex),
            _ => Err(Error::usage_hint(
                format!("--device `{text}` is not in this build"),
                "use --device flex; `warmlab list` names the devices of this build",
            )),
        }
    }
}
