//! Colours: the operator's accent, and whether it can be read.

/// A colour of the sRGB space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Colour([u8; 3]);

/// An accent that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Not `#rrggbb`.
    #[error("pages.accent: {0:?} is not a colour such as #1f5fbf")]
    Form(String),
    /// Links and buttons in this colour are hard to read.
    #[error(
        "pages.accent: {accent} on a white page has a contrast of {found:.1}:1, and 4.5:1 is needed; {nearest} would do"
    )]
    Contrast {
        /// The colour as it was read.
        accent: String,
        /// Its contrast with the page.
        found: f64,
        /// The nearest darker colour that can be read.
        nearest: String,
    },
}

/// What the stylesheet says about the accent, appended to it; nothing for the built-in one.
///
/// The operator's colour serves as it is on light pages, with white letters on it; on dark pages it is made as
/// much lighter as its contrast needs, with dark letters on it.
pub(super) fn accent_rules(accent: Option<&str>) -> Result<String, Error> {
    let Some(text) = accent else { return Ok(String::new()) };
    let colour = Colour::parse(text).ok_or_else(|| Error::Form(text.to_owned()))?;
    let found = colour.contrast(GROUND_LIGHT);
    if found < READABLE {
        let nearest = colour.towards(Colour([0; 3]), |darker| darker.contrast(GROUND_LIGHT) >= READABLE);
        return Err(Error::Contrast { accent: colour.hex(), found, nearest: nearest.hex() });
    }
    let light = colour.hex();
    let readable =
        |lighter: Colour| lighter.contrast(SURFACE_DARK) >= READABLE && lighter.contrast(ON_ACCENT_DARK) >= READABLE;
    let dark = colour.towards(Colour([255; 3]), readable).hex();
    let on_dark = ON_ACCENT_DARK.hex();
    Ok(format!(
        ":root{{--accent:{light};--on-accent:#ffffff;--link:{light}}}\n\
         @media (prefers-color-scheme: dark){{:root{{--accent:{dark};--on-accent:{on_dark};--link:{dark}}}}}\n"
    ))
}

impl Colour {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, red, green, blue] = number.to_be_bytes();
        Some(Self([red, green, blue]))
    }

    pub(super) fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// WCAG 2.2, "contrast ratio": from 1 to 21.
    pub(super) fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    /// WCAG 2.2, "relative luminance".
    fn luminance(self) -> f64 {
        let [red, green, blue] = self.0.map(|channel| {
            let part = f64::from(channel) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// The first colour on the way to `end`, in steps of a hundredth, that serves.
    fn towards(self, end: Self, serves: impl Fn(Self) -> bool) -> Self {
        (0..=100).map(|step| self.mixed(end, step)).find(|colour| serves(*colour)).unwrap_or(end)
    }

    fn mixed(self, end: Self, hundredths: u32) -> Self {
        let mut mixed = self.0;
        for (channel, target) in mixed.iter_mut().zip(end.0) {
            let sum = u32::from(*channel) * (100 - hundredths) + u32::from(target) * hundredths;
            *channel = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }
}

/// WCAG 2.2, 1.4.3.
const READABLE: f64 = 4.5;
/// `--ground` of the light pages, the darker of the two grounds links stand on.
const GROUND_LIGHT: Colour = Colour([0xf4, 0xf5, 0xf7]);
/// `--surface` of the dark pages, the lighter of the two.
const SURFACE_DARK: Colour = Colour([0x1d, 0x21, 0x26]);
const ON_ACCENT_DARK: Colour = Colour([0x10, 0x15, 0x1c]);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::portal::assets::STYLE;

    fn tokens(block: &str) -> BTreeMap<&str, &str> {
        block.lines().filter_map(|line| line.trim().strip_suffix(';')?.split_once(": ")).collect()
    }

    /// The named colours of the light and of the dark pages.
    fn modes(style: &str) -> [BTreeMap<&str, &str>; 2] {
        let blocks: Vec<&str> = style.split(":root {").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        [tokens(blocks[0]), tokens(blocks[1])]
    }

    fn between(mode: &BTreeMap<&str, &str>, one: &str, two: &str) -> f64 {
        let colour = |name: &str| Colour::parse(mode[name]).unwrap();
        colour(one).contrast(colour(two))
    }

    #[test]
    fn text_and_controls_can_be_read_in_both_modes() {
        for mode in modes(STYLE) {
            for (text, ground) in [
                ("--ink", "--surface"),
                ("--ink", "--ground"),
                ("--ink", "--alarm"),
                ("--ink", "--calm"),
                ("--muted", "--surface"),
                ("--muted", "--ground"),
                ("--link", "--surface"),
                ("--link", "--ground"),
                ("--on-accent", "--accent"),
                ("--danger", "--surface"),
                ("--on-danger", "--danger"),
            ] {
                assert!(between(&mode, text, ground) >= 4.5, "{text} on {ground}: {}", between(&mode, text, ground));
            }
            for (control, ground) in [
                ("--edge", "--surface"),
                ("--edge", "--ground"),
                ("--accent", "--surface"),
                ("--link", "--surface"),
                ("--danger", "--alarm"),
                ("--good", "--calm"),
            ] {
                assert!(between(&mode, control, ground) >= 3.0, "{control} on {ground}");
            }
        }
    }

    #[test]
    fn the_grounds_of_the_computation_are_those_of_the_stylesheet() {
        let [light, dark] = modes(STYLE);
        assert_eq!(light["--ground"], GROUND_LIGHT.hex());
        assert_eq!(dark["--surface"], SURFACE_DARK.hex());
        assert_eq!(dark["--on-accent"], ON_ACCENT_DARK.hex());
    }

    #[test]
    fn an_accent_is_made_readable_on_dark_pages() {
        for accent in ["#1f5fbf", "#000000", "#7a1f5c", "#006400", "#8b0000"] {
            let rules = accent_rules(Some(accent)).unwrap();
            let dark = rules.split("dark").nth(1).unwrap().split("--accent:").nth(1).unwrap();
            let dark = Colour::parse(&dark[..7]).unwrap();
            assert!(dark.contrast(SURFACE_DARK) >= 4.5 && dark.contrast(ON_ACCENT_DARK) >= 4.5, "{accent}");
            assert!(Colour::parse(accent).unwrap().contrast(Colour([255; 3])) >= 4.5, "{accent}");
        }
    }

    #[test]
    fn an_accent_that_cannot_be_read_is_refused_with_one_that_can() {
        let Err(Error::Contrast { found, nearest, .. }) = accent_rules(Some("#ffcc00")) else { panic!("taken") };
        assert!(found < 1.6);
        assert!(accent_rules(Some(&nearest)).is_ok(), "{nearest}");
        for odd in ["", "red", "#fff", "#12345g", "#1234567", "#+12345", "#fffff;", "}body{"] {
            assert_eq!(accent_rules(Some(odd)), Err(Error::Form(odd.into())));
        }
    }

    #[test]
    fn contrast_is_that_of_the_guideline() {
        let grey = Colour::parse("#767676").unwrap();
        assert!((grey.contrast(Colour([255; 3])) - 4.54).abs() < 0.01);
        assert!((Colour([0; 3]).contrast(Colour([255; 3])) - 21.0).abs() < 0.01);
    }
}
