//! The values of one quantity over the rounds.

/// One value a round, in the order of the rounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures(Vec<f64>);

// === impl Figures ===

impl Figures {
    /// Adds the next round's value.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle value (of an even number, the upper one); zero if there is none.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// The greatest value; zero if there is none.
    pub fn greatest(&self) -> f64 {
        self.sorted().last().copied().unwrap_or_default()
    }

    /// The least value; zero if there is none.
    pub fn least(&self) -> f64 {
        self.sorted().first().copied().unwrap_or_default()
    }

    /// Each round's value over the same round's value of `base`: a machine that slows down slows both.
    pub fn over(&self, base: &Self) -> Self {
        Self(self.0.iter().zip(&base.0).map(|(value, base)| value / base).collect())
    }

    /// `median (least–greatest)`, each written by `format`.
    pub fn spread(&self, format: impl Fn(f64) -> String) -> String {
        format!("{} ({}–{})", format(self.median()), format(self.least()), format(self.greatest()))
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    }
}

/// A count with commas between thousands; a fraction is rounded.
pub fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_of_all_rounds_and_ratios_are_within_a_round() {
        let figures = |values: &[f64]| Figures(values.to_vec());
        let whole = |value: f64| format!("{value:.0}");
        assert_eq!(figures(&[3.0, 1.0, 2.0]).spread(whole), "2 (1–3)");
        assert_eq!(Figures::default().spread(whole), "0 (0–0)");
        assert_eq!(figures(&[2.0, 30.0]).over(&figures(&[4.0, 30.0])), figures(&[0.5, 1.0]));
    }

    #[test]
    fn thousands_are_set_apart() {
        for (value, text) in [(0.4, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")] {
            assert_eq!(grouped(value), text);
        }
    }
}
