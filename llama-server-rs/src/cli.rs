//! The command line: llama-server's flag names, each defined once, in `FLAGS`.
//!
//! llama-server has flags of one dash and several letters (`-ngl`), so arguments are matched
//! here, by whole names. A flag may also be given as an environment variable, which the command
//! line overrides.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::Config;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve a model.
    Serve(Box<Config>),
    /// Print [`help`].
    Help,
    /// Print [`version`].
    Version,
}

/// An argument that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

struct Flag {
    /// As typed, shortest first.
    names: &'static [&'static str],
    /// What the value is called in the help text.
    value: &'static str,
    env: Option<&'static str>,
    help: &'static str,
    /// Checks the value and stores it. The error says what would be right.
    set: fn(&mut Config, &str) -> Result<(), String>,
}

const FLAGS: &[Flag] = &[
    Flag {
        names: &["-m", "--model"],
        value: "FILE",
        env: Some("LLAMA_ARG_MODEL"),
        help: "the model, a GGUF file; without it, a built-in toy model is served",
        set: |config, value| set_path(&mut config.model, value),
    },
    Flag {
        names: &["-md", "--spec-draft-model", "--model-draft"],
        value: "FILE",
        env: Some("LLAMA_ARG_SPEC_DRAFT_MODEL"),
        help: "the model's MTP draft head, which drafts tokens ahead and changes no text",
        set: |config, value| set_path(&mut config.draft_model, value),
    },
    Flag {
        names: &["-mm", "--mmproj"],
        value: "FILE",
        env: Some("LLAMA_ARG_MMPROJ"),
        help: "the model's multimodal projector, which lets it see images",
        set: |config, value| set_path(&mut config.mmproj, value),
    },
    Flag {
        names: &["-a", "--alias"],
        value: "NAME,...",
        env: Some("LLAMA_ARG_ALIAS"),
        help: "names of the model in the API (default: the file's name)",
        set: |config, value| {
            config.aliases = list(value);
            Ok(())
        },
    },
    Flag {
        names: &["-c", "--ctx-size"],
        value: "N",
        env: Some("LLAMA_ARG_CTX_SIZE"),
        help: "tokens of context (default: what the model was trained for)",
        set: |config, value| match number(value)? {
            0 => Err("leave it out for the model's own size".into()),
            n => set_some(&mut config.ctx_size, n),
        },
    },
    Flag {
        names: &["-b", "--batch-size"],
        value: "N",
        env: Some("LLAMA_ARG_BATCH"),
        help: "tokens of a prompt submitted at a time",
        set: |config, value| set_some(&mut config.batch_size, positive(value)?),
    },
    Flag {
        names: &["-ub", "--ubatch-size"],
        value: "N",
        env: Some("LLAMA_ARG_UBATCH"),
        help: "tokens computed at a time; raised where the projector's images need more",
        set: |config, value| set_some(&mut config.ubatch_size, positive(value)?),
    },
    Flag {
        names: &["-ngl", "--gpu-layers", "--n-gpu-layers"],
        value: "N|auto|all",
        env: Some("LLAMA_ARG_N_GPU_LAYERS"),
        help: "layers that the GPU computes (default: all of them, if there is a GPU)",
        set: |config, value| {
            config.gpu_layers = match value {
                "auto" | "all" | "-1" => llama::GpuLayers::All,
                _ => llama::GpuLayers::Count(
                    number(value).map_err(|_| "not a number, auto or all".to_owned())?,
                ),
            };
            Ok(())
        },
    },
    Flag {
        names: &["-t", "--threads"],
        value: "N",
        env: Some("LLAMA_ARG_THREADS"),
        help: "threads for what the CPU computes (default: what suits the machine)",
        set: |config, value| {
            config.threads = if value == "-1" { None } else { Some(positive(value)?) };
            Ok(())
        },
    },
    Flag {
        names: &["--spec-draft-n-max"],
        value: "N",
        env: Some("LLAMA_ARG_SPEC_DRAFT_N_MAX"),
        help: "tokens to draft at most in one step (default: 3)",
        set: |config, value| {
            config.draft_max = number(value)?;
            Ok(())
        },
    },
    Flag {
        names: &["--host"],
        value: "ADDRESS",
        env: Some("LLAMA_ARG_HOST"),
        help: "address to listen on (default: 127.0.0.1, this machine only)",
        set: |config, value| {
            config.host = value.to_owned();
            Ok(())
        },
    },
    Flag {
        names: &["--port"],
        value: "PORT",
        env: Some("LLAMA_ARG_PORT"),
        help: "port to listen on; 0 takes a free one (default: 8080)",
        set: |config, value| {
            config.port = value.parse().map_err(|_| "not a port (0 to 65535)".to_owned())?;
            Ok(())
        },
    },
    Flag {
        names: &["--api-key"],
        value: "KEY,...",
        env: Some("LLAMA_API_KEY"),
        help: "keys of which a request must present one",
        set: |config, value| {
            config.api_keys = list(value).into_iter().collect();
            if config.api_keys.is_empty() { Err("no key in it".into()) } else { Ok(()) }
        },
    },
];

