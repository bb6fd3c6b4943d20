internal import KVMTypes
internal import Stage2Model

extension StageCall {
  /// The call as words, for a page: `map of VM 0 at 0x40000000, 4096 bytes`.
  package var words: String {
    var text = function.name
    if isCorrection { text += " (a correction of the model)" }
    text += " of VM \(vm)"
    if hasAddress { text += " at \(Self.hex(ipa))" }
    if hasSize { text += ", \(Self.hex(size)) bytes" }
    switch function {
    case .map: text += ", prot \(Self.hex(prot)), vCPU \(vcpu)"
    case .relaxPerms: text += ", prot \(Self.hex(prot))"
    case .testClearYoung: text += markOld ? ", made old" : ", looked at"
    case .topUpMemcache: text += ", \(size) pages, vCPU \(vcpu)"
    default: break
    }
    return text
  }

  /// What led to it: `guest fault at 12.345678901 s on CPU 3, thread 4711`.
  package var causeWords: String {
    let cause = cause
    if cause.kind == .other || cause.kind == .end { return cause.kind.name }
    let (seconds, rest) = cause.time.rawValue.quotientAndRemainder(dividingBy: 1_000_000_000)
    let digits = String(rest)
    let fraction = String(repeating: "0", count: 9 - digits.count) + digits
    return
      "\(cause.kind.name) at \(seconds).\(fraction) s on CPU \(cause.cpu.rawValue), thread \(cause.tid.rawValue)"
  }

  private var hasAddress: Bool { hasSize || [.relaxPerms, .mkyoung, .takeByForce].contains(function) }

  private var hasSize: Bool {
    switch function {
    case .map, .unmap, .wrprotect, .testClearYoung, .flush, .split, .destroyRange, .flushTLBRange: true
    default: false
    }
  }

  private static func hex(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

  /// The call as a line of a reproducer, with every argument by name.
  package var line: String {
    let fields: [(String, String)] = [
      ("vm", "\(vm)"), ("vcpu", "\(vcpu)"), ("ipa", Self.hex(ipa)), ("size", Self.hex(size)),
      ("pfn", Self.hex(pfn)), ("prot", Self.hex(prot)), ("mkold", markOld ? "1" : "0"),
      ("expect", "\(expected)"),
    ]
    return function.name + fields.map { " \($0.0)=\($0.1)" }.joined()
  }

  /// Reads what `line` wrote; nil for anything else. What is not named is 0.
  fileprivate init?(line: Substring) {
    let parts = line.split(separator: " ")
    guard let name = parts.first, let function = Function.allCases.first(where: { $0.name == name }) else {
      return nil
    }
    self.init(function, vm: 0)
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
      guard pair.count == 2, let value = Self.number(pair[1]) else { return nil }
      let bits = UInt64(bitPattern: value)
      switch pair[0] {
      case "vm": vm = UInt32(truncatingIfNeeded: bits)
      case "vcpu": vcpu = Int32(truncatingIfNeeded: value)
      case "ipa": ipa = bits
      case "size": size = bits
      case "pfn": pfn = bits
      case "prot": prot = bits
      case "mkold": markOld = value != 0
      case "expect": expected = Int32(truncatingIfNeeded: value)
      default: return nil
      }
    }
    // No replay has so many VMs.
    if vm > Self.vmMax { return nil }
  }

  /// The highest number of a VM in a file.
  private static let vmMax: UInt32 = 1 << 20

  private static func number(_ text: String) -> Int64? {
    guard text.hasPrefix("0x") else { return Int64(text) }
    return UInt64(text.dropFirst(2), radix: 16).map { Int64(bitPattern: $0) }
  }
}

/// The calls of one VM up to the one that went wrong, as text: a file that shows it once more.
package enum Reproducer {
  private static let title = "# pkvm-replay patch reproducer 1"

  /// The file's text. Lines that begin with # are for whoever reads it.
  package static func text(_ calls: [StageCall], about lines: [String]) -> String {
    let head = [title] + lines.map { "# \($0.replacing("\n", with: " "))" }
    return (head + calls.map(\.line)).joined(separator: "\n") + "\n"
  }

  /// The calls of a file, or the number of the first line that is none.
  package static func calls(in text: String) -> Result<[StageCall], ReproducerProblem> {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.first == Substring(title) else { return .failure(.noCall(line: 1)) }
    var calls: [StageCall] = []
    for (position, line) in lines.enumerated() where !line.isEmpty && !line.hasPrefix("#") {
      guard var call = StageCall(line: line) else { return .failure(.noCall(line: position + 1)) }
      // There would be nothing to make.
      if call.function == .create, call.shape == nil { return .failure(.noSuchVM(line: position + 1)) }
      call.number = UInt64(calls.count)
      calls.append(call)
    }
    return .success(calls)
  }
}

/// A line that cannot be carried out, by its number from 1.
package enum ReproducerProblem: Error, Hashable, CustomStringConvertible {
  /// It is no call.
  case noCall(line: Int)
  /// It makes a VM whose table no kernel has.
  case noSuchVM(line: Int)

  package var description: String {
    switch self {
    case .noCall(let line): "line \(line): is no call of a stage-2 function"
    case .noSuchVM(let line):
      "line \(line): makes a VM that cannot be: prot >> 8 is 12, 14 or 16, for its pages, and size the bits of an address, "
        + "\(Stage2Geometry.minimumIPABits) to \(Stage2Geometry.maximumIPABits)"
    }
  }
}
