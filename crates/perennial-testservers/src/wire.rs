//! A few words of Redis's protocol (RESP2), enough to set a server up and to ask what it holds.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// An answer as text, nested arrays flattened, one element a line; `Err` for a refusal or a broken connection.
pub(crate) fn ask(port: u16, words: &[&str]) -> Result<String, String> {
    let said = || -> std::io::Result<Result<String, String>> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        (&stream).write_all(request.as_bytes())?;
        let mut lines = Vec::new();
        let answer = read(&mut BufReader::new(&stream), &mut lines)?;
        Ok(answer.map(|()| lines.join("\n")))
    };
    said().unwrap_or_else(|error| Err(error.to_string()))
}

fn read(reader: &mut impl BufRead, lines: &mut Vec<String>) -> std::io::Result<Result<(), String>> {
    let mut head = String::new();
    if reader.read_line(&mut head)? == 0 {
        return Ok(Err("the connection was closed".to_owned()));
    }
    let head = head.trim_end();
    let (kind, rest) = head.split_at(head.len().min(1));
    match (kind, rest.parse::<usize>()) {
        ("-", _) => return Ok(Err(rest.to_owned())),
        ("$", Ok(length)) => {
            let mut bytes = vec![0; length + 2];
            reader.read_exact(&mut bytes)?;
            lines.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
        ("*", Ok(count)) => {
            for _ in 0..count {
                if let Err(refused) = read(reader, lines)? {
                    return Ok(Err(refused));
                }
            }
        }
        _ => lines.push(rest.to_owned()),
    }
    Ok(Ok(()))
}
