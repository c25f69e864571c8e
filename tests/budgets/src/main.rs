//! Measures what each operation costs on an emulated Cortex-M4, prints the table, and compares it with
//! `tests/firmware/budgets.toml`: a figure above its budget fails, and so does a table in the README of the embassy adapter
//! or of the stash's microcontroller that is not what the budgets say. `--accept` writes all of them.

mod budgets;
mod images;
mod table;

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use budgets::{Budgets, Verdict};

/// Where something of the repository is.
fn place(of: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(of)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_accepted = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--accept"] => true,
        _ => {
            eprintln!("usage: cargo run -p budgets [-- --accept]");
            return ExitCode::from(2);
        }
    };
    match run(is_accepted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is within its budget.
fn run(is_accepted: bool) -> Result<bool, Box<dyn Error>> {
    let budgets_file = place("tests/firmware/budgets.toml");
    let budgets = Budgets::read(&fs::read_to_string(&budgets_file)?)?;

    let mut measured = images::measure()?;
    measured.take_goals(&budgets);
    println!("{}", table::plain(&measured));
    if is_accepted {
        fs::write(budgets_file, measured.write())?;
        for (readme, of) in readmes(&measured) {
            fs::write(place(readme), table::replace(&fs::read_to_string(place(readme))?, &of)?)?;
        }
        println!("accepted");
        return Ok(true);
    }

    let mut is_good = true;
    if measured.compiler == budgets.compiler {
        for verdict in measured.compare(&budgets) {
            is_good &= matches!(verdict, Verdict::Gain(_));
            println!("{verdict}");
        }
    } else {
        println!("not compared: the budgets are those of {}, and this is {}", budgets.compiler, measured.compiler);
    }
    for (readme, of) in readmes(&budgets) {
        let text = fs::read_to_string(place(readme))?;
        if table::replace(&text, &of)? != text {
            println!("the table in {readme} is not what tests/firmware/budgets.toml says");
            is_good = false;
        }
    }
    println!("{}", if is_good { "within the budgets" } else { "failed; what is meant is accepted with --accept" });
    Ok(is_good)
}

/// The READMEs with a table, and what is in it.
fn readmes(budgets: &Budgets) -> [(&'static str, Budgets); 2] {
    [("embassy-adapter/README.md", budgets.clone()), ("examples/stash-mcu/README.md", budgets.only(images::STASH))]
}
