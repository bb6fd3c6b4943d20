internal import KVMTrace
internal import KVMTypes

/// Takes out of events what tells whose host it was: names and other texts, thread numbers, addresses of the kernel, and what somebody
/// printed. Numbers that were equal stay equal and those that differed differ, so that the copy replays alike. Addresses of guests and of
/// their memory in the VMM stay: page sizes and offsets follow from them.
public final class Anonymizer {
  /// What is done with a field.
  private enum Rewriting {
    case thread(offset: Int, size: Int)
    /// Eight bytes that may be an address of the kernel.
    case address(offset: Int)
    /// A name, a path, a stack: zeros take its place.
    case blank(offset: Int, size: Int)
    /// The same, where the field says where it lies.
    case located(offset: Int, isRelative: Bool)
  }

  /// What a number of a thread or process is called, alone or as the last word of a name: `src_pid`, `task_ngid`.
  private static let threadWords: Set<Substring> = [
    "pid", "tid", "tgid", "ngid", "ppid", "pgid", "pgrp", "upid", "vpid", "nspid",
  ]
  /// The same in the events of binder, which call a process so.
  private static let binderWords: Set<Substring> = ["proc", "thread"]
  /// The system calls that return one, as in `syscalls:sys_exit_getpid`.
  private static let callsReturningThreads: Set<Substring> = [
    "getpid", "gettid", "getppid", "getpgid", "getpgrp", "getsid", "setsid", "fork", "vfork", "clone",
    "clone3",
    "wait4", "set_tid_address",
  ]
  /// Of KVM's events only these, and pointers, are addresses of the kernel: all others are the guest's own.
  private static let kvmFields: Set<String> = ["kvm", "vcpu"]
  /// Addresses of an arm64 kernel begin here, with 52 bits of them.
  private static let kernelBegin: UInt64 = 0xfff0_0000_0000_0000
  /// What looks like one stands for itself here and above: -1 and other small negative numbers.
  private static let kernelEnd: UInt64 = 0xffff_ffff_ffff_f000

  /// By the number of the event; of others than these nothing is kept but the head.
  private var rewritings: [UInt16: [Rewriting]] = [:]
  private var threads: [Int32: Int32] = [:]
  /// By page: what lies in one page stays in one, at its place.
  private var pages: [UInt64: UInt64] = [:]
  private var commands: [String: String] = [:]
  /// The points at which the host told of its memory, which are called after programs and people's doings.
  private var points: [String: String] = ["begin": "begin", "end": "end"]

  /// One that has met nothing yet.
  public init() {}

  /// Learns where in events what lies. What others than `print` write freely is not looked through.
  func prepare(formats: EventFormats) {
    for format in formats.formats
    where !format.fields.isEmpty && (format.system != "ftrace" || format.name == "print") {
      let own = format.fields.compactMap { rewriting($0, of: format) }
      rewritings[format.id] = [.thread(offset: 4, size: 4)] + own
    }
  }

  /// Whether a field is an argument of a probe that nothing here reads: nobody knows what it holds, so nothing of it is kept. Where the
  /// probe is (`__probe_ip`) stays an address.
  private static func isForeignArgument(_ field: EventFormat.Field, of format: EventFormat) -> Bool {
    guard let known = format.fieldsOfProbe else { return false }
    return !known.contains(field.name) && !field.name.hasPrefix("__probe_")
  }

  private func rewriting(_ field: EventFormat.Field, of format: EventFormat) -> Rewriting? {
    if field.isDynamic { return .located(offset: field.offset, isRelative: field.isRelative) }
    // A printed text is written anew.
    guard field.isScalar else {
      return format.name == "print" ? nil : .blank(offset: field.offset, size: field.size)
    }
    if Self.isThread(field, of: format) {
      return field.size < 4
        ? .blank(offset: field.offset, size: field.size) : .thread(offset: field.offset, size: field.size)
    }
    if Self.isForeignArgument(field, of: format) {
      return .blank(offset: field.offset, size: field.size)
    }
    // What any system call returned may be one.
    if format.system == "raw_syscalls", field.name == "ret" {
      return .blank(offset: field.offset, size: field.size)
    }
    let isGuests = format.system == "kvm" && !Self.kvmFields.contains(field.name) && !field.isPointer
    return field.size == 8 && !isGuests ? .address(offset: field.offset) : nil
  }

  /// Whether a field holds the number of a thread or process: by its type, or by its name where a probe's argument or an old format
  /// has a type of any number.
  private static func isThread(_ field: EventFormat.Field, of format: EventFormat) -> Bool {
    if field.isThread { return true }
    if field.isPointer { return false }
    let call =
      format.system == "syscalls" && format.name.hasPrefix("sys_exit_") ? format.name.dropFirst(9) : ""
    if field.name == "ret" { return callsReturningThreads.contains(call) }
    let name = field.name.lowercased()
    // With a number behind it where there are several: `pid2`.
    let end = name.lastIndex { !$0.isNumber }.map { name.index(after: $0) } ?? name.endIndex
    let word = name[..<end].split(separator: "_").last ?? ""
    return threadWords.contains(word) || format.system == "binder" && binderWords.contains(word)
  }

