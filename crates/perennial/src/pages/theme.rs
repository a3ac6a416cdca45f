//! How the pages look, as Auth.js's `theme` has it.

use perennial_core::origin::ReturnUrl;
use url::Url;

/// How the pages look.
///
/// ```
/// use perennial::{Color, ColorScheme, Theme};
///
/// let theme = Theme {
///     color_scheme: ColorScheme::Auto,
///     logo: Some("/logo.svg".into()),
///     brand_color: Color::parse("#346df1"),
///     button_text: None, // black or white, whichever is read better
/// };
/// # let _ = theme;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// Light, dark, or what the browser prefers.
    pub color_scheme: ColorScheme,
    /// A picture above the heading: a path of this site, or an https URL.
    pub logo: Option<String>,
    /// The colour of the buttons.
    pub brand_color: Option<Color>,
    /// The colour of the words on them; black or white if not given, whichever is read better.
    pub button_text: Option<Color>,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorScheme {
    /// What the browser prefers.
    #[default]
    Auto,
    /// Dark for everybody.
    Dark,
    /// Light for everybody.
    Light,
}

/// An opaque colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color([u8; 3]);

impl Color {
    /// Reads `#rgb` or `#rrggbb`; `None` for anything else, so that no style sheet can be smuggled in.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let number = u32::from_str_radix(digits, 16).ok()?;
        let [_, r, g, b] = number.to_be_bytes();
        match digits.len() {
            6 => Some(Self([r, g, b])),
            3 => Some(Self([(g & 15) * 17, (b >> 4) * 17, (b & 15) * 17])),
            _ => None,
        }
    }

    /// WCAG 2.2: how well one is read on the other, from 1 to 21.
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn luminance(self) -> f64 {
        let [r, g, b] = self.0.map(|channel| {
            let channel = f64::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Black or white: one of them always reaches 4.58.
    fn most_readable(self) -> Self {
        let (black, white) = (Self([0; 3]), Self([255; 3]));
        if self.contrast(black) > self.contrast(white) { black } else { white }
    }
}

impl std::fmt::Display for Color {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [r, g, b] = self.0;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

impl Theme {
    /// The style sheet of the pages. Colours come in here and nowhere else, so that the pages need no inline style.
    pub(crate) fn style_sheet(&self) -> String {
        let mut colours = match self.color_scheme {
            ColorScheme::Auto => {
                format!(":root{{color-scheme:light dark;{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}")
            }
            ColorScheme::Dark => format!(":root{{color-scheme:dark;{DARK}}}"),
            ColorScheme::Light => format!(":root{{color-scheme:light;{LIGHT}}}"),
        };
        if let Some(brand) = self.brand_color {
            let words = self.button_text.unwrap_or_else(|| brand.most_readable());
            colours.push_str(&format!(":root{{--brand:{brand};--on-brand:{words}}}"));
        }
        colours + include_str!("../../assets/style.css")
    }

    /// Where the logo comes from, for a policy that allows it: nothing for this site's own.
    pub(crate) fn logo_origin(&self) -> Option<String> {
        let url = Url::parse(self.logo.as_deref()?).ok()?;
        Some(url.origin().ascii_serialization())
    }

    /// What is wrong with it, as setting and remedy.
    pub(crate) fn faults(&self, public_url: &Url) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        if let Some(logo) = &self.logo {
            let own = logo.starts_with('/') && ReturnUrl::parse(logo, public_url, &[]).is_some();
            let remote = Url::parse(logo).is_ok_and(|url| url.scheme() == "https" && url.host().is_some());
            if !own && !remote {
                faults.push(("logo", "write a path of this site, such as /logo.svg, or an https URL".to_owned()));
            }
        }
        if let (Some(brand), Some(words)) = (self.brand_color, self.button_text)
            && brand.contrast(words) < READABLE
        {
            faults.push((
                "button_text",
                format!(
                    "choose a colour that can be read on {brand} (contrast 4.5 or more; {words} has {:.1}), or leave it out",
                    brand.contrast(words)
                ),
            ));
        }
        if self.button_text.is_some() && self.brand_color.is_none() {
            faults.push(("button_text", "give brand_color as well: this colour is for the words on it".to_owned()));
        }
        faults
    }
}

/// WCAG 2.2 §1.4.3.
const READABLE: f64 = 4.5;

const LIGHT: &str = "--ink:#17211c;--soft:#55625b;--paper:#f3f5f2;--card:#ffffff;--line:#d9dfda;--brand:#1f6f4a;\
                     --on-brand:#ffffff;--alarm:#8c1d18;--alarm-paper:#fcefee;--shade:rgb(23 33 28/.08)";

const DARK: &str = "--ink:#e8eeea;--soft:#a9b5ae;--paper:#101512;--card:#181f1b;--line:#323c36;--brand:#6fcf9b;\
                    --on-brand:#0b1710;--alarm:#ffb4ab;--alarm-paper:#3a1614;--shade:rgb(0 0 0/.4)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_hexadecimal_and_nothing_else() {
        for (text, expected) in [
            ("#346df1", Some("#346df1")),
            ("#FFF", Some("#ffffff")),
            ("#1a2", Some("#11aa22")),
            ("346df1", None),
            ("#346df1a", None),
            ("#34", None),
            ("#+46df1", None),
            ("red", None),
            ("#fff;}body{display:none", None),
            ("", None),
        ] {
            assert_eq!(Color::parse(text).map(|color| color.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn every_brand_can_be_read() {
        for text in ["#000", "#fff", "#777", "#346df1", "#ffcc00", "#e4002b", "#767676"] {
            let brand = Color::parse(text).expect(text);
            assert!(brand.contrast(brand.most_readable()) >= READABLE, "{text}");
        }
    }

    #[test]
    fn the_scheme_decides_which_colours_are_there() {
        let sheet = |color_scheme| Theme { color_scheme, ..Theme::default() }.style_sheet();
        assert!(sheet(ColorScheme::Auto).contains("prefers-color-scheme:dark"));
        assert!(sheet(ColorScheme::Dark).contains("color-scheme:dark;") && !sheet(ColorScheme::Dark).contains(LIGHT));
        assert!(sheet(ColorScheme::Light).contains("color-scheme:light;") && !sheet(ColorScheme::Light).contains(DARK));
    }

    #[test]
    fn what_cannot_be_shown_or_read_is_a_fault() {
        let site = Url::parse("https://app.example").expect("a URL");
        let color = |text| Color::parse(text);
        for (logo, brand_color, button_text, expected) in [
            (None, None, None, &[][..]),
            (Some("/logo.svg"), color("#346df1"), color("#fff"), &[]),
            (Some("https://cdn.example/logo.png"), None, None, &[]),
            (Some("http://cdn.example/logo.png"), None, None, &["logo"]),
            (Some("javascript:alert(1)"), None, None, &["logo"]),
            (Some("//evil.example/l.png"), None, None, &["logo"]),
            (Some("logo.svg"), None, None, &["logo"]),
            (None, color("#ffcc00"), color("#fff"), &["button_text"]),
            (None, None, color("#fff"), &["button_text"]),
        ] {
            let theme = Theme { logo: logo.map(str::to_owned), brand_color, button_text, ..Theme::default() };
            let faults: Vec<&str> = theme.faults(&site).into_iter().map(|(setting, _)| setting).collect();
            assert_eq!(faults, expected, "{theme:?}");
        }
    }
}
