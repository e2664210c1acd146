//! Asking before something is destroyed.
//!
//! Owns: the question. Invariant: without `--yes` and without a person at a terminal, the answer is
//! no, and nothing is changed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::exit::Exit;
use crate::failure::Failure;

/// Goes on only if `yes` was given, or if a person at the terminal types `expected`.
pub(crate) fn confirm(question: &str, expected: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(
            Failure::new(Exit::Declined, format!("{question}\nNothing was changed."))
                .with_hint("this needs --yes, since nobody can be asked here"),
        );
    }
    ask(
        question,
        expected,
        &mut io::stdin().lock(),
        &mut io::stderr().lock(),
    )
}

fn ask(
    question: &str,
    expected: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let mut answer = String::new();
    let asked = write!(output, "{question}\nType {expected} to go on: ")
        .and_then(|()| output.flush())
        .and_then(|()| input.read_line(&mut answer));
    match asked {
        Ok(_) if answer.trim() == expected => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Declined,
            "not confirmed; nothing was changed",
        )),
        Err(error) => Err(Failure::new(
            Exit::Declined,
            format!("the question could not be asked ({error}); nothing was changed"),
        )
        .with_errno(error.raw_os_error())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(answer: &str) -> Result<(), Failure> {
        let mut output = Vec::new();
        let result = ask("Destroy data?", "data", &mut answer.as_bytes(), &mut output);
        assert_eq!(
            String::from_utf8(output).unwrap(),
            "Destroy data?\nType data to go on: "
        );
        result
    }

    #[test]
    fn only_the_expected_word_confirms() {
        assert!(answered("data\n").is_ok());
        assert!(answered("  data \n").is_ok());
        for answer in ["", "\n", "y\n", "yes\n", "datas\n", "Data\n"] {
            assert_eq!(
                answered(answer).unwrap_err().exit,
                Exit::Declined,
                "{answer:?}"
            );
        }
    }
}
