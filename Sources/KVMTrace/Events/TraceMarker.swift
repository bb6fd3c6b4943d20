public import KVMTypes

/// What a recorder wrote into the trace itself, through `/sys/kernel/tracing/trace_marker` (`ftrace:print`).
///
/// A marker is one line of words, of which all but the first have the form `key=value`. Only those whose first word
/// begins with `pkvm-replay:` are read; everything else that is printed into a trace is somebody else's.
public enum TraceMarker: Hashable, Sendable {
  /// `pkvm-replay:quiet`: from here on every VMM is stopped, and what the next memory marker tells is counted.
  case quiet
  /// `pkvm-replay:memory`: what the host counted at a quiet point.
  case memory(MemoryMarker)
  /// `pkvm-replay:lab`: how the recording was made.
  case lab([Setting])
  /// `pkvm-replay:slice`: the trace is a part that was cut out of a recording.
  case slice(SliceMarker)
  /// `pkvm-replay:vcpus` and `pkvm-replay:running`: what the recording tells of threads, of which the trace is a part.
  case threads(ThreadsMarker)

  /// Whether `slice` puts it down about the part that it cuts out: the recording has no such event.
  public var isOfSlice: Bool {
    switch self {
    case .slice, .threads: true
    case .quiet, .memory, .lab: false
    }
  }

  /// A `key=value` of a marker.
  public struct Setting: Hashable, Sendable {
    /// The part before the first `=`.
    public var key: String
    /// The part behind it, "" where there is none.
    public var value: String
  }

  /// What every marker begins with.
  static let prefix = "pkvm-replay:"

  /// Reads a line; nil for one that is not of this kind.
  public init?(_ text: String) {
    guard text.hasPrefix(Self.prefix) else { return nil }
    let words = text.dropFirst(Self.prefix.count).split { $0.isWhitespace }
    let settings = words.dropFirst().map { word in
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return Setting(key: String(parts[0]), value: parts.count > 1 ? String(parts[1]) : "")
    }
    switch words.first {
    case "quiet": self = .quiet
    case "memory": self = .memory(MemoryMarker(settings))
    case "lab": self = .lab(settings)
    case "slice": self = .slice(SliceMarker(settings))
    case let word?:
      guard let role = ThreadsMarker.Role(rawValue: String(word)) else { return nil }
      self = .threads(ThreadsMarker(role, settings))
    case nil: return nil
    }
  }
}

/// What a host counted while every VMM was stopped and no vCPU was in KVM.
public struct MemoryMarker: Hashable, Sendable {
  /// The point's name; the first one of a recording is "begin".
  public var point = ""
  /// SecPageTables of `/proc/meminfo`, in bytes: the whole host's.
  public var secPageTablesBytes: UInt64?
  /// Objects of `struct pkvm_mapping` that `topup_hyp_memcache` allocated and nobody freed: the whole host's.
  public var mappings: Int?
  /// By VMM, AnonHugePages of `/proc/PID/smaps_rollup`, in bytes.
  public var anonHugeBytes: [ThreadID: UInt64] = [:]
  /// By VMM, memory that other huge pages map (hugetlb, shmem, files), in bytes; nil where that was not asked for.
  public var otherHugeBytes: [ThreadID: UInt64]?
  /// `kvm/exits` of debugfs: exits of the vCPUs of all VMs that there are.
  public var exits: UInt64?
  /// `kvm/mmio_exit_user` of debugfs.
  public var mmioExitUser: UInt64?
  /// `kvm/mmio_exit_kernel` of debugfs.
  public var mmioExitKernel: UInt64?
  /// The bits of an IPA that the host resolves (`get_kvm_ipa_limit`).
  public var ipaLimit: Int?

  /// A marker that says nothing.
  public init() {}

  /// The marker with these settings. Those that are unknown or no numbers are left out.
  init(_ settings: [TraceMarker.Setting]) {
    for setting in settings {
      let value = setting.value
      switch setting.key {
      case "point": point = value
      case "sec_page_tables_kb": secPageTablesBytes = Self.bytes(kilobytes: value)
      case "mappings": mappings = Int(value).flatMap { $0 < 0 ? nil : $0 }
      case "anon_huge_kb": anonHugeBytes = Self.byProcess(value)
      case "other_huge_kb": otherHugeBytes = Self.byProcess(value)
      case "exits": exits = UInt64(value)
      case "mmio_exit_user": mmioExitUser = UInt64(value)
      case "mmio_exit_kernel": mmioExitKernel = UInt64(value)
      case "ipa_limit": ipaLimit = Int(value).flatMap { (32...52).contains($0) ? $0 : nil }
      default: break
      }
    }
  }

  /// What counts as a number here: less than 2^52 kB, so that nothing overflows.
  private static func bytes(kilobytes text: some StringProtocol) -> UInt64? {
    UInt64(text).flatMap { $0 < 1 << 52 ? $0 << 10 : nil }
  }

  /// "PID:N,PID:N" in kB.
  private static func byProcess(_ text: String) -> [ThreadID: UInt64] {
    var result: [ThreadID: UInt64] = [:]
    for entry in text.split(separator: ",") {
      let parts = entry.split(separator: ":")
      guard parts.count == 2, let pid = Int32(parts[0]), let bytes = bytes(kilobytes: parts[1]) else {
        continue
      }
      result[ThreadID(pid)] = bytes
    }
    return result
  }
}

extension EventFormats {
  /// The marker that an event's data holds; nil where it is none.
  ///
  /// - Parameter id: the event's number.
  func marker(_ payload: UnsafeRawBufferPointer, id: UInt16) -> TraceMarker? {
    text(ofField: "buf", payload, id: id).flatMap { TraceMarker($0) }
  }

  /// What an event of `ftrace:print` prints; nil for any other.
  package func printedText(_ payload: UnsafeRawBufferPointer, id: UInt16) -> String? {
    guard let format = format(id: id), format.system == "ftrace", format.name == "print" else { return nil }
    return text(ofField: "buf", payload, id: id)
  }

  private func text(ofField name: String, _ payload: UnsafeRawBufferPointer, id: UInt16) -> String? {
    guard let field = format(id: id)?.fields.first(where: { $0.name == name }),
      case .text(let text) = value(of: field, in: payload)
    else { return nil }
    return text
  }
}
