//! libmodsecurity 3, by its C interface: the one place that calls it.
//!
//! The library is opened when the first rules are read and stays open, so that the same program runs where it is not
//! installed. Its functions are called by the types that its headers of 3.0 declare.

use std::ffi::{CStr, CString, c_char, c_int, c_uchar, c_void};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr::{NonNull, null, null_mut};
use std::sync::OnceLock;

use libloading::Library;
use parking_lot::Mutex;

/// The name that all of 3.x have.
const LIBRARY: &str = "libmodsecurity.so.3";
/// So much is kept of what the engine tells of one request.
const MOST_TOLD: usize = 64 * 1024;

/// The engine's parser has state that all threads share, and it counts what rules refer to without a lock.
static READING: Mutex<()> = Mutex::new(());
static ENGINE: OnceLock<Engine> = OnceLock::new();

/// The library, with the one instance that serves the process.
pub(super) struct Engine {
    calls: Calls,
    instance: NonNull<c_void>,
    _library: Library,
}

/// Rules that were read, for any number of inspections at once.
pub(super) struct Rules {
    engine: &'static Engine,
    set: NonNull<c_void>,
}

/// Rules that nobody uses any more; freed when this is dropped.
struct Discarded {
    engine: &'static Engine,
    set: NonNull<c_void>,
}

/// A piece of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Text(String),
    File(PathBuf),
}

/// A request as the engine is to see it.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) client: String,
    pub(super) method: String,
    pub(super) target: String,
    /// As in `1.1`.
    pub(super) version: &'static str,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// What the engine made of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inspection {
    /// What the rule says that wants it refused, if one does.
    pub(super) refusal: Option<String>,
    /// The lines that rules have logged.
    pub(super) told: Vec<String>,
}

/// The engine could not look at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the engine failed at {0}")]
pub(super) struct Failed(&'static str);

type Handle = *mut c_void;

/// `ModSecurityIntervention_t` of `modsecurity/intervention.h`.
#[repr(C)]
struct Intervention {
    status: c_int,
    pause: c_int,
    url: *mut c_char,
    log: *mut c_char,
    disruptive: c_int,
}

/// `ModSecLogCb`: the pointer that the transaction was made with, and a text.
type Tell = extern "C" fn(*mut c_void, *const c_void);

/// Declares the functions that are called, and looks them up.
macro_rules! calls {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of the library, by their names without `msc_`. An exception of C++ that one of them lets out ends the
        /// process, as `C-unwind` defines.
        struct Calls {
            $($name: unsafe extern "C-unwind" fn($($argument),*) $(-> $result)?,)*
        }

        impl Calls {
            /// # Safety
            /// The library is libmodsecurity 3, and stays open for as long as the functions are called.
            #[expect(unsafe_code, reason = "a library tells nothing of the types of its functions")]
            unsafe fn find(library: &Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the headers of 3.0, whose C interface has only grown since.
                unsafe { Ok(Self { $($name: *library.get(concat!("msc_", stringify!($name)))?,)* }) }
            }
        }
    };
}

calls! {
    init: fn() -> Handle;
    who_am_i: fn(Handle) -> *const c_char;
    set_connector_info: fn(Handle, *const c_char);
    set_log_cb: fn(Handle, Option<Tell>);
    create_rules_set: fn() -> Handle;
    rules_add: fn(Handle, *const c_char, *mut *const c_char) -> c_int;
    rules_add_file: fn(Handle, *const c_char, *mut *const c_char) -> c_int;
    rules_cleanup: fn(Handle) -> c_int;
    new_transaction: fn(Handle, Handle, *mut c_void) -> Handle;
    process_connection: fn(Handle, *const c_char, c_int, *const c_char, c_int) -> c_int;
    process_uri: fn(Handle, *const c_char, *const c_char, *const c_char) -> c_int;
    add_n_request_header: fn(Handle, *const c_uchar, usize, *const c_uchar, usize) -> c_int;
    process_request_headers: fn(Handle) -> c_int;
    append_request_body: fn(Handle, *const c_uchar, usize) -> c_int;
    process_request_body: fn(Handle) -> c_int;
    intervention: fn(Handle, *mut Intervention) -> c_int;
    transaction_cleanup: fn(Handle);
}

#[expect(unsafe_code, reason = "the engine gives texts that the C library's `malloc` has made")]
// SAFETY: this is the declaration of the C standard.
unsafe extern "C" {
    fn free(pointer: *mut c_void);
}

// === Engine ===

