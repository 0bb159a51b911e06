//! The manual page and the completions for shells, made from the command line and the table of
//! settings.

use crate::cli::{self, EXIT_STATUS};
use crate::config;
use crate::console::Exit;
use crate::output;
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use fluxtap_config::{SETTINGS, Setting};
use std::io;

/// `fluxtap completions`.
pub(crate) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "fluxtap", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

/// `fluxtap man`.
pub(crate) fn man() -> Exit {
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = write_man(&mut page);
    output::print(&String::from_utf8_lossy(&page))
}

/// One page for all commands: it is read as a whole, and searched.
fn write_man(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = cli::command();
    command.build();
    let man = Man::new(command.clone());
    man.render_title(page)?;
    // Names of settings must be found by searching, so no word is broken.
    Roff::new().control("nh", []).to_writer(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    for command in command.get_subcommands() {
        write_command("FLUXTAP", command, page)?;
    }
    let mut roff = Roff::new();
    write_settings(&mut roff);
    write_files(&mut roff);
    section(&mut roff, "EXIT STATUS");
    for (status, meaning) in EXIT_STATUS {
        item(&mut roff, [bold(*status)], meaning);
    }
    roff.to_writer(page)
}

/// A command with its options and examples, and those below it.
fn write_command(above: &str, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let name = format!("{above} {}", command.get_name().to_uppercase());
    let mut roff = Roff::new();
    section(&mut roff, &name);
    roff.text([roman(command.get_about().map(ToString::to_string).unwrap_or_default())]);
    roff.to_writer(page)?;
    let mut options = Vec::new();
    Man::new(command.clone()).render_options_section(&mut options)?;
    // A section of its own for each command would tear it apart.
    page.extend(String::from_utf8_lossy(&options).replace(".SH OPTIONS", ".SS Options").bytes());
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SS", ["Examples"]).control("nf", []);
    for example in examples.lines().skip(1) {
        roff.text([roman(example.trim_start())]);
    }
    roff.control("fi", []);
    roff.to_writer(page)?;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        write_command(&name, command, page)?;
    }
    Ok(())
}

fn write_settings(roff: &mut Roff) {
    section(roff, "SETTINGS");
    roff.text([roman(
        "Flags go over variables of the environment, these over files, and these over the \
         defaults. In a file the part of a name before its last dot is the name of the table.",
    )]);
    for setting in SETTINGS {
        let value = setting.default_value().map_or("not set".to_owned(), |v| v.to_string());
        let header = [bold(setting.name), roman(format!(" [default: {value}]"))];
        item(roff, header, setting.headline());
        for paragraph in setting.paragraphs() {
            roff.control("IP", []).text([roman(paragraph)]);
        }
        roff.control("IP", []).text([roman(ways(setting))]);
    }
}

/// What is accepted, and the ways to give it.
fn ways(setting: &Setting) -> String {
    let flag = setting.flag.as_ref().map(|flag| format!("--{}, ", flag.long)).unwrap_or_default();
    format!("Accepted: {}. {flag}{}.", setting.kind.expected(), setting.variable())
}

fn write_files(roff: &mut Roff) {
    section(roff, "FILES");
    let (folder, parts) = (config::FOLDER, config::FOLDER_OF_PARTS);
    let file = format!("{folder}/{}", config::FILE);
    item(roff, [bold(file)], "The settings of this host, where it exists.");
    let text = "More of them, laid over that file and each other in the order of their names.";
    item(roff, [bold(format!("{folder}/{parts}/*.toml"))], text);
    section(roff, "ENVIRONMENT");
    let text = "Names a file to read in place of the two above, as --config does.";
    item(roff, [bold(config::VARIABLE)], text);
    let text = "Where it is set, nothing is coloured unless --color asks for it.";
    item(roff, [bold("NO_COLOR")], text);
    item(roff, [bold("FLUXTAP_...")], "Settings; the name of each is given above.");
}

fn section(roff: &mut Roff, name: &str) {
    roff.control("SH", [name]);
}

fn item(roff: &mut Roff, header: impl IntoIterator<Item = Inline>, text: &str) {
    roff.control("TP", []).text(header.into_iter().collect::<Vec<_>>()).text([roman(text)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every command, and those below each.
    fn commands(command: &Command) -> Vec<&Command> {
        let below = command.get_subcommands().filter(|command| command.get_name() != "help");
        below.flat_map(|command| [vec![command], commands(command)].concat()).collect()
    }

    /// Every flag of every command.
    fn flags() -> BTreeSet<String> {
        let command = cli::command();
        let commands = commands(&command).into_iter();
        let flags = commands.flat_map(Command::get_arguments).filter_map(clap::Arg::get_long);
        flags.map(str::to_owned).collect()
    }

    #[test]
    fn the_manual_page_has_every_flag_setting_and_example() {
        let mut page = Vec::new();
        write_man(&mut page).expect("memory");
        let page = String::from_utf8(page).expect("text").replace("\\-", "-");
        assert!(flags().len() > 20);
        for flag in flags() {
            assert!(page.contains(&format!("--{flag}")), "--{flag} is missing");
        }
        for setting in SETTINGS {
            assert!(page.contains(&setting.variable()), "{} is missing", setting.name);
        }
        for command in commands(&cli::command()) {
            let name = command.get_name();
            assert!(page.contains(&format!(" {}\"", name.to_uppercase())), "{name}");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let example = help.lines().nth(1).unwrap_or_default().trim();
            assert!(help.starts_with("Examples:\n") && example.contains(name), "{name}: {help}");
            assert!(page.contains(example), "{name}: no {example}");
        }
    }

    #[test]
    fn completions_have_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "fluxtap", &mut text);
            let text = String::from_utf8(text).expect("text");
            let prefix = if shell == Shell::Fish { "-l " } else { "--" };
            for flag in flags() {
                assert!(text.contains(&format!("{prefix}{flag}")), "{shell}: --{flag} is missing");
            }
        }
    }
}