/// Reads the arguments after the program's name. `env` looks up environment variables.
///
/// # Errors
///
/// Unknown flags, flags without their value, and values that cannot be.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Command, UsageError> {
    let mut config = Config::default();
    for flag in FLAGS {
        let Some(name) = flag.env else { continue };
        if let Some(value) = env(name).filter(|value| !value.is_empty()) {
            apply(flag, name, &value, &mut config)?;
        }
    }
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = text(arg)?;
        match arg.as_str() {
            "-h" | "--help" | "--usage" => return Ok(Command::Help),
            "--version" => return Ok(Command::Version),
            _ => {}
        }
        if !arg.starts_with('-') {
            return Err(UsageError(if arg.ends_with(".gguf") {
                format!("unexpected argument '{arg}': name the model with -m {arg}")
            } else {
                format!("unexpected argument '{arg}'; --help lists the flags")
            }));
        }
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (arg.as_str(), None),
        };
        let flag = find(name).ok_or_else(|| unknown(name))?;
        let value = match inline {
            Some(value) => value,
            None => match args.next().map(text).transpose()? {
                Some(value) if find(&value).is_none() => value,
                _ => return Err(UsageError(format!("{name} needs a value ({})", flag.value))),
            },
        };
        apply(flag, name, &value, &mut config)?;
    }
    Ok(Command::Serve(Box::new(config)))
}

/// All flags and what they do.
pub fn help() -> String {
    let mut text = String::from(
        "Serves a model of llama.cpp over OpenAI's HTTP API.\n\n\
         Usage: llama-server-rs -m model.gguf [-md mtp.gguf] [--mmproj mmproj.gguf] [flags]\n\n",
    );
    for flag in FLAGS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {} {}", flag.names.join(", "), flag.value);
        let _ = write!(text, "        {}", flag.help);
        let _ = match flag.env {
            Some(env) => writeln!(text, " [env: {env}]"),
            None => writeln!(text),
        };
    }
    text.push_str("  --version\n        print the version\n  -h, --help\n        print this\n");
    text
}

/// This program's version and llama.cpp's.
pub fn version() -> String {
    format!("llama-server-rs {} (llama.cpp {})", env!("CARGO_PKG_VERSION"), llama::build_info())
}

/// llama-server takes underscores for dashes in long names.
fn find(name: &str) -> Option<&'static Flag> {
    let dashed = if name.starts_with("--") { name.replace('_', "-") } else { name.to_owned() };
    FLAGS.iter().find(|flag| flag.names.contains(&dashed.as_str()))
}

fn unknown(name: &str) -> UsageError {
    let bare = |name: &str| name.trim_start_matches('-').to_owned();
    let nearest = FLAGS
        .iter()
        .flat_map(|flag| flag.names)
        .chain(&["--help", "--version"])
        .map(|known| (strsim::jaro_winkler(&bare(name), &bare(known)), known))
        .max_by(|a, b| a.0.total_cmp(&b.0));
    UsageError(match nearest {
        Some((likeness, known)) if likeness > 0.78 => {
            format!("unknown flag '{name}'; did you mean {known}?")
        }
        _ => format!("unknown flag '{name}'; --help lists the flags"),
    })
}

fn apply(flag: &Flag, name: &str, value: &str, config: &mut Config) -> Result<(), UsageError> {
    (flag.set)(config, value).map_err(|problem| {
        // A key must not end up in a log.
        if name == "--api-key" || name == "LLAMA_API_KEY" {
            UsageError(format!("{name}: {problem}"))
        } else {
            UsageError(format!("{name} {value}: {problem}"))
        }
    })
}

fn text(arg: OsString) -> Result<String, UsageError> {
    arg.into_string().map_err(|arg| UsageError(format!("argument {} is not UTF-8", arg.display())))
}

fn set_path(slot: &mut Option<PathBuf>, value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("no file named".into());
    }
    *slot = Some(value.into());
    Ok(())
}

fn set_some<T>(slot: &mut Option<T>, value: T) -> Result<(), String> {
    *slot = Some(value);
    Ok(())
}

fn number(value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("not a number from 0 to {}", i32::MAX)).and_then(|n: u32| {
        // llama.cpp counts in 32-bit signed numbers.
        if i32::try_from(n).is_ok() { Ok(n) } else { Err(format!("more than {}", i32::MAX)) }
    })
}