impl Engine {
    /// The engine, which is opened where it is not open yet.
    ///
    /// # Errors
    /// What the system says when there is no such library.
    pub(super) fn get() -> Result<&'static Self, String> {
        let _alone = READING.lock();
        match ENGINE.get() {
            Some(engine) => Ok(engine),
            None => Self::open(LIBRARY).map(|engine| ENGINE.get_or_init(|| engine)),
        }
    }

    #[expect(unsafe_code, reason = "opening a library runs its code")]
    fn open(name: &str) -> Result<Self, String> {
        // SAFETY: the library of that name does nothing when it is opened but what every library of C++ does.
        let library = unsafe { Library::new(name) }.map_err(|error| error.to_string())?;
        // SAFETY: its name says that it is libmodsecurity 3, and it is kept beside them.
        let calls = unsafe { Calls::find(&library) }.map_err(|error| error.to_string())?;
        // SAFETY: both take what they are given by value or copy it; `init` may be called at any time.
        let instance = unsafe {
            let instance = NonNull::new((calls.init)()).ok_or("no instance could be made")?;
            (calls.set_connector_info)(instance.as_ptr(), c"evener".as_ptr());
            (calls.set_log_cb)(instance.as_ptr(), Some(tell));
            instance
        };
        Ok(Self { calls, instance, _library: library })
    }

    /// What the library calls itself, with its version.
    #[expect(unsafe_code, reason = "a text of C")]
    pub(super) fn version(&self) -> String {
        // SAFETY: the text is the instance's own, which is never freed, and ends with a zero.
        let text = unsafe { CStr::from_ptr((self.calls.who_am_i)(self.instance.as_ptr())) };
        text.to_string_lossy().into_owned()
    }

    /// Reads rules, in their order.
    ///
    /// # Errors
    /// What the engine says of those that it cannot read, and of which piece.
    pub(super) fn read(&'static self, sources: &[Source]) -> Result<Rules, (usize, String)> {
        let alone = READING.lock();
        let rules = self.new_rules().ok_or((0, "no set of rules could be made".to_owned()))?;
        for (number, source) in sources.iter().enumerate() {
            if let Err(error) = rules.add(source) {
                // Dropping it takes the lock.
                drop(alone);
                return Err((number, error));
            }
        }
        Ok(rules)
    }

    #[expect(unsafe_code, reason = "a call of C")]
    fn new_rules(&'static self) -> Option<Rules> {
        // SAFETY: it takes nothing, and who calls this is alone.
        let set = unsafe { (self.calls.create_rules_set)() };
        NonNull::new(set).map(|set| Rules { engine: self, set })
    }
}

// SAFETY: the functions may be called on any thread; what they share is written only by `open` and under `READING`.
#[expect(unsafe_code, reason = "the instance is a pointer")]
unsafe impl Send for Engine {}
// SAFETY: the same; transactions of one instance may run at once, as the library's own example `multithread` does.
#[expect(unsafe_code, reason = "the instance is a pointer")]
unsafe impl Sync for Engine {}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.version()).finish()
    }
}

// === Rules ===

impl Rules {
    /// Adds a piece; who calls this is alone.
    #[expect(unsafe_code, reason = "calls of C")]
    fn add(&self, source: &Source) -> Result<(), String> {
        let (add, text) = match source {
            Source::Text(text) => (self.engine.calls.rules_add, text.as_bytes()),
            Source::File(path) => (self.engine.calls.rules_add_file, path.as_os_str().as_bytes()),
        };
        let text = CString::new(text).map_err(|error| error.to_string())?;
        let mut error = null();
        // SAFETY: the set lives, the text ends with a zero and is only read, and `error` has room for a pointer.
        let added = unsafe { add(self.set.as_ptr(), text.as_ptr(), &raw mut error) };
        // The engine counts the rules that it has added.
        if added >= 0 {
            return Ok(());
        }
        // SAFETY: `error` is still null, or a text that was made for this call.
        Err(unsafe { taken(error.cast_mut()) }.unwrap_or_else(|| "unreadable".to_owned()))
    }

    /// Shows a request to the rules, which takes some hundred microseconds or more.
    ///
    /// # Errors
    /// When the engine could not look at all of it.
    pub(super) fn inspect(&self, subject: &Subject) -> Result<Inspection, Failed> {
        let mut told = Told::default();
        let refusal = Transaction::begin(self, &mut told)?.run(subject)?;
        Ok(Inspection { refusal, told: told.lines })
    }
}

impl Drop for Rules {
    /// The last request with an old configuration drops its rules, on the thread of a worker. To free them takes milliseconds, and
    /// longer while others are read.
    fn drop(&mut self) {
        let discarded = Discarded { engine: self.engine, set: self.set };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(discarded)));
        }
    }
}

// SAFETY: a set belongs to no thread.
#[expect(unsafe_code, reason = "the set is a pointer")]
unsafe impl Send for Rules {}
// SAFETY: transactions only read it, and `add` is called before anybody else has it.
#[expect(unsafe_code, reason = "the set is a pointer")]
unsafe impl Sync for Rules {}

impl Drop for Discarded {
    #[expect(unsafe_code, reason = "a call of C")]
    fn drop(&mut self) {
        let _alone = READING.lock();
        // SAFETY: transactions borrowed the rules, so that none is left, and nobody else has the set.
        unsafe { (self.engine.calls.rules_cleanup)(self.set.as_ptr()) };
    }
}

// SAFETY: a set belongs to no thread.
#[expect(unsafe_code, reason = "the set is a pointer")]
unsafe impl Send for Discarded {}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

// === Transaction ===

/// What rules have logged, within bounds.
#[derive(Default)]
struct Told {
    lines: Vec<String>,
    bytes: usize,
}

