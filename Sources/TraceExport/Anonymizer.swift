internal import KVMTrace
internal import KVMTypes

/// Takes out of events what tells whose host it was: commands, thread numbers, addresses of the kernel, and what somebody printed. What
/// was equal stays equal and what differed differs, so that the copy replays alike. Addresses of guests and of their memory in the
/// VMM stay: page sizes and offsets follow from them.
public final class Anonymizer {
  /// What is done with a field.
  private enum Rewriting {
    case thread(offset: Int)
    /// Eight bytes that may be an address of the kernel.
    case address(offset: Int)
    /// A name, in a field of so many bytes.
    case name(offset: Int, size: Int)
  }

  private static let threadFields: Set<String> = [
    "common_pid", "pid", "tid", "tgid", "next_pid", "prev_pid", "child_pid", "parent_pid",
  ]
  private static let nameFields: Set<String> = [
    "comm", "next_comm", "prev_comm", "child_comm", "parent_comm",
  ]
  /// Addresses of an arm64 kernel begin here, with 52 bits of them.
  private static let kernelBegin: UInt64 = 0xfff0_0000_0000_0000
  /// What looks like one stands for itself here and above: -1 and other small negative numbers.
  private static let kernelEnd: UInt64 = 0xffff_ffff_ffff_f000

  private var rewritings: [UInt16: [Rewriting]] = [:]
  private var threads: [Int32: Int32] = [:]
  private var addresses: [UInt64: UInt64] = [:]
  private var commands: [String: String] = [:]

  /// One that has met nothing yet.
  public init() {}

  /// Learns where in events what lies.
  func prepare(formats: EventFormats) {
    for format in formats.formats {
      var own: [Rewriting] = [.thread(offset: 4)]
      for field in format.fields {
        if Self.nameFields.contains(field.name), !field.isScalar {
          own.append(.name(offset: field.offset, size: field.size))
        } else if Self.threadFields.contains(field.name), field.size == 4 {
          own.append(.thread(offset: field.offset))
        } else if field.isScalar, field.size == 8 {
          own.append(.address(offset: field.offset))
        }
      }
      rewritings[format.id] = own
    }
  }

  /// Rewrites an event's data in place.
  func rewrite(_ data: UnsafeMutableRawBufferPointer) {
    guard data.count >= 8 else { return }
    for rewriting in rewritings[data.loadUnaligned(as: UInt16.self)] ?? [.thread(offset: 4)] {
      switch rewriting {
      case .thread(let offset) where offset + 4 <= data.count:
        let tid = data.loadUnaligned(fromByteOffset: offset, as: Int32.self)
        data.storeBytes(of: thread(tid), toByteOffset: offset, as: Int32.self)
      case .address(let offset) where offset + 8 <= data.count:
        let value = data.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        data.storeBytes(of: address(value), toByteOffset: offset, as: UInt64.self)
      case .name(let offset, let size) where offset + size <= data.count:
        for index in offset..<(offset + size) { data[index] = 0 }
      default: break
      }
    }
  }

  /// What stands for a printed text: a marker of this program as it is, but for the VMMs that it names; of any other nothing.
  func printed(_ text: String) -> String {
    guard TraceMarker(text) != nil else { return "." }
    let words = text.split(separator: " ").map { word -> String in
      let parts = word.split(separator: "=", maxSplits: 1)
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
    guard value >= Self.kernelBegin, value < Self.kernelEnd else { return value }
    if let known = addresses[value] { return known }
    let new = 0xffff_8000_0000_0000 + UInt64(addresses.count) << 12
    addresses[value] = new
    return new
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
    var words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    if words.count > 2 { words[1] = "host" }
    return words.joined(separator: " ")
  }
}
