//! Token requests, as clients write them.

use data_encoding::BASE64;

/// A token request that is being put together; [`TokenRequest::bytes`] is what goes over the wire.
#[derive(Clone)]
pub(crate) struct TokenRequest {
    query: String,
    headers: Vec<(String, String)>,
    parameters: Vec<(String, String)>,
    json: bool,
}

impl TokenRequest {
    /// Any grant, by the test client.
    pub(crate) fn grant(parameters: &[(&str, &str)]) -> Self {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            query: String::new(),
            headers: vec![("Authorization".to_owned(), basic("testclient", "testpass"))],
            parameters: parameters.iter().map(owned).collect(),
            json: false,
        }
    }

    /// A password grant by the test client.
    pub(crate) fn password(username: &str, password: &str) -> Self {
        let scope = ("scope", "basic");
        Self::grant(&[("grant_type", "password"), ("username", username), ("password", password), scope])
    }

    /// Alice, with her right password.
    pub(crate) fn alice() -> Self {
        Self::password("alice", "passw0rd")
    }

    /// Presents a passcode.
    pub(crate) fn code(self, code: &str) -> Self {
        self.header("X-Drupal-TFA", code)
    }

    /// Adds a header line.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a parameter to the body.
    pub(crate) fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the query.
    pub(crate) fn query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// Drops the client's Basic header.
    pub(crate) fn without_client(mut self) -> Self {
        self.headers.retain(|(name, _)| name != "Authorization");
        self
    }

    /// Sends the parameters as JSON.
    pub(crate) fn in_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// The request on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (media_type, body) = if self.json {
            let members = self.parameters.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
            ("application/json", serde_json::Value::Object(members).to_string())
        } else {
            let form =
                form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
            ("application/x-www-form-urlencoded", form)
        };
        let mut head = String::from("POST /oauth2/token");
        if !self.query.is_empty() {
            head = head + "?" + &self.query;
        }
        head += " HTTP/1.1\r\nHost: gateway.test\r\n";
        for (name, value) in &self.headers {
            head = head + name + ": " + value + "\r\n";
        }
        let head = head + &format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body.into_bytes()].concat()
    }
}

/// A GET.
pub(crate) fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: gateway.test\r\n\r\n").into_bytes()
}

fn basic(client: &str, secret: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{client}:{secret}").as_bytes()))
}
