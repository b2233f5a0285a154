//! `ticklane-venue`: serves sessions over SoupBinTCP and MoldUDP64, or writes a synthetic market to a file.
#![forbid(unsafe_code)]

mod cli;
mod feeds;
mod generate;
mod serve;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // clap itself exits with 2 on a usage error.
    let outcome = match cli::Cli::parse().command {
        cli::Command::Serve(arguments) => serve::run(&arguments),
        cli::Command::Feeds(arguments) => feeds::run(&arguments),
        cli::Command::Generate(arguments) => generate::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("ticklane-venue: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Why the program ends with an error. The text is for a person.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// Usage or configuration: exit code 2.
    #[error("{0}")]
    Config(String),
    /// At run time: exit code 1.
    #[error("{0}")]
    Run(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Run(_) => 1,
            Self::Config(_) => 2,
        }
    }
}