fn positive(value: &str) -> Result<u32, String> {
    match number(value)? {
        0 => Err("must be at least 1".into()),
        n => Ok(n),
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn run(args: &[&str]) -> Result<Command, UsageError> {
        parse(args.iter().map(OsString::from), |_| None)
    }

    fn config(args: &[&str]) -> Config {
        match run(args) {
            Ok(Command::Serve(config)) => *config,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn error(args: &[&str]) -> String {
        run(args).expect_err("an error").to_string()
    }

    #[test]
    fn short_flags_of_several_letters_are_whole_names() {
        let config = config(&["-m", "a.gguf", "-md", "b.gguf", "-mm", "c.gguf", "-ngl", "7", "-ub", "64"]);
        assert_eq!(config.model.as_deref(), Some(Path::new("a.gguf")));
        assert_eq!(config.draft_model.as_deref(), Some(Path::new("b.gguf")));
        assert_eq!(config.mmproj.as_deref(), Some(Path::new("c.gguf")));
        assert_eq!(config.gpu_layers, llama::GpuLayers::Count(7));
        assert_eq!(config.ubatch_size, Some(64));
    }

    #[test]
    fn long_names_take_underscores_and_equals_signs() {
        let config = config(&["--ctx_size", "4096", "--port=9000", "--n-gpu-layers", "all"]);
        assert_eq!(config.ctx_size, Some(4096));
        assert_eq!(config.port, 9000);
        assert_eq!(config.gpu_layers, llama::GpuLayers::All);
    }

    #[test]
    fn the_command_line_overrides_the_environment() {
        let env = |name: &str| match name {
            "LLAMA_ARG_PORT" => Some("1".to_owned()),
            "LLAMA_ARG_HOST" => Some("0.0.0.0".to_owned()),
            "LLAMA_ARG_MODEL" => Some(String::new()),
            _ => None,
        };
        let command = parse(["--port", "2"].map(OsString::from), env);
        let Ok(Command::Serve(config)) = command else { panic!("{command:?}") };
        assert_eq!((config.port, config.host.as_str(), config.model), (2, "0.0.0.0", None));
    }

    #[test]
    fn a_bad_environment_variable_is_named() {
        let env = |name: &str| (name == "LLAMA_ARG_PORT").then(|| "x".to_owned());
        let error = parse([], env).expect_err("an error").to_string();
        assert_eq!(error, "LLAMA_ARG_PORT x: not a port (0 to 65535)");
    }

    #[test]
    fn unknown_flags_name_their_nearest_neighbour() {
        assert_eq!(error(&["--modle", "x"]), "unknown flag '--modle'; did you mean --model?");
        assert_eq!(error(&["-mdl", "x"]), "unknown flag '-mdl'; did you mean -md?");
        assert_eq!(error(&["--frobnicate"]), "unknown flag '--frobnicate'; --help lists the flags");
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(error(&["-c", "0"]), "-c 0: leave it out for the model's own size");
        assert_eq!(error(&["-b", "0"]), "-b 0: must be at least 1");
        assert_eq!(error(&["--port", "99999"]), "--port 99999: not a port (0 to 65535)");
        assert_eq!(error(&["-ngl", "some"]), "-ngl some: not a number, auto or all");
        assert_eq!(error(&["-t", "3000000000"]), "-t 3000000000: more than 2147483647");
        assert_eq!(error(&["--api-key", ", ,"]), "--api-key: no key in it");
    }

    #[test]
    fn a_flag_is_not_the_value_of_another() {
        assert_eq!(error(&["-m"]), "-m needs a value (FILE)");
        assert_eq!(error(&["-m", "-md", "x"]), "-m needs a value (FILE)");
    }

    #[test]
    fn a_bare_file_name_is_answered_with_the_right_flag() {
        assert_eq!(error(&["x.gguf"]), "unexpected argument 'x.gguf': name the model with -m x.gguf");
    }

    #[test]
    fn lists_are_split_at_commas() {
        let config = config(&["-a", "one, two", "--api-key", "k1,k2"]);
        assert_eq!(config.aliases, ["one", "two"]);
        assert_eq!(config.api_keys.iter().collect::<Vec<_>>(), ["k1", "k2"]);
    }

    #[test]
    fn help_and_version_win_wherever_they_stand() {
        assert!(matches!(run(&["--port", "1", "--help"]), Ok(Command::Help)));
        assert!(matches!(run(&["--version"]), Ok(Command::Version)));
        for flag in FLAGS {
            assert!(help().contains(flag.names[0]));
        }
    }
}
