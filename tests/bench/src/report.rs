//! The table.

use crate::{
    run::{Beside, Goal, Rival},
    stats::short,
};

/// One row of the table: the work, and what it came to.
pub struct Line {
    pub work: String,
    pub rivals: Vec<(Named, Beside)>,
}

/// What the table says about a rival beside its figures.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    pub name: &'static str,
    pub hash: &'static str,
    pub goal: Option<Goal>,
    pub is_floor: bool,
}

impl From<&Rival> for Named {
    fn from(rival: &Rival) -> Self {
        Self { name: rival.name, hash: rival.hash, goal: rival.goal, is_floor: rival.is_floor }
    }
}

/// All lines as a table that reads well in a terminal and in Markdown.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let head = ["work", "ours, ns", "beside", "hash", "theirs, ns", "ours is", "goal", "met"].map(str::to_owned);
    let mut rows = vec![head];
    for line in lines {
        let floor = nearest_floor(line);
        for (index, (named, beside)) in line.rivals.iter().enumerate() {
            let (goal, mut met) = judge(*named, *beside);
            if let (Some(floor), false) = (floor, named.is_floor || ["", "yes"].contains(&met.as_str())) {
                met += &format!("; the floor: {:.2}", beside.ratio.median / floor);
            }
            rows.push([
                if index == 0 { line.work.clone() } else { String::new() },
                beside.ours.to_string(),
                if named.is_floor { format!("floor: {}", named.name) } else { named.name.to_owned() },
                named.hash.to_owned(),
                beside.theirs.to_string(),
                relation(*named, *beside),
                goal,
                met,
            ]);
        }
    }
    aligned(&rows)
}

/// Rows in columns of equal width; the first is the head.
#[must_use]
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] = std::array::from_fn(|i| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!(" {cell:width$} ")).collect();
        text += &format!("|{}|\n", cells.join("|"));
        if index == 0 {
            let bars: Vec<_> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
            text += &format!("|{}|\n", bars.join("|"));
        }
    }
    text
}

/// What the nearest floor takes beside ours, of those that ours is not below.
fn nearest_floor(line: &Line) -> Option<f64> {
    let floors = line.rivals.iter().filter(|(named, _)| named.is_floor).map(|(_, floor)| floor.ratio.median);
    floors.filter(|ratio| *ratio <= 1.0).max_by(f64::total_cmp)
}

fn relation(named: Named, beside: Beside) -> String {
    let ratio = beside.ratio;
    match named {
        Named { is_floor: true, .. } => format!("{} times the floor", precise(ratio.inverse())),
        _ if ratio.median < 0.995 => format!("{} times slower", precise(ratio.inverse())),
        _ => format!("{} times faster", precise(ratio)),
    }
}

fn precise(ratio: crate::stats::Quartiles) -> String {
    let digits = |value: f64| if value < 9.95 { format!("{value:.2}") } else { short(value) };
    format!("{} ({} to {})", digits(ratio.median), digits(ratio.low), digits(ratio.high))
}

/// The goal, and whether the median met it; if not, whether the better quarter did.
fn judge(named: Named, beside: Beside) -> (String, String) {
    let Some(goal) = named.goal else { return (String::new(), String::new()) };
    let (text, wanted) = match goal {
        Goal::Faster(1.0) => ("not slower".to_owned(), 1.0),
        Goal::Faster(times) => (format!("{times} times faster"), times),
        Goal::Within(1.0) => ("no more".to_owned(), 1.0),
        Goal::Within(times) => (format!("{times} times"), 1.0 / times),
    };
    let met = match beside.ratio {
        ratio if ratio.median >= wanted => "yes",
        ratio if ratio.high >= wanted => "nearly",
        _ => "no",
    };
    (text, met.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Quartiles;

    fn beside(ratio: [f64; 3]) -> Beside {
        let [low, median, high] = ratio;
        Beside { ours: Quartiles::of([50.0]), theirs: Quartiles::of([50.0]), ratio: Quartiles { low, median, high } }
    }

    fn named(goal: Goal, is_floor: bool) -> Named {
        Named { name: "peer", hash: "", goal: Some(goal), is_floor }
    }

    #[test]
    fn a_goal_is_met_by_the_median_and_nearly_by_a_quarter() {
        let faster = named(Goal::Faster(2.5), false);
        let met = |ratio| judge(faster, beside(ratio)).1;
        assert_eq!([met([2.4, 2.5, 2.6]), met([2.3, 2.4, 2.5]), met([2.1, 2.3, 2.4])], ["yes", "nearly", "no"]);
        let within = named(Goal::Within(1.5), true);
        assert_eq!(judge(within, beside([0.6, 0.7, 0.8])), ("1.5 times".to_owned(), "yes".to_owned()));
        assert_eq!(judge(within, beside([0.5, 0.6, 0.66])).1, "no");
    }

    #[test]
    fn a_goal_that_is_missed_stands_beside_what_the_nearest_floor_would_reach() {
        let floor = Named { name: "floor", hash: "SipHash", goal: None, is_floor: true };
        let rival = |named, ratio| (named, beside([ratio, ratio, ratio]));
        let line = |goal| Line {
            work: "work".to_owned(),
            // Ours is below the last, which is none to it.
            rivals: vec![
                rival(named(Goal::Faster(goal), false), 2.0),
                rival(floor, 0.5),
                rival(floor, 0.8),
                rival(floor, 1.2),
            ],
        };
        assert!(table(&[line(3.0)]).contains("| no; the floor: 2.50 |"));
        assert!(!table(&[line(2.0)]).contains("the floor: 2"));
        assert!(table(&[line(2.0)]).contains("| floor: floor | SipHash |"));
    }

    #[test]
    fn a_relation_says_who_is_faster() {
        let peer = named(Goal::Faster(1.0), false);
        assert_eq!(relation(peer, beside([2.0, 2.5, 12.0])), "2.50 (2.00 to 12) times faster");
        assert_eq!(relation(peer, beside([0.4, 0.5, 0.8])), "2.00 (1.25 to 2.50) times slower");
        assert_eq!(
            relation(named(Goal::Within(1.5), true), beside([0.5, 0.8, 1.0])),
            "1.25 (1.00 to 2.00) times the floor"
        );
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [["work", "ns"], ["a longer name", "7"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "| work          | ns |\n|---------------|----|\n| a longer name | 7  |\n");
    }
}
