//! Makes a CA and a certificate of it for the hub, and shows what a certificate says.
//!
//! For trying out TLS and for closed networks; a public hub has a certificate of a public CA.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// Makes and reads the certificates for trying out TLS
#[derive(Debug, Parser)]
#[command(name = "certs", version)]
enum Args {
    /// Make ca.pem, hub.pem and hub.key in a directory; what is there already stays
    Make {
        /// Where to
        dir: PathBuf,
        /// Host names and addresses by which the hub is reached
        #[arg(long = "host", default_values = ["localhost", "127.0.0.1", "::1"])]
        hosts: Vec<String>,
    },
    /// Show what the certificates of a PEM file say
    Read {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _ = writeln!(std::io::stderr(), "certs: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    match args {
        Args::Make { dir, hosts } => make(&dir, hosts),
        Args::Read { files } => files.iter().try_for_each(|file| read(file)),
    }
}

fn make(dir: &Path, hosts: Vec<String>) -> Result<()> {
    let files = ["ca.pem", "hub.pem", "hub.key"].map(|name| dir.join(name));
    if files.iter().all(|file| file.exists()) {
        let made_for = hosts_of(&files[1])?;
        ensure!(
            made_for == hosts,
            "{} is there, for {}; remove {} to make one for {}",
            files[1].display(),
            made_for.join(", "),
            dir.display(),
            hosts.join(", ")
        );
        return say(&format!("{} are there already\n", list(&files)));
    }
    let there = files.iter().find(|file| file.exists());
    ensure!(there.is_none(), "{} is there, others are not: remove it first", list(there));
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;

    let ca_key = KeyPair::generate()?;
    let ca = ca_params();
    let ca_cert = ca.self_signed(&ca_key)?;
    let hub_key = KeyPair::generate()?;
    let hub_cert = hub_params(hosts)?.signed_by(&hub_key, &Issuer::new(ca, ca_key))?;

    let [ca_file, cert_file, key_file] = &files;
    write(ca_file, &ca_cert.pem(), 0o644)?;
    write(cert_file, &hub_cert.pem(), 0o644)?;
    write(key_file, &hub_key.serialize_pem(), 0o600)?;
    say(&format!("made {}\n", list(&files)))
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "grpc-hub trial CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid_for_long(&mut params);
    params
}

fn hub_params(hosts: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.push(DnType::CommonName, "grpc-hub");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for_long(&mut params);
    Ok(params)
}

/// The CA's key is forgotten, so nothing is won by expiry.
fn valid_for_long(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
}

fn write(file: &Path, pem: &str, mode: u32) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(file);
    let written = opened.and_then(|mut opened| opened.write_all(pem.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

fn read(file: &Path) -> Result<()> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut text = String::new();
    for pem in Pem::iter_from_buffer(&content) {
        let pem = pem.with_context(|| format!("{} is no PEM", file.display()))?;
        let cert =
            pem.parse_x509().with_context(|| format!("no certificate in {}", file.display()))?;
        writeln!(text, "{}", file.display())?;
        writeln!(text, "  subject  {}", cert.subject())?;
        writeln!(text, "  issuer   {}", cert.issuer())?;
        writeln!(
            text,
            "  valid    {} to {}",
            cert.validity().not_before,
            cert.validity().not_after
        )?;
        writeln!(text, "  serial   {}", cert.raw_serial_as_string())?;
        if let Some(names) = cert.subject_alternative_name()? {
            let names: Vec<_> = names.value.general_names.iter().map(host).collect();
            writeln!(text, "  hosts    {}", names.join(", "))?;
        }
        writeln!(text, "  is a CA  {}", if cert.is_ca() { "yes" } else { "no" })?;
    }
    ensure!(!text.is_empty(), "no certificate in {}", file.display());
    say(&text)
}

/// The host names of the first certificate in a file.
fn hosts_of(file: &Path) -> Result<Vec<String>> {
    let content = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let pem = Pem::iter_from_buffer(&content).next();
    let pem = pem.with_context(|| format!("no certificate in {}", file.display()))??;
    let names = pem
        .parse_x509()?
        .subject_alternative_name()?
        .map(|names| names.value.general_names.iter().map(host).collect());
    Ok(names.unwrap_or_default())
}

fn host(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => {
            match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                (Ok(v4), _) => Ipv4Addr::from(v4).to_string(),
                (_, Ok(v6)) => Ipv6Addr::from(v6).to_string(),
                _ => name.to_string(),
            }
        }
        _ => name.to_string(),
    }
}

fn say(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

fn list<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> String {
    let files: Vec<_> = files.into_iter().map(|file| file.display().to_string()).collect();
    files.join(", ")
}
