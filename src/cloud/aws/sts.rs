//! Amazon's token service: keys of a role, for keys of somebody who may assume it, or for a token of somebody whom Amazon
//! trusts (STS API Reference, "AssumeRole", "AssumeRoleWithWebIdentity"). This module asks; it must not choose the role.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

use super::sigv4::{Service, sign};
use super::sources::Role;
use super::{AwsGrant, AwsKeys, WebIdentity};
use crate::cloud::exchange::{
    CloudError, CloudHttp, Question, element, endpoint, form_type, read_token,
};
use crate::http::{Password, Token};

/// What a session is called that nobody has named.
const SESSION_NAME: &str = "sawagani";

const VERSION: &str = "2011-06-15";

/// Where roles are assumed.
pub(super) struct Sts<'a> {
    pub(super) http: &'a CloudHttp,
    /// Instead of Amazon's own.
    pub(super) endpoint: Option<&'a Url>,
    pub(super) region: &'a str,
    /// What sessions are called, unless a profile says.
    pub(super) session_name: Option<&'a str>,
}

impl Sts<'_> {
    /// Gets keys of a role, with keys of somebody who may assume it.
    pub(super) async fn assume(&self, role: &Role, keys: &AwsKeys) -> Result<AwsGrant, CloudError> {
        let seconds = role.seconds.map(|seconds| seconds.to_string());
        let mut fields = vec![
            ("Action", "AssumeRole"),
            ("Version", VERSION),
            ("RoleArn", &role.arn),
            (
                "RoleSessionName",
                self.session(role.session_name.as_deref()),
            ),
        ];
        fields.extend(role.external_id.as_deref().map(|id| ("ExternalId", id)));
        fields.extend(seconds.as_deref().map(|text| ("DurationSeconds", text)));
        let url = self.url()?;
        let question = Question::form(url.clone(), &fields);
        let service = Service {
            name: "sts",
            region: self.region,
        };
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form_type())]);
        let signed = sign(&url, headers, question.body_text(), &service, keys)?;
        self.ask(&question.headers(signed)).await
    }

    /// Gets keys of a role with a web identity: a request without a signature.
    pub(super) async fn with_web_identity(
        &self,
        identity: &WebIdentity,
    ) -> Result<AwsGrant, CloudError> {
        let token = read_token(&identity.token_file).await?;
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("Version", VERSION),
            ("RoleArn", &identity.role),
            (
                "RoleSessionName",
                self.session(identity.session_name.as_deref()),
            ),
            ("WebIdentityToken", &token),
        ];
        self.ask(&Question::form(self.url()?, &fields)).await
    }

    fn session<'a>(&'a self, of_role: Option<&'a str>) -> &'a str {
        of_role.or(self.session_name).unwrap_or(SESSION_NAME)
    }

    fn url(&self) -> Result<Url, CloudError> {
        if let Some(endpoint) = self.endpoint {
            return Ok(endpoint.clone());
        }
        let region = self.region;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if region.is_empty() || !region.bytes().all(is_plain) {
            let problem = format!("`{region}` is not the name of a region");
            return Err(CloudError::Unusable(problem));
        }
        let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
        endpoint(&format!("https://sts.{region}.amazonaws.com{suffix}/"))
    }

    /// The answer is XML.
    async fn ask(&self, question: &Question) -> Result<AwsGrant, CloudError> {
        let text = self.http.ask(question).await?;
        let field = |name| element(&text, name).filter(|value| !value.is_empty());
        let found = field("AccessKeyId").zip(field("SecretAccessKey"));
        let Some(((id, secret), token)) = found.zip(field("SessionToken")) else {
            let call = question.call();
            let missing = "keys";
            return Err(CloudError::Answer { call, missing });
        };
        let keys = AwsKeys {
            id: id.to_owned(),
            secret: Password::new(secret),
            session_token: Some(Token::new(token)),
        };
        Ok(AwsGrant {
            expires: field("Expiration").and_then(|text| text.parse().ok()),
            ..AwsGrant::lasting(keys)
        })
    }
}
