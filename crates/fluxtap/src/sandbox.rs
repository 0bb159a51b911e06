//! What the sensor gives away before hostile packets reach it: the user it was started as, rights,
//! files and system calls.
//!
//! The key decision: of root's rights the one to capture stays, because an interface that went away
//! has to be opened again; everything else goes. What a kernel does not offer is said and done
//! without; what it offers and refuses ends the start.
//!
//! All of it holds for the thread that asks and those it starts, so it comes before any other.

use crate::config::{FOLDER, Sources};
use crate::threat_lists;
use fluxtap_config::{AddressTable, Settings};
use landlock::{
    ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus,
    path_beneath_rules,
};
use rustix::process::{Gid, Uid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities, set_keep_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that libraries read: names and certificates, the state of interfaces.
const READ: [&str; 8] = ["/etc", "/usr", "/lib", "/lib64", "/proc", "/sys", "/dev", "/run"];

/// Folders of the sensor that it writes to, as the unit of systemd and the package make them.
const WRITTEN: [&str; 3] = ["/var/lib/fluxtap", "/var/log/fluxtap", "/run/fluxtap"];

/// System calls that a sensor never makes and that are how a process is made another, looked into,
/// or the system changed. They fail with EPERM. A list of those it does make would depend on the
/// C library and on libpcap, and break with their next version.
const REFUSED: [i64; 42] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    libc::SYS_mknodat,
];

/// Gives away what settings say; what is in force then, in words.
///
/// # Errors
///
/// What could not be given away, and what to do.
pub(crate) fn enter(settings: &Settings, sources: &Sources) -> Result<String, String> {
    let mut in_force = Vec::new();
    let is_open = settings.is_unsandboxed;
    if !is_open {
        bound_rights();
    }
    if let Some(name) = &settings.user {
        in_force.push(become_user(name)?);
    } else if getuid().is_root() {
        in_force.push("user root (--user NAME to become another)".to_owned());
    }
    if is_open {
        in_force.push("no sandbox, as asked for".to_owned());
        return Ok(in_force.join("; "));
    }
    let failed = |what: &'static str| {
        move |error: &dyn std::fmt::Display| {
            format!("sandbox: cannot {what}: {error}; --no-sandbox starts without")
        }
    };
    in_force.push(keep_right_to_capture().map_err(|e| failed("give up rights")(&e))?);
    set_no_new_privs(true).map_err(|e| failed("rule out new privileges")(&e))?;
    in_force.push("no new privileges".to_owned());
    in_force.push(shut_files(settings, sources).map_err(|e| failed("shut files out")(&e))?);
    in_force.push(refuse_calls().map_err(|e| failed("filter system calls")(&e))?);
    Ok(in_force.join("; "))
}

/// Becomes a user of /etc/passwd with its own group and no other.
fn become_user(name: &str) -> Result<String, String> {
    let users = fs::read_to_string("/etc/passwd")
        .map_err(|error| format!("--user: cannot read /etc/passwd: {error}; leave --user out"))?;
    let (uid, gid) = find_user(&users, name).ok_or_else(|| {
        format!("--user: got {name:?}, expected a user of /etc/passwd; make it with useradd -r")
    })?;
    let told = || format!("user {name} ({uid})");
    if getuid().as_raw() == uid {
        return Ok(told());
    }
    let cannot = |error: rustix::io::Errno| {
        format!("--user: cannot become {name}: {error}; start as root, or leave --user out")
    };
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_keep_capabilities(true).map_err(cannot)?;
    set_thread_groups(&[]).map_err(cannot)?;
    set_thread_res_gid(group, group, group).map_err(cannot)?;
    set_thread_res_uid(user, user, user).map_err(cannot)?;
    // With the user the effective rights are gone and the permitted ones kept.
    let permitted = capabilities(None).map_err(cannot)?.permitted;
    let kept = permitted & CapabilitySet::NET_RAW;
    set_rights(kept).map_err(cannot)?;
    set_keep_capabilities(false).map_err(cannot)?;
    Ok(told())
}

/// User and group of a name or number.
fn find_user(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (user, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_meant = user == name || uid == name;
        is_meant.then(|| Some((uid.parse().ok()?, gid.parse().ok()?)))?
    })
}

/// No program that is started gets a right, were one ever started. Only root may say so, and before
/// it becomes another; where the kernel refuses, no program can be started all the same.
fn bound_rights() {
    for right in CapabilitySet::all().iter().filter(|&right| right != CapabilitySet::NET_RAW) {
        let _ = remove_capability_from_bounding_set(right);
    }
}

/// Keeps the right to capture, as far as it is there, and no other.
fn keep_right_to_capture() -> rustix::io::Result<String> {
    let permitted = capabilities(None)?.permitted;
    let kept = permitted & CapabilitySet::NET_RAW;
    // Where there is nothing to give up, a service manager may have ruled out the attempt.
    if permitted != kept {
        set_rights(kept)?;
    }
    Ok(if kept.is_empty() { "no rights" } else { "rights: CAP_NET_RAW alone" }.to_owned())
}

fn set_rights(kept: CapabilitySet) -> rustix::io::Result<()> {
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
}