/// One request before the rules. It stays on the thread that began it.
struct Transaction<'a> {
    calls: &'a Calls,
    handle: NonNull<c_void>,
    /// The engine writes there whenever it is called.
    _told: std::marker::PhantomData<&'a mut Told>,
}

impl<'a> Transaction<'a> {
    #[expect(unsafe_code, reason = "a call of C")]
    fn begin(rules: &'a Rules, told: &'a mut Told) -> Result<Self, Failed> {
        let Rules { engine, set } = rules;
        let told = (&raw mut *told).cast();
        // SAFETY: instance, set and `told` outlive the transaction, which borrows the latter two.
        let handle = unsafe { (engine.calls.new_transaction)(engine.instance.as_ptr(), set.as_ptr(), told) };
        let handle = NonNull::new(handle).ok_or(Failed("the beginning"))?;
        Ok(Self { calls: &engine.calls, handle, _told: std::marker::PhantomData })
    }

    /// What the rule says that wants the request refused, if one does.
    #[expect(unsafe_code, reason = "calls of C")]
    fn run(self, subject: &Subject) -> Result<Option<String>, Failed> {
        let text = |text: &str| CString::new(text).map_err(|_| Failed("a zero byte"));
        let (client, method) = (text(&subject.client)?, text(&subject.method)?);
        let (target, version) = (text(&subject.target)?, text(subject.version)?);
        let (calls, handle) = (self.calls, self.handle.as_ptr());
        // SAFETY: the transaction lives, and is called by one thread; all texts end with a zero, lengths are those of the
        // slices beside them, and the engine copies what it keeps.
        unsafe {
            let none = c"0.0.0.0".as_ptr();
            check("the connection", (calls.process_connection)(handle, client.as_ptr(), 0, none, 0))?;
            let uri = (calls.process_uri)(handle, target.as_ptr(), method.as_ptr(), version.as_ptr());
            check("the target", uri)?;
            for (name, value) in &subject.fields {
                let added = (calls.add_n_request_header)(
                    handle,
                    name.as_ptr(),
                    name.len(),
                    value.as_ptr(),
                    value.len(),
                );
                check("a header", added)?;
            }
            check("the headers", (calls.process_request_headers)(handle))?;
            let refusal = self.refusal();
            if refusal.is_some() {
                return Ok(refusal);
            }
            if !subject.body.is_empty() {
                let body = &subject.body;
                check("the body", (calls.append_request_body)(handle, body.as_ptr(), body.len()))?;
            }
            check("the body", (calls.process_request_body)(handle))?;
        }
        Ok(self.refusal())
    }

    #[expect(unsafe_code, reason = "calls of C")]
    fn refusal(&self) -> Option<String> {
        let mut wanted =
            Intervention { status: 200, pause: 0, url: null_mut(), log: null_mut(), disruptive: 0 };
        // SAFETY: the transaction lives, and the struct is laid out as the header has it. Its texts are null, or were made
        // for this call.
        let log = unsafe {
            (self.calls.intervention)(self.handle.as_ptr(), &raw mut wanted);
            taken(wanted.url);
            taken(wanted.log)
        };
        (wanted.disruptive != 0).then(|| log.unwrap_or_default())
    }
}

impl Drop for Transaction<'_> {
    #[expect(unsafe_code, reason = "a call of C")]
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        unsafe { (self.calls.transaction_cleanup)(self.handle.as_ptr()) };
    }
}

fn check(step: &'static str, result: c_int) -> Result<(), Failed> {
    if result == 1 { Ok(()) } else { Err(Failed(step)) }
}

/// Takes over a text that the engine has made.
///
/// # Safety
/// It is null, or a text of C that `malloc` has made and nobody else has.
#[expect(unsafe_code, reason = "a text of C")]
unsafe fn taken(text: *mut c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: as above.
    unsafe {
        let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
        free(text.cast());
        Some(copy)
    }
}

/// Called by the engine for each line that a rule logs.
#[expect(unsafe_code, reason = "it is called by C")]
extern "C" fn tell(told: *mut c_void, line: *const c_void) {
    if told.is_null() || line.is_null() {
        return;
    }
    // SAFETY: `told` is what `begin` has given, which outlives the transaction, and is used by nobody while the engine is
    // called; the line is a text of C during this call.
    let (told, line) = unsafe { (&mut *told.cast::<Told>(), CStr::from_ptr(line.cast())) };
    if told.bytes < MOST_TOLD {
        told.bytes += line.count_bytes();
        told.lines.push(line.to_string_lossy().into_owned());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_worker_that_drops_rules_does_not_wait_for_those_that_are_read() {
        let engine = Engine::get().unwrap();
        let rules = engine.read(&[Source::Text("SecRuleEngine On\n".to_owned())]).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let alone = READING.lock();
        let (dropped, is_dropped) = mpsc::sync_channel(1);
        let worker = thread::spawn(move || {
            runtime.block_on(async { drop(rules) });
            dropped.send(()).unwrap();
            // Waits for what it has put aside.
            drop(runtime);
        });
        assert!(is_dropped.recv_timeout(Duration::from_secs(30)).is_ok(), "it waits");
        drop(alone);
        worker.join().unwrap();
    }
}
