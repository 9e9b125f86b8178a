//! `generate`: completions for shells, and the manual page.

use std::io::Write;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::{Error, Exit};

const EXAMPLES: &str = "\
Examples:
  Have bash complete commands and flags:
    ably-chat-archive generate bash > /etc/bash_completion.d/ably-chat-archive
  Read the manual page, all help in one:
    ably-chat-archive generate man | man -l -

It reads no settings.";

/// Prints completions for a shell, or the manual page.
#[derive(Args, Clone, Copy)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Flags {
    /// A shell, or `man`
    what: What,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    Bash,
    Fish,
    Zsh,
    Man,
}

pub(crate) fn run(flags: Flags) -> Result<Exit, Error> {
    let program = crate::Flags::command();
    let printed = match flags.what {
        What::Bash => completions(Shell::Bash, program),
        What::Fish => completions(Shell::Fish, program),
        What::Zsh => completions(Shell::Zsh, program),
        What::Man => manual(program)?,
    };
    std::io::stdout().write_all(&printed)?;
    Ok(Exit::Complete)
}

fn completions(shell: Shell, mut program: Command) -> Vec<u8> {
    let (mut printed, name) = (Vec::new(), program.get_name().to_owned());
    clap_complete::generate(shell, &mut program, name, &mut printed);
    printed
}

/// The page of the program, and those of its commands behind it.
fn manual(program: Command) -> Result<Vec<u8>, std::io::Error> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut printed = Vec::new();
    Man::new(program.clone()).render(&mut printed)?;
    for command in program.get_subcommands() {
        Man::new(command.clone()).render(&mut printed)?;
    }
    Ok(printed)
}
