//! Measures what each operation costs on an emulated Cortex-M4, prints the table, and compares it with
//! `tests/firmware/budgets.toml`: a figure above its budget fails, and so does a table in the embassy adapter's README that
//! is not what the budgets say. `--accept` writes both.

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
    let (budgets_file, readme_file) = (place("tests/firmware/budgets.toml"), place("embassy-adapter/README.md"));
    let budgets = Budgets::read(&fs::read_to_string(&budgets_file)?)?;
    let readme = fs::read_to_string(&readme_file)?;

    let mut measured = images::measure()?;
    measured.take_goals(&budgets);
    println!("{}", table::plain(&measured));
    if is_accepted {
        fs::write(budgets_file, measured.write())?;
        fs::write(readme_file, table::replace(&readme, &measured)?)?;
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
    if table::replace(&readme, &budgets)? != readme {
        println!("the table in embassy-adapter/README.md is not what tests/firmware/budgets.toml says");
        is_good = false;
    }
    println!("{}", if is_good { "within the budgets" } else { "failed; what is meant is accepted with --accept" });
    Ok(is_good)
}