/// Leaves the files that are needed, to read and to write.
fn shut_files(settings: &Settings, sources: &Sources) -> Result<String, landlock::RulesetError> {
    let abi = ABI::V5;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
        | AccessFs::Truncate;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(readable(settings, sources), read))?
        .add_rules(path_beneath_rules(writable(settings), write))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => "files: those needed (landlock)".to_owned(),
        RulesetStatus::PartiallyEnforced => {
            "files: those needed, as far as this kernel's landlock goes".to_owned()
        }
        RulesetStatus::NotEnforced => "files: all, this kernel has no landlock".to_owned(),
    })
}

/// Folders and not files: an editor, or a newer table, puts another file in the place of the old.
fn readable(settings: &Settings, sources: &Sources) -> Vec<PathBuf> {
    let table = match &settings.address_table {
        AddressTable::Path(path) => Some(path),
        AddressTable::Embedded | AddressTable::None => None,
    };
    let named = [&settings.country_table, &settings.allow_file, &settings.client_key_file];
    let config = sources.file();
    let of_sinks = settings.sinks.iter().flat_map(|sink| {
        [&sink.ca_file, &sink.cert_file, &sink.key_file, &sink.token_file].into_iter().flatten()
    });
    let files = named.into_iter().flatten().chain(table).chain(&config).chain(of_sinks);
    let folders = files.map(|path| folder_of(path));
    let of_lists = threat_lists::paths(&settings.threat_lists).map(|path| folder_of(&path));
    let folders = folders.chain(of_lists);
    READ.iter().map(PathBuf::from).chain([PathBuf::from(FOLDER)]).chain(folders).collect()
}

fn writable(settings: &Settings) -> Vec<PathBuf> {
    let stats = settings.stats.as_deref().filter(|path| *path != Path::new("-"));
    let checkpoint = settings.checkpoint_file.as_deref();
    let of_sinks = settings.sinks.iter().filter_map(|sink| sink.path.as_deref());
    let files = stats.into_iter().chain(checkpoint).chain(of_sinks).map(folder_of);
    let spool = (!settings.sinks.is_empty()).then(|| settings.spool_folder.clone());
    WRITTEN.iter().map(PathBuf::from).chain(files.chain(spool).map(existing)).collect()
}

/// The folder, or where it is not there yet the one it will be made in.
fn existing(folder: PathBuf) -> PathBuf {
    let there = folder.ancestors().find(|folder| folder.exists());
    there.map_or_else(|| folder.clone(), Path::to_path_buf)
}

/// The folder a file lies in, behind links: what is permitted is what the path leads to.
fn folder_of(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    folder.to_path_buf()
}

fn refuse_calls() -> Result<String, String> {
    let Ok(arch) = std::env::consts::ARCH.try_into() else {
        return Ok("system calls: all, there is no filter for this processor".to_owned());
    };
    // Without conditions a rule holds for all arguments.
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> =
        REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)
        .and_then(TryInto::try_into)
        .map_err(|error: seccompiler::BackendError| error.to_string())?;
    match seccompiler::apply_filter(&program) {
        Ok(()) => Ok(format!("system calls: {} refused (seccomp)", REFUSED.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n# x\nfluxtap:x:998:997::/:/sbin/nologin\nbad:x\n";
        assert_eq!(find_user(users, "fluxtap"), Some((998, 997)));
        assert_eq!(find_user(users, "998"), Some((998, 997)));
        assert_eq!(find_user(users, "flux"), None);
        assert_eq!(find_user(users, "bad"), None);
    }

    #[test]
    fn folders_of_what_is_named_are_readable_and_of_the_counters_writable() {
        let settings = Settings {
            allow_file: Some("/srv/lists/allow.txt".into()),
            address_table: AddressTable::Path("owners.fxtb".into()),
            stats: Some("/srv/out/stats.json".into()),
            threat_lists: vec!["bad /srv/threat/bad.txt alert=true".to_owned()],
            ..Settings::default()
        };
        let folders = readable(&settings, &Sources::default());
        for folder in ["/etc/fluxtap", "/srv/lists", "/srv/threat", "."] {
            assert!(folders.contains(&PathBuf::from(folder)), "{folder}: {folders:?}");
        }
        assert!(!folders.contains(&PathBuf::from("/")) && !folders.contains(&"/home".into()));
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { stats: Some(folder.path().join("stats.json")), ..settings };
        assert!(writable(&settings).contains(&folder.path().to_path_buf()));
        let below = folder.path().join("a/b/checkpoint");
        let settings = Settings { checkpoint_file: Some(below), ..settings };
        let writable_by_it = writable(&settings);
        let ours = writable_by_it.iter().filter(|path| *path == folder.path()).count();
        assert_eq!(ours, 2, "what is to be made is made in what is there");
        let none = Settings { stats: Some("-".into()), ..Settings::default() };
        assert_eq!(writable(&none).len(), WRITTEN.len());
    }

    #[test]
    fn no_call_is_refused_twice() {
        let mut calls = REFUSED.to_vec();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), REFUSED.len());
    }
}
