//! The table of what is measured beside what is wanted.

/// How a figure is held against its goal.
#[derive(Clone, Copy)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Told for information.
    None,
}

pub fn heading(text: &str) {
    println!("\n{text}");
}

/// One line: what, the figure with its unit, the goal, and whether it is met.
pub fn row(what: &str, figure: f64, unit: &str, goal: Goal) {
    let (wanted, met) = match goal {
        Goal::AtLeast(goal) => (format!(">= {goal}"), figure >= goal),
        Goal::AtMost(goal) => (format!("<= {goal}"), figure <= goal),
        Goal::None => (String::new(), true),
    };
    let verdict = if met { "" } else { "MISSED" };
    println!("  {what:<52} {figure:>10.3} {unit:<14} {wanted:<10} {verdict}");
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
