//! Keys made for one run, and tokens signed with them.

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use jsonwebtoken::jwk::Jwk;
use perennial_core::id_token::JwsAlgorithm;
use perennial_core::secret::{IdToken, PrivateKeyPem};
use serde_json::{Value, json};

/// A key that signs.
pub(crate) struct SigningKey {
    pem: String,
    encoding: EncodingKey,
}

pub(crate) static RSA: LazyLock<SigningKey> = LazyLock::new(rsa);
pub(crate) static OTHER_RSA: LazyLock<SigningKey> = LazyLock::new(rsa);
pub(crate) static P256: LazyLock<SigningKey> = LazyLock::new(|| {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    ec(pkcs8.unwrap().as_ref())
});
pub(crate) static P384: LazyLock<SigningKey> = LazyLock::new(|| {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &SystemRandom::new());
    ec(pkcs8.unwrap().as_ref())
});
pub(crate) static ED25519: LazyLock<SigningKey> = LazyLock::new(|| {
    let pem = pem(Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap().as_ref());
    let encoding = EncodingKey::from_ed_pem(pem.as_bytes()).unwrap();
    SigningKey { pem, encoding }
});

fn rsa() -> SigningKey {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
    let pem = pem(pkcs8.as_ref());
    let encoding = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    SigningKey { pem, encoding }
}

fn ec(pkcs8: &[u8]) -> SigningKey {
    let pem = pem(pkcs8);
    let encoding = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    SigningKey { pem, encoding }
}

fn pem(pkcs8: &[u8]) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8))
}

impl SigningKey {
    pub(crate) fn pem(&self) -> PrivateKeyPem {
        PrivateKeyPem::new(&*self.pem)
    }

    /// The public half, with `members` written over it.
    pub(crate) fn jwk(&self, alg: JwsAlgorithm, members: Value) -> Value {
        let jwk = Jwk::from_encoding_key(&self.encoding, alg.into()).unwrap();
        let mut jwk = serde_json::to_value(jwk).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        merge(&mut jwk, members);
        jwk
    }

    /// A compact JWS of exactly this header.
    pub(crate) fn sign(&self, alg: JwsAlgorithm, header: &Value, claims: &Value) -> IdToken {
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.encoding, alg.into()).unwrap();
        IdToken::new(format!("{signed}.{signature}"))
    }
}

/// A compact JWS of exactly this header, signed with a shared secret.
pub(crate) fn sign_with_secret(secret: &[u8], header: &Value, claims: &Value) -> IdToken {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, JwsAlgorithm::Hs256.into()).unwrap();
    IdToken::new(format!("{signed}.{signature}"))
}

/// A key set document.
pub(crate) fn key_set(keys: &[Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({ "keys": keys })).unwrap()
}

pub(crate) fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).unwrap())
}

/// Writes `members` over `object`; `null` removes.
pub(crate) fn merge(object: &mut Value, members: Value) {
    let Value::Object(members) = members else { panic!("members are an object") };
    let object = object.as_object_mut().unwrap();
    for (name, value) in members {
        match value {
            Value::Null => object.remove(&name),
            value => object.insert(name, value),
        };
    }
}