  /// Rewrites an event's data in place.
  func rewrite(_ data: UnsafeMutableRawBufferPointer) {
    guard data.count >= 8 else { return }
    guard let own = rewritings[data.loadUnaligned(as: UInt16.self)] else {
      rewrite(.thread(offset: 4, size: 4), in: data)
      return rewrite(.blank(offset: 8, size: data.count - 8), in: data)
    }
    for rewriting in own { rewrite(rewriting, in: data) }
  }

  private func rewrite(_ rewriting: Rewriting, in data: UnsafeMutableRawBufferPointer) {
    switch rewriting {
    case .thread(let offset, 4) where offset + 4 <= data.count:
      let tid = data.loadUnaligned(fromByteOffset: offset, as: Int32.self)
      data.storeBytes(of: thread(tid), toByteOffset: offset, as: Int32.self)
    case .thread(let offset, 8) where offset + 8 <= data.count:
      let tid = data.loadUnaligned(fromByteOffset: offset, as: Int64.self)
      let own = Int64(thread(Int32(truncatingIfNeeded: tid)))
      data.storeBytes(of: own, toByteOffset: offset, as: Int64.self)
    case .address(let offset) where offset + 8 <= data.count:
      let value = data.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      data.storeBytes(of: address(value), toByteOffset: offset, as: UInt64.self)
    case .blank(let offset, let size):
      for index in min(offset, data.count)..<min(offset + size, data.count) { data[index] = 0 }
    case .located(let offset, let isRelative) where offset + 4 <= data.count:
      let locator = data.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
      let begin = Int(locator & 0xffff) + (isRelative ? offset + 4 : 0)
      rewrite(.blank(offset: begin, size: Int(locator >> 16)), in: data)
    default: break
    }
  }

  /// What stands for a printed text: a marker of this program as it is, but for the threads, host and points that it names; of any other
  /// nothing.
  func printed(_ text: String) -> String {
    guard let marker = TraceMarker(text) else { return "." }
    if case .threads(let list) = marker {
      return ThreadsMarker(list.role, threads: list.threads.map { ThreadID(thread($0.rawValue)) }).text
    }
    let words = text.split(separator: " ").map { word -> String in
      let parts = word.split(separator: "=", maxSplits: 1)
      if parts.count == 2, parts[0] == "host" { return "host=host" }
      if parts.count == 2, parts[0] == "point" { return "point=\(point(String(parts[1])))" }
      guard parts.count == 2, parts[1].contains(":") else { return String(word) }
      let sizes = parts[1].split(separator: ",").map { entry -> String in
        let pair = entry.split(separator: ":", maxSplits: 1)
        guard pair.count == 2, let tid = Int32(pair[0]) else { return String(entry) }
        return "\(thread(tid)):\(pair[1])"
      }
      return "\(parts[0])=" + sizes.joined(separator: ",")
    }
    return words.joined(separator: " ")
  }

  private func point(_ name: String) -> String {
    if let known = points[name] { return known }
    let new = "point\(points.count - 1)"
    points[name] = new
    return new
  }

  /// The number that stands for a thread's.
  func thread(_ tid: Int32) -> Int32 {
    // The idle task, and no thread.
    if tid <= 0 { return tid }
    if let known = threads[tid] { return known }
    let new = Int32(truncatingIfNeeded: 1001 + threads.count)
    threads[tid] = new
    return new
  }

  private func address(_ value: UInt64) -> UInt64 {
    // The top byte of a pointer may be a tag (KASAN), of which the kernel's are 0xf0 and up.
    let untagged = value >> 60 == 0xf ? value | 0xff << 56 : value
    guard untagged >= Self.kernelBegin, untagged < Self.kernelEnd else { return value }
    let page = untagged >> 12
    let own = pages[page] ?? 0xffff_8000_0000_0 + UInt64(pages.count)
    pages[page] = own
    return own << 12 | value & 0xfff
  }

  /// What stands for a command: one word for each, but for the threads of vCPUs as QEMU calls them, which tell nothing.
  func command(_ name: String) -> String {
    if name.wholeMatch(of: /CPU \d+\/KVM/) != nil || name == "<idle>" { return name }
    if let known = commands[name] { return known }
    let new = "command\(commands.count + 1)"
    commands[name] = new
    return new
  }

  /// `uname` without the host's name.
  func uname(_ text: String) -> String {
    var words = text.split(separator: " ").map(String.init)
    if words.count > 1 { words[1] = "host" }
    return words.joined(separator: " ")
  }
}
