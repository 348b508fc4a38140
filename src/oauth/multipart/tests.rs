use super::*;

const GRANT: &str = "--b\r\nContent-Disposition: form-data; name=\"grant_type\"\r\n\r\npassword\r\n";

fn read(body: &str) -> Result<Vec<(String, String)>, String> {
    let parameters = parse(body.as_bytes(), "b").map_err(|fault| fault.to_string())?;
    Ok(parameters.into_iter().map(|p| (p.name, p.value.expose().clone())).collect())
}

fn part(head: &str, value: &str) -> String {
    format!("{GRANT}--b\r\n{head}\r\n\r\n{value}\r\n--b--\r\n")
}

#[test]
fn fields_are_read_as_clients_write_them() {
    for head in [
        "Content-Disposition: form-data; name=\"x\"",
        "content-disposition:form-data;name=\"x\"",
        "Content-Disposition: Form-Data; Name=\"x\"",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain",
        "Content-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=\"x\"",
        "Content-Type: Text/Plain;charset=\"UTF-8\"\r\nContent-Disposition: form-data; name=\"x\"",
    ] {
        for value in ["", "a b&c=d+%41", "pässwörd 🔑", "x--b", "-- b--", "\"", " edge "] {
            let fields = read(&part(head, value)).unwrap();
            assert_eq!(
                fields,
                [("grant_type".into(), "password".into()), ("x".into(), value.into())],
                "{head}"
            );
        }
    }
    assert_eq!(read(&format!("{GRANT}--b--")).unwrap().len(), 1);
}

#[test]
fn every_byte_between_the_boundaries_is_accounted_for() {
    let good = format!("{GRANT}--b--\r\n");
    assert!(read(&good).is_ok());
    for body in [
        String::new(),
        "--b--".into(),
        "--b--\r\n".into(),
        "--b\r\n--b--\r\n".into(),
        "--b\r\n\r\n--b--\r\n".into(),
        format!("\r\n{good}"),
        format!("preamble\r\n{good}"),
        format!("{good}\r\n"),
        format!("{good}epilogue"),
        format!("{GRANT}--b-- \r\n"),
        format!("{GRANT}--b--\n"),
        format!("{GRANT}--b"),
        format!("{GRANT}--b\r\n"),
        format!("{GRANT}--b-"),
        GRANT.into(),
        good.replace("\r\n", "\n"),
        good.replace("\r\n\r\n", "\n\n"),
        good.replacen("\r\n", "\r", 1),
        good.replacen("--b\r\n", "--b \r\n", 1),
        good.replacen("--b\r\n", "--B\r\n", 1),
        good.replacen("--b\r\n", "--bb\r\n", 1),
        good.replace("password\r\n", "password\r\n--bx\r\n"),
        good.replace("password\r\n", "password"),
        good.replace("password\r\n", "--b\r\n"),
        good.replace("password\r\n", "--b--\r\n"),
    ] {
        assert!(read(&body).is_err(), "{body:?}");
    }
}

#[test]
fn a_part_says_its_name_and_nothing_else() {
    for head in [
        "Content-Type: text/plain",
        "Content-Disposition: form-data",
        "Content-Disposition: form-data; name=x",
        "Content-Disposition: form-data; name=\"x",
        "Content-Disposition: form-data; name=\"x\";",
        "Content-Disposition: form-data; name = \"x\"",
        "Content-Disposition: form-data; name=\"x\"; name=\"y\"",
        "Content-Disposition: form-data; name=\"x\"; filename=\"y\"",
        "Content-Disposition: form-data; filename=\"y\"; name=\"x\"",
        "Content-Disposition: form-data; name*=UTF-8''x",
        "Content-Disposition: form-data; name=\"x\\\"y\"",
        "Content-Disposition: form-data; name=\"x%22\"",
        "Content-Disposition: form-data; name='x'",
        "Content-Disposition: attachment; name=\"x\"",
        "Content-Disposition : form-data; name=\"x\"",
        " Content-Disposition: form-data; name=\"x\"",
        "Content-Disposition: form-data;\r\n name=\"x\"",
        "Content-Disposition: form-data; name=\"x\"\r\n",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"y\"",
        "Content-Disposition: form-data; name=\"x\"\nContent-Type: text/plain",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/html",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain\n",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain;\n",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain; charset=utf-16",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain; charset=utf-8; format=flowed",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain\r\nContent-Type: text/plain",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: base64",
        "Content-Disposition: form-data; name=\"x\"\r\nContent-Transfer-Encoding: 8bit",
        "Content-Disposition: form-data; name=\"x\"\r\nX: y",
        "Content-Disposition: form-data; name=\"x\"\r\nnothing",
    ] {
        let read = read(&part(head, "v"));
        // A blank line too many belongs to the value, where control characters are refused later.
        let is_harmless = read.as_ref().is_ok_and(|fields| fields[1].1 == "\r\nv");
        assert!(read.is_err() || is_harmless, "{head:?}");
    }
}

#[test]
fn bytes_that_are_no_text_and_too_many_parts_are_refused() {
    let mut body = part("Content-Disposition: form-data; name=\"x\"", "v").into_bytes();
    let at = memmem::rfind(&body, b"v").unwrap();
    body[at] = 0xFF;
    assert_eq!(parse(&body, "b").unwrap_err().to_string(), "parameter 'x' must be UTF-8");
    assert_eq!(read(&format!("{}--b--", GRANT.repeat(64))).unwrap().len(), 64);
    assert!(read(&format!("{}--b--", GRANT.repeat(65))).unwrap_err().contains("more than 64"));
}
