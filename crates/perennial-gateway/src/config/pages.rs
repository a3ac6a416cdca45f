//! `[pages]` and `[theme]`: an application's own pages, and how ours look.

use perennial::{Color, ColorScheme, ConfigFault, Pages, Theme};

use super::setting::{Section, Setting};
use super::values::Values;

pub(super) const PAGES: Section = Section::new(
    "pages",
    "Your own pages instead of ours: paths of this site, on a public or optional route.",
    &[
        Setting::text(
            "sign_in",
            "a path instead of `/auth/signin`. It gets `callbackUrl`, and `error` after a failure; its form posts to \
             `/auth/signin/{provider}`",
        )
        .falls_back_to("ours")
        .sample("/login", ""),
        Setting::text("sign_out", "a path instead of `/auth/signout`; its form posts to `/auth/signout`")
            .falls_back_to("ours")
            .sample("/logout", ""),
        Setting::text("error", "a path instead of `/auth/error`. It gets `error`")
            .falls_back_to("ours")
            .sample("/problem", ""),
    ],
);

pub(super) const THEME: Section = Section::new(
    "theme",
    "How our own pages look.",
    &[
        Setting::choice(
            "color_scheme",
            &["auto", "light", "dark"],
            "what the browser prefers, or one of them for everybody",
        )
        .default("auto")
        .note("or \"light\", \"dark\""),
        Setting::text(
            "logo",
            "a picture above the heading: a path of this site (on a `public` route), or an https URL",
        )
        .falls_back_to("none")
        .sample("/logo.svg", "a path of this site, or an https URL"),
        Setting::text("brand_color", "the colour of the buttons")
            .falls_back_to("green")
            .value("text, `\"#rgb\"` or `\"#rrggbb\"`")
            .remedy(COLOR_REMEDY)
            .sample("#346df1", ""),
        Setting::text(
            "button_text",
            "the colour of the words on them; refused if it cannot be read there (contrast under 4.5)",
        )
        .falls_back_to("black or white")
        .value("text, `\"#rgb\"` or `\"#rrggbb\"`")
        .remedy(COLOR_REMEDY)
        .sample("#ffffff", "black or white unless set, whichever is read better"),
    ],
);

pub(super) fn pages(pages: &Values) -> Pages {
    Pages { sign_in: pages.text("sign_in"), sign_out: pages.text("sign_out"), error: pages.text("error") }
}

pub(super) fn theme(theme: &Values, faults: &mut Vec<ConfigFault>) -> Theme {
    let schemes = [("auto", ColorScheme::Auto), ("dark", ColorScheme::Dark), ("light", ColorScheme::Light)];
    Theme {
        color_scheme: theme.choice("color_scheme", &schemes).unwrap_or_default(),
        logo: theme.text("logo"),
        brand_color: theme.parsed("brand_color", faults, Color::parse),
        button_text: theme.parsed("button_text", faults, Color::parse),
    }
}

const COLOR_REMEDY: &str = "write it in hexadecimal digits, such as \"#346df1\"";
