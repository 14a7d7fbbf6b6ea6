use ratatui::style::{Color, Modifier, Style};

/// The colours of a terminal, or none of them.
#[derive(Clone, Copy, Debug)]
pub(in crate::top) struct Palette {
    has_colours: bool,
}

/// What something means to whoever looks. Words say it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Warn,
    Bad,
}

impl Palette {
    /// `NO_COLOR` stands for none, if anything is in it (no-color.org).
    pub(in crate::top) fn from_environment() -> Self {
        Self { has_colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    #[cfg(test)]
    pub(super) fn of_colours(has_colours: bool) -> Self {
        Self { has_colours }
    }

    pub(super) fn of(self, tone: Tone) -> Style {
        let style = match tone {
            Tone::Plain | Tone::Good | Tone::Warn => Style::new(),
            Tone::Strong | Tone::Bad => Style::new().add_modifier(Modifier::BOLD),
            Tone::Faint => Style::new().add_modifier(Modifier::DIM),
        };
        let colour = match tone {
            Tone::Good => Color::Green,
            Tone::Warn => Color::Yellow,
            Tone::Bad => Color::Red,
            Tone::Plain | Tone::Strong | Tone::Faint => return style,
        };
        if self.has_colours { style.fg(colour) } else { style }
    }
}
