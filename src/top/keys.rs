use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::types::Weight;

use super::View;
use super::view::{Effect, Mode, Order, Tab};

/// A screenful, whatever its height.
const PAGE: isize = 10;

impl View {
    /// Does what a key is for; gives back what is to be done elsewhere.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Effect> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd')).then_some(Effect::Quit);
        }
        match self.mode.clone() {
            Mode::Browse => return self.browse(key.code),
            Mode::Filter => self.write_filter(key.code),
            Mode::Confirm(order) => {
                self.mode = Mode::Browse;
                match key.code {
                    KeyCode::Char('y' | 'Y') => return Some(Effect::Give(order)),
                    _ => self.message = Some("nothing was changed".to_owned()),
                }
            }
            Mode::Weight { target, from, input } => return self.write_weight(key.code, target, from, input),
            Mode::Help => self.mode = Mode::Browse,
        }
        None
    }

    fn browse(&mut self, key: KeyCode) -> Option<Effect> {
        self.message = None;
        match key {
            KeyCode::Char('q') => return Some(Effect::Quit),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(PAGE),
            KeyCode::PageUp => self.step(-PAGE),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(Tab::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='7') => self.show(Tab::ALL[digit as usize - '1' as usize]),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p' | ' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Char(order @ ('d' | 'u' | 'w')) => self.ask(order),
            _ => {}
        }
        None
    }

    fn turn(&mut self, by: usize) {
        let place = Tab::ALL.iter().position(|tab| *tab == self.tab).unwrap_or(0);
        self.show(Tab::ALL[(place + by) % Tab::ALL.len()]);
    }

    /// Asks for a yes to what is to be done with the endpoint that is chosen.
    fn ask(&mut self, order: char) {
        let Some((target, from)) = self.endpoint() else {
            self.message = Some("choose an endpoint first, in the tab `pools`".to_owned());
            return;
        };
        self.mode = match order {
            'd' => Mode::Confirm(Order::Drain(target)),
            'u' => Mode::Confirm(Order::Undrain(target)),
            _ => Mode::Weight { target, from, input: String::new() },
        };
    }

    fn write_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.mode = Mode::Browse,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Browse;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Down => self.step(1),
            KeyCode::Up => self.step(-1),
            KeyCode::Char(char) => self.filter.push(char),
            _ => {}
        }
    }

    fn write_weight(&mut self, key: KeyCode, target: String, from: u16, mut input: String) -> Option<Effect> {
        const MOST_DIGITS: usize = 4;
        match key {
            KeyCode::Enter => {
                self.mode = Mode::Browse;
                match input.parse::<Weight>() {
                    Ok(weight) => return Some(Effect::Give(Order::Weight(target, weight))),
                    Err(_) => self.message = Some("a weight is a whole number, 0 to 1000".to_owned()),
                }
                return None;
            }
            KeyCode::Esc => {
                self.mode = Mode::Browse;
                self.message = Some("nothing was changed".to_owned());
                return None;
            }
            KeyCode::Backspace => drop(input.pop()),
            KeyCode::Char(digit @ '0'..='9') if input.len() < MOST_DIGITS => input.push(digit),
            _ => {}
        }
        self.mode = Mode::Weight { target, from, input };
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::testing::{pressed, two_pools};
    use crate::top::view::Sort;

    fn press(view: &mut View, keys: &str) -> Vec<Effect> {
        keys.chars().filter_map(|char| view.press(pressed(char))).collect()
    }

    fn chosen(view: &View) -> String {
        let rows = view.rows();
        rows[view.place_in(&rows)].id()
    }

    #[test]
    fn rows_are_chosen_with_arrows_and_letters() {
        let mut view = two_pools();
        assert_eq!(chosen(&view), "app");
        press(&mut view, "jj");
        assert_eq!(chosen(&view), "app/10.0.0.2:80");
        press(&mut view, "k");
        assert_eq!(chosen(&view), "app/10.0.0.1:80");
        press(&mut view, "kkkk");
        assert_eq!(chosen(&view), "app");
        press(&mut view, "Gj");
        assert_eq!(chosen(&view), "shop/10.0.1.1:80");
        press(&mut view, "g");
        assert_eq!(chosen(&view), "app");
    }

    #[test]
    fn what_is_chosen_stays_so_wherever_it_goes() {
        let mut view = two_pools();
        press(&mut view, "j");
        assert_eq!(chosen(&view), "app/10.0.0.1:80");
        // By state the one comes first that is not fit.
        press(&mut view, "ssss");
        assert_eq!((view.sort, chosen(&view)), (Sort::State, "app/10.0.0.1:80".to_owned()));
        press(&mut view, "k");
        assert_eq!(chosen(&view), "app/10.0.0.2:80");
        press(&mut view, "s");
        assert_eq!(view.sort, Sort::File);
    }

    #[test]
    fn nothing_is_changed_without_a_yes() {
        let mut view = two_pools();
        assert_eq!(press(&mut view, "d"), []);
        assert!(view.message.as_ref().unwrap().contains("choose an endpoint"));
        for no in ["n", "\u{1b}", "\n", "q", "d"] {
            assert_eq!(press(&mut view, &format!("gjd{no}")), [], "{no:?}");
            assert_eq!((&view.mode, view.message.as_deref()), (&Mode::Browse, Some("nothing was changed")));
        }
        let target = || "app/10.0.0.1:80".to_owned();
        assert_eq!(press(&mut view, "gjdy"), [Effect::Give(Order::Drain(target()))]);
        assert_eq!(press(&mut view, "uy"), [Effect::Give(Order::Undrain(target()))]);
        assert_eq!(press(&mut view, "w70\n"), [Effect::Give(Order::Weight(target(), "70".parse().unwrap()))]);
        assert_eq!(
            press(&mut view, "w7x\u{8}12\n"),
            [Effect::Give(Order::Weight(target(), "12".parse().unwrap()))]
        );
        for no in ["w\u{1b}", "w\n", "w9999\n"] {
            assert_eq!(press(&mut view, no), [], "{no:?}");
            assert!(view.message.is_some() && view.mode == Mode::Browse);
        }
    }

    #[test]
    fn a_filter_leaves_what_has_the_letters() {
        let mut view = two_pools();
        press(&mut view, "/SHOP");
        let ids = |view: &View| view.rows().iter().map(super::super::rows::Row::id).collect::<Vec<_>>();
        assert_eq!(ids(&view), ["shop", "shop/10.0.1.1:80"]);
        // Letters are no orders meanwhile.
        press(&mut view, "\u{8}\u{8}\u{8}\u{8}unfit\n");
        assert_eq!(
            (ids(&view), &view.mode),
            (vec!["app".to_owned(), "app/10.0.0.2:80".to_owned()], &Mode::Browse)
        );
        press(&mut view, "\u{1b}");
        assert_eq!(ids(&view).len(), 5);
    }

    #[test]
    fn tabs_are_turned_both_ways_and_by_number() {
        let mut view = two_pools();
        press(&mut view, "\t");
        assert_eq!(view.tab, Tab::Routes);
        view.press(KeyCode::Left.into());
        view.press(KeyCode::BackTab.into());
        assert_eq!(view.tab, Tab::Caches);
        press(&mut view, "3");
        assert_eq!(view.tab, Tab::Listeners);
        press(&mut view, "?");
        assert_eq!(view.mode, Mode::Help);
        assert_eq!((press(&mut view, "q"), &view.mode), (vec![], &Mode::Browse));
        assert_eq!(press(&mut view, "q"), [Effect::Quit]);
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut view, "/");
        assert_eq!(view.press(ctrl_c), Some(Effect::Quit));
    }

    #[test]
    fn what_is_paused_stays_as_it_was() {
        let mut view = two_pools();
        press(&mut view, "p");
        let mut status = view.status.clone().unwrap();
        status.generation = 9;
        view.tell(status.clone());
        assert_eq!(view.status.as_ref().unwrap().generation, 1);
        press(&mut view, "p");
        view.tell(status);
        assert_eq!(view.status.as_ref().unwrap().generation, 9);
    }
}
